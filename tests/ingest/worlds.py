"""Worlds of workers, submitters and owners under one seed: what is true of them at every step.

python -m tests.ingest.simulate --seeds 100000      # or: make simulate SEEDS=100000
python -m tests.ingest.simulate --first 4711 --seeds 1
"""

from __future__ import annotations

import contextlib
import functools
import random
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from forebay.chunk import Chunk
from forebay.errors import (
    FlushTimeoutError,
    LimitError,
    QueueFullError,
    SpillError,
    WorkerClosedError,
)
from forebay.ingest import (
    AdaptiveBudget,
    Block,
    ByteBudget,
    Deadline,
    DropNewest,
    DropOldest,
    DroppedMsg,
    IngestionWorker,
    LatestWins,
    Outcome,
    Policy,
    PolicyRules,
    ProcessedChunk,
    RejectedMsg,
    Spill,
)
from forebay.ingest.gaps import Peekers
from forebay.ingest.outcomes import num_messages
from forebay.ingest.spill_files import SpillFiles
from forebay.model import ArrowMsg, EntityPath, StoreId
from forebay.runtime import Lock, SimulatedRuntime
from tests.ingest.support import SIZE, decode_number, number_of, numbered

BUDGET = 12 * SIZE
"""What all stores share; a larger message is refused."""
STATIC_FROM = 500
"""Numbers from here on stand for static data."""
POLICIES: list[Policy] = [
    Block(),
    Block(),
    Deadline(0.05),
    DropNewest(),
    DropOldest(),
    LatestWins(),
    Spill(),
    Spill(),
]


