"""The worker as it is, under thousands of interleavings drawn from seeds; and planted bugs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from forebay.ingest import IngestionWorker, Outcome, RejectedMsg
from forebay.ingest.core import IngestCore
from forebay.ingest.full_queue import FullQueue
from forebay.ingest.turns import Turns
from forebay.ingest.waiters import Waiters
from forebay.model import ArrowMsg
from tests.ingest.simulate import (
    fails,
    failure,
    recorded,
    replay,
    shortest,
    without_end,
    without_steps,
)
from tests.ingest.test_core import LeaksBytes, OutOfOrder
from tests.ingest.worlds import FailingSpill, SmallTurns, World

SEEDS = 800
FOUND_BY = 2400


@pytest.mark.parametrize("block", range(8))
def test_all_promises_hold_in_every_interleaving(block: int) -> None:
    part = SEEDS // 8
    for seed in range(block * part, (block + 1) * part):
        World(seed).run()


class Mute(Waiters):
    def notify(self) -> None:
        pass


class NeverNotifies(SmallTurns):
    """Planted: room is made, but the threads that wait for it are not woken."""

    def _settle(self, refused: Sequence[RejectedMsg]) -> Any:
        waiters, self._waiters = self._waiters, Mute(self._core, self._lock, self._runtime)
        try:
            return super()._settle(refused)
        finally:
            self._waiters = waiters


class ForgetfulTurns(Turns):
    def wants(self) -> bool:
        return self._core.queue_depth <= 1 and super().wants()


class ForgetsToStart(SmallTurns):
    """Planted: no turn is asked for if the queue was not empty."""

    _turns_type = ForgetfulTurns


class CallingWaiters(Waiters):
    on_full: Any = None

    def wait(self, deadline_s: float | None) -> bool:
        self.on_full()
        return super().wait(deadline_s)


class CallsBackUnderItsLock(SmallTurns):
    """Planted: the owner is asked to commit while the lock is held."""

    _waiters_type = CallingWaiters

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._waiters.on_full = settings["on_full"]  # type: ignore[attr-defined]


class KeepsTheHubsBytes(SmallTurns):
    """Planted: what was rejected is given back to the store, not to the hub."""

    def _settle(self, refused: Sequence[RejectedMsg]) -> Any:
        share, self._queue.share = self._queue.share, None
        try:
            return super()._settle(refused)
        finally:
            self._queue.share = share


class TakesWithoutLock(SmallTurns):
    """Planted: looks, lets others in, then acts on what it saw."""

    def take_output(self, turns_max: int | None = None) -> list[Outcome]:
        outcomes = [out for one in self._core.reorder.output for out in one.outcomes]
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


class ForgetsBarriers(SmallTurns):
    """Planted: static data passes what it must not pass."""

    def set_barrier(self) -> int:
        return self._core.accepted


class TakesAllForTemporal(FullQueue):
    def submission(self, msg: ArrowMsg, source: object) -> Any:
        return super().submission(msg._replace(is_static=False), source)


class DropsStatic(SmallTurns):
    """Planted: static data is treated as any other."""

    _full_queue_type = TakesAllForTemporal


class BackwardSpill(FailingSpill):
    def _read_segment(self, *arguments: Any) -> Any:
        return super()._read_segment(*arguments)[::-1]


class SpillsBackwards(SmallTurns):
    """Planted: the last message of a segment comes back first."""

    _spill_type = BackwardSpill


class PassesSpilled(IngestCore):
    def has_room(self, cost: int, **_: bool) -> bool:
        return self._fits(cost)


class LetsOthersPassTheSpilled(SmallTurns):
    """Planted: there is room, so a message is queued, before those on disk."""

    _core_type: type[IngestCore] = PassesSpilled


class NeverResumes(Turns):
    def resume(self) -> None:
        pass


class ForgetsTheSpilled(SmallTurns):
    """Planted: no turn is asked for when output has made room."""

    _turns_type = NeverResumes


class KeepsBytes(FullQueue):
    def drop_others(self, submission: Any) -> int | None:
        share = self._queue.share
        assert share is not None
        self._queue.share = _Deaf(share)  # type: ignore[assignment]
        try:
            return super().drop_others(submission)
        finally:
            self._queue.share = share


class KeepsVictimsBytes(SmallTurns):
    """Planted: a message dropped from the queue keeps its bytes of the hub's budget."""

    _full_queue_type = KeepsBytes


class _Deaf:
    def __init__(self, share: Any) -> None:
        self._share = share

    def __getattr__(self, name: str) -> Any:
        return getattr(self._share, name)

    def release(self, cost: int) -> list[Any]:
        del cost
        return []


class ForgetsGaps(FullQueue):
    def note_gap(self, *_: Any) -> None:
        pass


class NoGaps(SmallTurns):
    """Planted: what is dropped is forgotten."""

    _full_queue_type = ForgetsGaps


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
        ForgetsBarriers,
        DropsStatic,
        SpillsBackwards,
        LetsOthersPassTheSpilled,
        ForgetsTheSpilled,
        KeepsVictimsBytes,
        NoGaps,
    ],
)
def test_a_planted_bug_is_found(mutant: type[IngestionWorker]) -> None:
    seed, story = next((seed, text) for seed in range(FOUND_BY) if (text := failure(seed, mutant)))
    assert failure(seed, mutant) == story, "a seed replays"


def test_a_failing_schedule_shrinks_to_what_it_needs() -> None:
    seed = next(seed for seed in range(FOUND_BY) if recorded(seed, WithOutOfOrder))
    choices = recorded(seed, WithOutOfOrder)

    def still_fails(candidate: list[int]) -> bool:
        return fails(replay(seed, WithOutOfOrder, candidate))

    short = shortest(seed, WithOutOfOrder)
    assert still_fails(short), "what is printed replays"
    assert len(short) < len(without_end(choices, still_fails)) < len(choices)
    for step in range(len(short)):
        assert not still_fails(short[:step] + short[step + 1 :]), "no choice too many"


def test_steps_are_left_out_wherever_they_stand() -> None:
    needed = [3, 40, 41, 97]

    def still_fails(candidate: list[int]) -> bool:
        return [one for one in candidate if one in needed] == needed

    assert without_end(list(range(100)), still_fails) == list(range(98))
    assert without_steps(list(range(100)), still_fails) == needed
