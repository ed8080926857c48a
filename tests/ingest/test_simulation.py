"""The worker as it is, under thousands of interleavings drawn from seeds; and planted bugs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from forebay.ingest import IngestionWorker, Outcome, RejectedMsg
from forebay.ingest.core import IngestCore
from forebay.runtime import SimulationError
from tests.ingest.test_core import LeaksBytes, OutOfOrder
from tests.ingest.worlds import SmallTurns, World

SEEDS = 2400


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
