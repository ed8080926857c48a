"""What the tests of stores and hubs share: the runtimes, and messages that can be told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from forebay.chunk import Chunk
from forebay.codec import ChunkDecoder, encode_chunk
from forebay.hub import EntityDb, StoreHub, WorkerOutput
from forebay.model import (
    ArrowMsg,
    BlueprintActivationCommand,
    ChunkAddition,
    ChunkStoreEvent,
    SetStoreInfo,
    StoreId,
    StoreInfo,
)
from forebay.runtime import Event, InlineRuntime, NativeRuntime, Runtime, WebWorkerRuntime
from tests.chunks import make_chunk

APP = "test-app"
PATIENCE_S = 60
"""How long a test waits for what must come; reaching it is a failure."""


def recording_id(name: str = "rec") -> StoreId:
    return StoreId.recording(APP, name)


def blueprint_id(name: str = "bp") -> StoreId:
    return StoreId.blueprint(APP, name)


def announce(store_id: StoreId) -> SetStoreInfo:
    return SetStoreInfo(StoreInfo(store_id))


def activate(store_id: StoreId, **what: bool) -> BlueprintActivationCommand:
    return BlueprintActivationCommand(store_id, **(what or {"make_active": True}))


def message(number: int, store_id: StoreId | None = None, entity: str = "/numbers") -> ArrowMsg:
    """A one-row chunk that says `number`, at that frame."""
    chunk = make_chunk(entity, {"frame": [number]}, {"Scalars:scalars": [[float(number)]]})
    return encode_chunk(store_id or recording_id(), chunk)


def broken(store_id: StoreId | None = None) -> ArrowMsg:
    """A message whose payload is nothing."""
    return message(0, store_id)._replace(payload=b"not arrow at all", uncompressed_size=1000)


def numbers(db: EntityDb, entity: str = "/numbers") -> list[float]:
    """All numbers logged, by frame."""
    table = db.range("frame", -(2**63), 2**63 - 1, entity)
    return [cell[0] for cell in table["Scalars:scalars"].to_pylist()]


def added(events: list[ChunkStoreEvent[Chunk]]) -> list[float]:
    """The numbers that events tell of, in order."""
    return [
        event.diff.chunk.component("Scalars:scalars")[0].as_py()[0]
        for event in events
        if isinstance(event.diff, ChunkAddition)
    ]


def collect(db: EntityDb) -> list[WorkerOutput]:
    db.flush(PATIENCE_S)
    return db.poll_worker_output()


def came(flag: Event, runtime: Runtime) -> bool:
    """Whether a flag is set in the end; where turns come from a loop, this is the loop."""
    if isinstance(runtime, WebWorkerRuntime):
        runtime.run_all()
    return flag.wait(PATIENCE_S)


class Gate:
    """A decoder factory whose decoders wait at messages of chosen stores until let go."""

    def __init__(self) -> None:
        self.held: set[StoreId] = set()
        self.arrived = Event()
        self.open = Event()

    def __call__(self) -> Callable[[ArrowMsg], Chunk]:
        decode = ChunkDecoder().decode

        def gated(msg: ArrowMsg) -> Chunk:
            if msg.store_id in self.held:
                self.arrived.set()
                assert self.open.wait(PATIENCE_S)
            return decode(msg)

        return gated


@pytest.fixture(params=[NativeRuntime, InlineRuntime, WebWorkerRuntime], ids=lambda each: each.name)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    made: Runtime = request.param()
    return made


@pytest.fixture
def native() -> NativeRuntime:
    return NativeRuntime()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture
def hub(runtime: Runtime) -> StoreHub:
    return StoreHub(runtime=runtime)


@pytest.fixture
def db(runtime: Runtime) -> EntityDb:
    return EntityDb(recording_id(), runtime=runtime)
