"""The core alone, driven by Hypothesis through every order of events, against a simple model."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from forebay.errors import StoreError
from forebay.ingest import Outcome, ProcessedChunk, RejectedMsg
from forebay.ingest.core import Batch, IngestCore
from forebay.ingest.queue import Entry
from forebay.ingest.reorder import Finished, Reorder
from forebay.ingest.validation import validate
from tests.ingest.support import SIZE, STORE, decode_number, numbered

CAPACITY = 4
BUDGET = 6 * SIZE


class IngestCoreMachine(RuleBasedStateMachine):
    """Submits, takes, finishes in any order (or in part), hands over, settles."""

    core_type: type[IngestCore] = IngestCore

    def __init__(self) -> None:
        super().__init__()
        self.core = self.core_type(CAPACITY, BUDGET)
        self.now_s = 0.0
        self.accepted = 0
        self.in_turns: list[Batch] = []
        self.left: list[int] = []
        self.handed: list[Outcome] = []
        self.settled = 0

    @rule(size=st.sampled_from([SIZE, SIZE, 3 * SIZE, 20 * SIZE]))
    def submit(self, size: int) -> None:
        if self.core.has_room(size):
            self.now_s += 1
            seq = self.core.accept(numbered(self.accepted, size), "s", size, self.now_s)
            assert seq == self.accepted
            self.accepted += 1
        else:
            stats = self.core.stats(self.now_s, is_closed=False)
            assert stats.in_flight > 0, "an empty worker has room for anything"

    @rule(msgs_max=st.integers(1, 4), bytes_max=st.sampled_from([1, 2 * SIZE, 100 * SIZE]))
    def take(self, msgs_max: int, bytes_max: int) -> None:
        had_input = self.core.has_input
        batch = self.core.take(msgs_max, bytes_max, self.now_s)
        assert (batch is not None) == had_input
        if batch is not None:
            assert len(batch.entries) >= 1
            self.in_turns.append(batch)

    @precondition(lambda self: self.in_turns)
    @rule(data=st.data())
    def finish(self, data: Any) -> None:
        batch = self.in_turns.pop(data.draw(st.integers(0, len(self.in_turns) - 1)))
        done = data.draw(st.integers(0, len(batch.entries)))
        outcomes: list[Outcome] = []
        for seq, entry in enumerate(batch.entries[:done], batch.first_place):
            assert decode_number(entry.msg) == cast("Any", seq)
            if seq % 3 == 2:
                error = StoreError("bad")
                outcomes.append(RejectedMsg(seq, STORE, None, error, "s", entry.cost))
            else:
                outcomes.append(ProcessedChunk(seq, decode_number(entry.msg), "s", entry.cost))
        self.core.finish(batch, outcomes, self.now_s, self.now_s)

    @precondition(lambda self: self.in_turns)
    @rule(data=st.data())
    def break_off(self, data: Any) -> None:
        """A turn ends without a word: what it had taken is taken again, at the same place."""
        batch = self.in_turns.pop(data.draw(st.integers(0, len(self.in_turns) - 1)))
        self.core.give_back_others(self.in_turns)
        assert self.core.has_input
        assert batch.first_place not in self.core._decoding

    @rule(batches_max=st.sampled_from([None, 1]))
    def hand_over(self, batches_max: int | None) -> None:
        outcomes = self.core.reorder.hand_over(self.now_s, batches_max)
        known = len(self.handed)
        assert outcomes[:known] == self.handed, "what is not settled comes again"
        self.handed = outcomes
        self.left += [out.seq for out in outcomes[known:]]
        assert self.left == list(range(len(self.left))), "order, and nothing lost"

    @rule(refuse=st.booleans())
    def settle(self, refuse: bool) -> None:
        chunks = [out for out in self.handed if isinstance(out, ProcessedChunk)]
        refused = [
            RejectedMsg(out.seq, STORE, None, StoreError("no"), "s", out.size_bytes)
            for out in chunks[: int(refuse)]
        ]
        released = self.core.settle(refused)
        assert released == sum(out.size_bytes for out in self.handed)
        self.settled += len(self.handed)
        self.handed = []

    @invariant()
    def promises(self) -> None:
        validate(self.core)
        stats = self.core.stats(self.now_s, is_closed=False)
        assert stats.accepted == self.accepted
        assert stats.accepted == stats.committed + stats.rejected + stats.dropped + stats.in_flight
        assert stats.committed + stats.rejected == self.settled
        assert stats.in_flight == stats.queue_depth + stats.output_depth
        assert stats.rejected == sum(stats.rejected_by_reason.values())

    def teardown(self) -> None:
        """Whatever was done, everything accepted can be finished."""
        while (batch := self.core.take(100, 10**9, self.now_s)) is not None:
            self.in_turns.append(batch)
        for batch in self.in_turns:
            outcomes: list[Outcome] = [
                ProcessedChunk(seq, decode_number(entry.msg), "s", entry.cost)
                for seq, entry in enumerate(batch.entries, batch.first_place)
            ]
            self.core.finish(batch, outcomes, self.now_s, self.now_s)
        self.hand_over_all()

    def hand_over_all(self) -> None:
        self.left += [
            out.seq for out in self.core.reorder.hand_over(self.now_s)[len(self.handed) :]
        ]
        self.core.settle()
        assert self.left == list(range(self.accepted))
        validate(self.core)
        stats = self.core.stats(self.now_s, is_closed=False)
        assert (stats.in_flight, stats.queue_bytes, stats.output_bytes) == (0, 0, 0)


def test_what_is_given_back_is_taken_again_in_the_order_of_places() -> None:
    core = IngestCore(10, 100 * SIZE)
    for number in range(6):
        core.accept(numbered(number), None, SIZE, 0.0)
    first, second, third = (core.take(2, 10**9, 0.0) for _ in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    core.finish(third, [ProcessedChunk(4, decode_number(numbered(4)), None, SIZE)], 0.0, 0.0)
    core.give_back(second)
    core.finish(first, [ProcessedChunk(0, decode_number(numbered(0)), None, SIZE)], 0.0, 0.0)
    taken: list[int] = []
    while (batch := core.take(10, 10**9, 0.0)) is not None:
        taken += [entry.seq for entry in batch.entries]
    assert taken == [1, 2, 3, 5]
    validate(core)


TestIngestCore = IngestCoreMachine.TestCase
TestIngestCore.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


class ReleasesAtOnce(Reorder):
    def release(self) -> bool:
        for first in list(self.early):
            self.output.append(self.early.pop(first))
            self.next_place += len(self.output[-1].outcomes)
        return True


class OutOfOrder(IngestCore):
    """Planted: hands out whichever turn is finished first."""

    _reorder_type = ReleasesAtOnce


class LosesTheRest(IngestCore):
    """Planted: forgets the messages of an interrupted turn."""

    def finish(self, batch: Batch, outcomes: list[Outcome], *times: Any) -> bool:
        released = super().finish(batch, outcomes, *times)
        self._returned.clear()
        return released


class LeaksBytes(IngestCore):
    """Planted: a rejection never gives its bytes back."""

    def settle(self, refused: Any = (), *times: Any) -> int:
        leaked = sum(
            out.size_bytes
            for one in self.reorder.handed
            for out in one.outcomes
            if isinstance(out, RejectedMsg)
        )
        released = super().settle(refused, *times)
        self.reorder.size_bytes += leaked
        return released


class CountsTwice(IngestCore):
    """Planted: what the store refuses counts as committed too."""

    def settle(self, refused: Any = (), *times: Any) -> int:
        released = super().settle(refused, *times)
        self.counts.committed += len(refused)
        return released


class LetsTooMuchIn(IngestCore):
    """Planted: one message more than the capacity."""

    def has_room(self, cost: int, *, is_first: bool = False) -> bool:
        self.capacity += 1
        try:
            return super().has_room(cost, is_first=is_first)
        finally:
            self.capacity -= 1


class ForgetsOutputBytes(IngestCore):
    """Planted: processed messages do not count any more."""

    def has_room(self, cost: int, **_: bool) -> bool:
        return self.queue_depth < self.capacity and self.queue_bytes + cost <= self.byte_budget


class KeepsOutput(Reorder):
    def hand_over(self, now_s: float, turns_max: int | None = None) -> list[Outcome]:
        before: list[Finished] = list(self.output)
        outcomes = super().hand_over(now_s, turns_max)
        if turns_max is not None:
            self.output = before
        return outcomes


class HandsOverTwice(IngestCore):
    """Planted: output stays after it was handed over in part."""

    _reorder_type = KeepsOutput


@pytest.mark.parametrize(
    "mutant",
    [
        OutOfOrder,
        LosesTheRest,
        LeaksBytes,
        CountsTwice,
        LetsTooMuchIn,
        ForgetsOutputBytes,
        HandsOverTwice,
    ],
)
def test_a_planted_bug_is_found(mutant: type[IngestCore]) -> None:
    class Machine(IngestCoreMachine):
        core_type = mutant

    case = Machine.TestCase
    case.settings = settings(
        max_examples=500,
        stateful_step_count=40,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],  # found is enough; no need for the smallest example
    )
    with pytest.raises(Exception):  # noqa: B017, PT011, RUF100 - whatever it trips over first
        case("runTest").runTest()


def test_many_find_no_room_before_those_on_disk() -> None:
    core = IngestCore(CAPACITY, BUDGET)
    assert core.room_for([SIZE, SIZE]) == 2
    core.spill(SIZE)
    assert core.room_for([SIZE, SIZE]) == 0


def test_room_is_counted_to_the_byte() -> None:
    core = IngestCore(10, 100)
    assert core.room_for([50, 50]) == 2
    assert core.room_for([50, 51]) == 1
    core.accept(numbered(0), "s", 50, 0.0)
    assert core.has_room(50)
    assert not core.has_room(51)


def test_what_was_spilled_comes_back_when_half_of_both_is_free() -> None:
    for capacity, byte_budget in ((4, 100 * SIZE), (100, 4 * SIZE)):
        core = IngestCore(capacity, byte_budget)
        for number in range(3):
            core.accept(numbered(number), "s", SIZE, 0.0)
        core.spill(SIZE)
        assert not core.wants_spilled
        batch = core.take(1, 100 * SIZE, 0.0)
        assert batch is not None
        core.finish(batch, [RejectedMsg(0, STORE, None, StoreError("no"))], 0.0, 0.0)
        core.reorder.hand_over(0.0)
        core.settle()
        assert core.wants_spilled


def test_what_is_on_disk_is_neither_queued_nor_output() -> None:
    core = IngestCore(CAPACITY, BUDGET)
    core.accept(numbered(0), "s", SIZE, 0.0)
    core.spill(SIZE)
    core.spill(SIZE)
    stats = core.stats(0.0, is_closed=False)
    assert (stats.in_flight, stats.queue_depth, stats.spill_depth) == (3, 1, 2)
    assert stats.output_depth == 0
    assert stats.spill_bytes == 2 * SIZE


def test_rejections_are_in_order_whoever_refused() -> None:
    core = IngestCore(CAPACITY, BUDGET)
    for number in range(2):
        core.accept(numbered(number), "s", SIZE, 0.0)
    batch = core.take(10, 100 * SIZE, 0.0)
    assert batch is not None
    chunk = ProcessedChunk(0, cast("Any", 0), "s", SIZE)
    late = RejectedMsg(1, STORE, None, StoreError("no"))
    core.finish(batch, [chunk, late], 0.0, 0.0)
    core.reorder.hand_over(0.0)
    core.settle([RejectedMsg(0, STORE, None, StoreError("refused"))])
    assert [one.seq for one in core.reorder.rejections] == [0, 1]
    assert (core.counts.committed, core.counts.rejected) == (0, 2)


def test_static_data_passes_what_is_spilled_but_no_barrier_behind_it() -> None:
    core = IngestCore(10, BUDGET, has_lanes=True)
    assert core.spill(SIZE) == 0
    assert core.has_room(SIZE, is_first=True)
    assert not core.has_room(SIZE)
    core.set_barrier()
    assert not core.has_room(SIZE, is_first=True)
    core.unspill(Entry(numbered(0), "s", SIZE, 0.0, 0), SIZE)
    assert core.has_room(SIZE, is_first=True)
    core.accept(numbered(1), "s", SIZE, 0.0, is_first=True)
    batch = core.take(10, BUDGET, 0.0)
    assert batch is not None
    assert [one.seq for one in batch.entries] == [0], "the barrier holds for what came from disk"


def test_a_second_turn_is_worth_it_for_many_messages_or_for_bulky_ones() -> None:
    core = IngestCore(10, BUDGET)
    core.accept(numbered(0), "s", 3 * SIZE, 0.0)
    assert not core.exceeds(4, 2 * SIZE), "one message is one turn, whatever its size"
    core.accept(numbered(1), "s", SIZE, 0.0)
    assert core.exceeds(4, 2 * SIZE)
    assert core.exceeds(1, 100 * SIZE)
    assert not core.exceeds(4, 100 * SIZE)


def test_a_barrier_holds_only_while_something_is_on_disk() -> None:
    core = IngestCore(10, BUDGET, has_lanes=True)
    core.spill(SIZE)
    core.set_barrier()
    core.unspill(Entry(numbered(0), "s", SIZE, 0.0, 0), SIZE)
    core.spill(SIZE)
    assert core.has_room(SIZE, is_first=True)


def test_what_came_back_from_disk_is_known_to_have_come() -> None:
    """So that nothing is queued twice if a Ctrl-C comes before its file hears of it."""
    core = IngestCore(10, BUDGET)
    core.spill(SIZE)
    core.spill(SIZE)
    assert not core.is_unspilled(0)
    core.unspill(Entry(numbered(0), "s", SIZE, 0.0, 0), SIZE)
    assert core.is_unspilled(0)
    assert not core.is_unspilled(1)


def test_what_is_on_disk_is_not_processed_whatever_went_by() -> None:
    core = IngestCore(10, BUDGET, has_lanes=True)
    core.spill(SIZE)
    core.accept(numbered(1), "s", SIZE, 0.0, is_first=True)
    batch = core.take(10, BUDGET, 0.0)
    assert batch is not None
    core.finish(batch, [ProcessedChunk(1, cast("Any", 1), "s", SIZE)], 0.0, 0.0)
    assert core.reorder.next_place == 1
    assert not core.is_processed(0)
    assert not core.is_processed(1), "all up to it"


def test_a_batch_that_is_given_back_twice_is_queued_once() -> None:
    core = IngestCore(CAPACITY, BUDGET)
    core.accept(numbered(0), "s", SIZE, 0.0)
    batch = core.take(10, BUDGET, 0.0)
    assert batch is not None
    core.give_back(batch)
    core.give_back(batch)
    assert core.take(10, BUDGET, 0.0) == batch
    assert core.take(10, BUDGET, 0.0) is None
