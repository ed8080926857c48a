"""The worker as it is, under thousands of interleavings drawn from seeds; and planted bugs."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from forebay.chunk import Chunk
from forebay.errors import QueueFullError, WorkerClosedError
from forebay.ingest import ByteBudget, IngestionWorker, Outcome, ProcessedChunk, RejectedMsg
from forebay.ingest.core import IngestCore
from forebay.model import ArrowMsg
from forebay.runtime import Lock, SimulatedRuntime, SimulationError
from tests.ingest.support import SIZE, decode_number, number_of, numbered
from tests.ingest.test_core import LeaksBytes, OutOfOrder

SEEDS = 2400


class SmallTurns(IngestionWorker):
    _turn_msgs_max = 2


@dataclass
class Store:
    """One worker, who submits to it, who takes from it, and what is known of both."""

    world: World
    name: str
    worker: IngestionWorker = field(init=False)
    commit_lock: Lock = field(init=False)
    accepted: dict[int, int] = field(default_factory=dict)
    committed: list[Outcome] = field(default_factory=list)
    submitters: int = 0

    def commit(self) -> None:
        with self.commit_lock:
            taken = self.worker.take_output()
            self.world.runtime.pause()
            self.committed += taken
            if taken:
                self.worker.acknowledge()

    def submit(self, first: int, count: int) -> None:
        """Submit numbers one after the other, in one of the ways there are."""
        chance = self.world.chance
        for number in range(first, first + count):
            msg = numbered(number, chance.choice([SIZE, SIZE, 2 * SIZE, 9 * SIZE]))
            way = chance.randrange(4)
            try:
                if way == 0:
                    while not self.worker.try_submit(msg):
                        self.world.runtime.pause()
                        if self.world.chance.random() < 0.3:
                            self.commit()
                elif way == 1:
                    self.accepted[self.worker.submit(msg, timeout=1e-4)] = number
                elif way == 2:
                    self.worker.submit_many([msg, msg, msg][: chance.randint(1, 3)])
                else:
                    self.accepted[self.worker.submit(msg)] = number
            except QueueFullError:
                assert way == 1
            except WorkerClosedError:
                return
        self.submitters -= 1

    def poll(self) -> None:
        while self.submitters > 0:
            self.world.runtime.pause()
            self.commit()

    def close(self) -> None:
        self.world.runtime.sleep(self.world.chance.random() * 1e-3)
        self.worker.close()
        self.submitters = 0

    def check(self) -> None:
        if not self.worker._lock.locked():  # type: ignore[attr-defined]
            self.worker.validate()
        seqs = [out.seq for out in self.committed]
        assert seqs == list(range(len(seqs))), f"order of {self.name}"

    def check_end(self) -> None:
        self.commit()
        self.check()
        stats = self.worker.stats()
        assert stats.accepted == len(self.committed), f"lost in {self.name}"
        assert (stats.in_flight, stats.queue_bytes, stats.output_bytes) == (0, 0, 0)
        for out in self.committed:
            if out.seq in self.accepted and isinstance(out, ProcessedChunk):
                assert out.chunk == self.accepted[out.seq]  # type: ignore[comparison-overlap]
        assert stats.rejected == sum(isinstance(out, RejectedMsg) for out in self.committed)


class World:
    """Two stores that share a budget, with faults, closings and every kind of owner."""

    def __init__(self, seed: int, worker_type: type[IngestionWorker] = SmallTurns) -> None:
        self.chance = chance = random.Random(seed)
        self.runtime = runtime = SimulatedRuntime(
            seed, workers=chance.randint(1, 3), steps_max=10_000
        )
        self.budget = ByteBudget(12 * SIZE, runtime=runtime)
        self.stores: list[Store] = []
        for name in ("a", "b"):
            store = Store(self, name)
            commits_itself = chance.random() < 0.4
            store.commit_lock = runtime.rlock()
            store.worker = worker_type(
                chance.randint(1, 4),
                chance.choice([2, 5, 20]) * SIZE,
                runtime=runtime,
                hub_budget=self.budget,
                turns_max=chance.randint(1, 2),
                on_output=store.commit if commits_itself else None,
                on_full=store.commit,
                decoder_factory=lambda: self.decode,
            )
            self.stores.append(store)
            store.submitters = chance.randint(1, 2)
            for number in range(store.submitters):
                submit = functools.partial(store.submit, 100 * number, 5)
                runtime.spawn(f"submitter-{name}{number}", submit)
            if chance.random() < 0.5:
                runtime.spawn(f"poller-{name}", store.poll)
            if chance.random() < 0.2:
                runtime.spawn(f"closer-{name}", store.close)

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
        for store in self.stores:
            store.check()

    def run(self) -> None:
        self.runtime.run(self.check)
        for store in self.stores:
            store.check_end()
        assert self.budget.used_bytes == 0


@pytest.mark.parametrize("block", range(8))
def test_all_promises_hold_in_every_interleaving(block: int) -> None:
    part = SEEDS // 8
    for seed in range(block * part, (block + 1) * part):
        World(seed).run()


class NeverNotifies(SmallTurns):
    """Planted: room is made, but who waits for it is not told."""

    def _settle(self, refused: Sequence[RejectedMsg]) -> Any:
        waiting, self._num_waiting = self._num_waiting, 0
        try:
            return super()._settle(refused)
        finally:
            self._num_waiting = waiting


class ForgetsToStart(SmallTurns):
    """Planted: no turn is asked for if the queue was not empty."""

    def _wants_turn(self) -> bool:
        return self._core.queue_depth <= 1 and super()._wants_turn()


class CallsBackUnderItsLock(SmallTurns):
    """Planted: the owner is asked to commit while the lock is held."""

    def _wait(self, deadline: float | None) -> bool:
        if self._on_full is not None:
            self._on_full()
        return super()._wait(deadline)


class KeepsTheHubsBytes(SmallTurns):
    """Planted: what was rejected is given back to the store, not to the hub."""

    def _settle(self, refused: Sequence[RejectedMsg]) -> Any:
        share, self._share = self._share, None
        try:
            return super()._settle(refused)
        finally:
            self._share = share


class TakesWithoutLock(SmallTurns):
    """Planted: looks, lets others in, then acts on what it saw."""

    def take_output(self, turns_max: int | None = None) -> list[Outcome]:
        outcomes = [out for one in self._core._output for out in one.outcomes]
        super().take_output(turns_max)
        return outcomes


class WithOutOfOrder(SmallTurns):
    _core_type: type[IngestCore] = OutOfOrder


class WithLeak(SmallTurns):
    _core_type: type[IngestCore] = LeaksBytes


class DropsOne(IngestCore):
    """Planted: a message vanishes from a full queue."""

    def take(self, msgs_max: int, bytes_max: int, now_s: float) -> Any:
        if len(self._rest) == 4:
            entry: Any = self._rest.pop()
            self.accepted -= 1
            self.queue_depth -= 1
            self.queue_bytes -= entry.cost
        return super().take(msgs_max, bytes_max, now_s)


class WithLoss(SmallTurns):
    _core_type: type[IngestCore] = DropsOne


@pytest.mark.parametrize(
    "mutant",
    [
        NeverNotifies,
        ForgetsToStart,
        CallsBackUnderItsLock,
        KeepsTheHubsBytes,
        TakesWithoutLock,
        WithOutOfOrder,
        WithLeak,
        WithLoss,
    ],
)
def test_a_planted_bug_is_found(mutant: type[IngestionWorker]) -> None:
    def fails(seed: int) -> str:
        try:
            World(seed, mutant).run()
        except (SimulationError, AssertionError) as error:
            return str(error)
        return ""

    seed, story = next((seed, text) for seed in range(SEEDS) if (text := fails(seed)))
    assert fails(seed) == story, "a seed replays"