class FailingSpill(SpillFiles):
    """Small segments on a disk that is sometimes full, damaged, or gone."""

    chance = random.Random(0)
    pause: Callable[[], object] = staticmethod(lambda: None)
    directory: Path

    def __init__(self, policy: Spill, runtime: SimulatedRuntime) -> None:
        bounded = Spill(self.directory, self.chance.choice([4 * SIZE, 1 << 30]))
        del policy
        super().__init__(bounded, runtime, segment_bytes=self.chance.choice([1, 3 * SIZE]))

    def _write_all(self, file: BinaryIO, frame: bytes) -> None:
        self.pause()
        if not self.chance.randrange(10):
            file.write(frame[: len(frame) // 2])
            msg = "no space left on device"
            raise OSError(msg)
        super()._write_all(file, frame)

    def _read_file(self, path: Path) -> bytes | pa.Buffer:
        self.pause()
        data = bytearray(super()._read_file(path))
        match self.chance.randrange(12):
            case 0:
                data[self.chance.randrange(len(data))] ^= 255
            case 1:
                msg = "input/output error"
                raise OSError(msg)
            case 2:
                raise MemoryError
            case _:
                pass
        return bytes(data)


class SmallTurns(IngestionWorker):
    _spill_type = FailingSpill

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._turns.msgs_max = 2
        self._turns.slice_s = 5e-6
        # A wake-up that is lost must not be found by chance.
        self._blocking.hub_look_s = float("inf")


class NumberPeekers(Peekers):
    """Reads the head of a numbered message."""

    def head(self, msg: ArrowMsg) -> tuple[EntityPath | None, bool]:
        return EntityPath(f"/e{number_of(msg) % 2}"), number_of(msg) >= STATIC_FROM

    def time_ranges(self, msg: ArrowMsg) -> Mapping[str, tuple[int, int]]:
        del msg
        return {}


@dataclass
class Store:
    """One worker, who submits to it, who takes from it, and what is known of both."""

    world: World
    name: str
    policy: Policy
    has_lanes: bool
    worker: IngestionWorker = field(init=False)
    commit_lock: Lock = field(init=False)
    accepted: dict[int, int] = field(default_factory=dict)
    committed: list[Outcome] = field(default_factory=list)
    num_committed: int = 0
    barriers: list[tuple[int, int]] = field(default_factory=list)
    submitters: int = 0

    def commit(self) -> None:
        with self.commit_lock:
            taken = self.worker.take_output()
            self.world.runtime.pause()
            self.committed += taken
            self.num_committed += num_messages(taken)
            if taken:
                self.worker.acknowledge()

    def submit(self, first: int, count: int) -> None:
        """Submit numbers one after the other, in one of the ways there are."""
        chance = self.world.chance
        for number in range(first, first + count):
            if chance.random() < 0.2:
                number += STATIC_FROM  # noqa: PLW2901
            sizes = [SIZE, SIZE, 2 * SIZE, 9 * SIZE, BUDGET, BUDGET + 1]
            msg = self.message(number, chance.choice(sizes))
            way = chance.randrange(6)
            try:
                if way == 0:
                    self.try_until_taken(msg)
                elif way == 1:
                    self.accepted[self.worker.submit(msg, timeout=1e-4)] = number
                elif way == 2:
                    self.worker.submit_many([msg, msg, msg][: chance.randint(1, 3)])
                elif way == 3:
                    place = self.worker.set_barrier()
                    self.accepted[self.worker.submit(msg)] = number
                    self.barriers.append((place, number))
                elif way == 4:
                    with self.world.runtime.lend_thread():
                        self.worker.submit_many([msg, msg, msg][: chance.randint(1, 3)])
                else:
                    self.accepted[self.worker.submit(msg)] = number
            except QueueFullError:
                assert way == 1
            except WorkerClosedError:
                return
        self.submitters -= 1

    def try_until_taken(self, msg: ArrowMsg) -> None:
        while not self.worker.try_submit(msg):
            self.world.runtime.pause()
            if self.world.chance.random() < 0.3:
                self.commit()
                if self.world.has_one_thread:
                    self.world.chance.choice(self.world.stores).commit()

    def message(self, number: int, size: int) -> ArrowMsg:
        msg = numbered(number, size, StoreId.recording("app", self.name))
        return self.world.marked(msg, is_static=number >= STATIC_FROM)

    def poll(self) -> None:
        while self.submitters > 0:
            self.world.runtime.pause()
            self.commit()

    def flush(self) -> None:
        seq = self.worker.last_seq
        timeout = self.world.chance.choice([1e-2, 1e-2, 1, None])
        if self.worker.wait_processed(seq, timeout=timeout):
            with self.commit_lock:
                assert self.worker._core.is_processed(seq), "flushed before it was processed"

    def close(self) -> None:
        self.world.runtime.sleep(self.world.chance.random() * 1e-3)
        with contextlib.suppress(FlushTimeoutError):
            self.worker.close(timeout=1)
        self.submitters = 0

    def check(self) -> None:
        if not self.worker._lock.locked():  # type: ignore[attr-defined]
            self.worker.validate()
        if self.has_lanes:
            for is_static in (False, True):
                lane = [
                    out.seq
                    for out in self.committed
                    if isinstance(out, ProcessedChunk) and self.is_static(out) == is_static
                ]
                assert lane == sorted(lane), f"order in a lane of {self.name}"
            return
        expected = 0
        for out in self.committed:
            assert out.seq == expected, f"order of {self.name}"
            expected += num_messages([out])

    @staticmethod
    def is_static(out: ProcessedChunk) -> bool:
        return int(out.chunk) >= STATIC_FROM  # type: ignore[call-overload, no-any-return]

    def finish(self) -> None:
        """The owner, in the end: take all that there is."""
        while self.submitters > 0:
            self.world.runtime.sleep(1e-4)
        while self.num_committed < self.worker.stats().accepted:
            self.commit()
            self.world.runtime.sleep(1e-5)

    def check_end(self) -> None:
        self.commit()
        self.check()
        stats = self.worker.stats()
        assert stats.accepted == self.num_committed, f"lost in {self.name}"
        assert (stats.in_flight, stats.queue_bytes, stats.output_bytes) == (0, 0, 0)
        assert (stats.spill_depth, stats.spill_bytes) == (0, 0)
        rejections = [out for out in self.committed if isinstance(out, RejectedMsg)]
        for out in self.committed:
            if out.seq in self.accepted and isinstance(out, ProcessedChunk):
                assert out.chunk == self.accepted[out.seq]  # type: ignore[comparison-overlap]
        assert stats.rejected == len(rejections)
        large = [one for one in rejections if isinstance(one.error, LimitError)]
        assert all(one.reason == "hub_budget" for one in large)
        lost = [one for one in rejections if isinstance(one.error, SpillError)]
        assert not lost or isinstance(self.policy, Spill)
        self.check_dropped()
        self.check_barriers()

    def check_dropped(self) -> None:
        drops = [out for out in self.committed if isinstance(out, DroppedMsg)]
        stats = self.worker.stats()
        assert stats.dropped == sum(out.count for out in drops)
        gaps = self.worker.gaps()
        assert stats.dropped == sum(gap.count for gap in gaps), "a gap is missing"
        dropping = (Deadline, DropNewest, DropOldest, LatestWins)
        assert not drops or isinstance(self.policy, dropping), "dropped without a policy"
        gone = {seq for out in drops for seq in range(out.seq, out.last_seq + 1)}
        if not self.has_lanes:
            kept = [self.accepted.get(seq, 0) for seq in gone]
            assert all(number < STATIC_FROM for number in kept), "static data is dropped"

    def check_barriers(self) -> None:
        """What came before a barrier has a place before it."""
        places, place = {}, 0
        for out in self.committed:
            places[out.seq] = place
            place += num_messages([out])
        for barrier, _ in self.barriers:
            for seq, at in places.items():
                if seq >= barrier:
                    assert at >= barrier or seq < barrier, f"a barrier of {self.name} is passed"


class World:
    """Two stores that share a budget, with policies, faults, closings and every kind of owner."""

    def __init__(
        self,
        seed: int,
        worker_type: type[IngestionWorker] = SmallTurns,
        choose: Callable[[int], int] | None = None,
        steps_max: int = 20_000,
    ) -> None:
        self.chance = chance = random.Random(seed)
        self.runtime = runtime = SimulatedRuntime(
            seed, workers=chance.randint(1, 3), steps_max=steps_max, choose=choose
        )
        self.budget = ByteBudget(BUDGET, runtime=runtime)
        self.stores: list[Store] = []
        self.has_one_thread = chance.random() < 0.2
        for name in ("a", "b"):
            self.stores.append(self.store(name, worker_type, is_alone=not self.has_one_thread))
        if self.has_one_thread:
            runtime.spawn("all", self.do_all)

    def do_all(self) -> None:
        """One thread that submits to all stores and owns all of them: it never waits for itself."""
        for number in range(10):
            self.chance.choice(self.stores).submit(10 * number, 1)
            if self.chance.random() < 0.2:
                self.chance.choice(self.stores).commit()
        for store in self.stores:
            store.submitters = 0
        while any(store.num_committed < store.worker.stats().accepted for store in self.stores):
            for store in self.stores:
                if self.chance.random() < 0.2:
                    assert store.worker.wait_processed(), "it waits for itself"
                store.commit()
            self.runtime.sleep(1e-5)

    def store(self, name: str, worker_type: type[IngestionWorker], *, is_alone: bool) -> Store:
        chance, runtime = self.chance, self.runtime
        store = Store(self, name, chance.choice(POLICIES), chance.random() < 0.3)
        commits_itself = chance.random() < 0.4
        store.commit_lock = runtime.rlock()
        byte_budget: int | AdaptiveBudget = chance.choice([2, 5, 20]) * SIZE
        if chance.random() < 0.2:
            byte_budget = AdaptiveBudget(SIZE, 20 * SIZE, 0)
        worker = store.worker = worker_type(
            chance.randint(1, 4),
            byte_budget,
            store_id=StoreId.recording("app", name),
            runtime=runtime,
            hub_budget=self.budget,
            turns_max=chance.choice([1, 2, None]),
            has_lanes=store.has_lanes,
            policies=PolicyRules().with_policy(store.policy),
            on_output=store.commit if commits_itself else None,
            on_full=store.commit,
            decoder_factory=lambda: self.decode,
        )
        if worker._full_queue is not None:
            worker._full_queue.peekers = NumberPeekers(runtime)
        if worker._turns.stepper is not None:
            worker._turns.stepper.free_memory = lambda: chance.choice([0, 10, 100]) * SIZE
        if not is_alone:
            return store
        store.submitters = chance.randint(1, 2)
        for number in range(store.submitters):
            submit = functools.partial(store.submit, 100 * number, 5)
            runtime.spawn(f"submitter-{name}{number}", submit)
        runtime.spawn(f"owner-{name}", store.finish)
        if chance.random() < 0.5:
            runtime.spawn(f"poller-{name}", store.poll)
        if chance.random() < 0.3:
            runtime.spawn(f"flusher-{name}", store.flush)
        if chance.random() < 0.2:
            runtime.spawn(f"closer-{name}", store.close)
        return store

    def marked(self, msg: ArrowMsg, *, is_static: bool) -> ArrowMsg:
        told = None if self.chance.random() < 0.1 and not self.has_lanes(msg) else is_static
        return ArrowMsg(msg.store_id, msg.payload, chunk_id=msg.chunk_id, is_static=told)

    def has_lanes(self, msg: ArrowMsg) -> bool:
        return any(one.has_lanes for one in self.stores if one.name == msg.store_id.recording_id)

    def decode(self, msg: ArrowMsg) -> Chunk:
        """Decode at once, after a while, not at all, or not the first time."""
        match self.chance.randrange(12):
            case 0:
                raise MemoryError
            case 1:
                self.runtime.sleep(self.chance.random() * 1e-3)
            case 2:
                self.runtime.pause()
            case _:
                pass
        assert number_of(msg) < 1000
        return decode_number(msg)

    def check(self) -> None:
        if not self.budget._lock.locked():  # type: ignore[attr-defined]
            self.budget.validate()
        for store in self.stores:
            store.check()

    def run(self) -> None:
        with tempfile.TemporaryDirectory(prefix="forebay-simulated-") as directory:
            FailingSpill.chance, FailingSpill.directory = self.chance, Path(directory)
            FailingSpill.pause = staticmethod(self.runtime.pause)
            self.runtime.run(self.check)
            for store in self.stores:
                store.check_end()
            self.stores_are_gone()
            assert self.budget.used_bytes == 0
            left = list(Path(directory).rglob("*.spill"))
            assert not left, "spill files are left behind"

    def stores_are_gone(self) -> None:
        """Nothing is left of what only a simulation's end can tell."""
        assert self.budget.num_busy == 0
        assert not self.budget._waiting, "a place among those that wait is left behind"
        assert self.budget._heir is None
