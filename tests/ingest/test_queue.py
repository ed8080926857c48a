"""The order in which messages are taken: lanes, barriers, bounds, places of what was dropped."""

from __future__ import annotations

from forebay.ingest import DropOldest
from forebay.ingest.outcomes import DroppedMsg
from forebay.ingest.queue import Entry, MessageQueue
from forebay.ingest.victims import DropKey
from forebay.limits import LANE_BYPASS_MAX
from tests.ingest.support import numbered

KEY = DropKey(DropOldest())


def entry(seq: int, cost: int = 100) -> Entry:
    return Entry(numbered(seq), "s", cost, 0.0, seq, KEY)


def dropped(seq: int) -> DroppedMsg:
    return DroppedMsg(seq, seq, 1, 100, (("drop_oldest", 1),))


def lanes(first: list[int], rest: list[int]) -> MessageQueue:
    queue = MessageQueue(has_lanes=True)
    for seq in sorted([*first, *rest]):
        queue.append(entry(seq), is_first=seq in first)
    return queue


def taken(queue: MessageQueue, msgs_max: int = 100) -> list[list[int]]:
    """What each turn would take."""
    turns = []
    while queue:
        ready, entries, _ = queue.take(msgs_max, 1 << 30)
        queue.note_taken(entries)
        turns.append([one.seq for one in (*ready, *entries)])
    return turns


def test_a_turn_is_within_both_bounds_but_never_empty() -> None:
    queue = MessageQueue()
    for seq in range(6):
        queue.append(entry(seq))
    assert [one.seq for one in queue.take(10, 250)[1]] == [0, 1]
    assert [one.seq for one in queue.take(10, 1)[1]] == [2]
    assert [one.seq for one in queue.take(2, 1000)[1]] == [3, 4]


def test_the_first_lane_goes_before_the_rest() -> None:
    assert taken(lanes([2, 3], [0, 1])) == [[2, 3], [0, 1]]


def test_what_is_older_than_the_rest_passes_nobody() -> None:
    assert taken(lanes([0, 3], [1, 2])) == [[0], [3], [1, 2]]


def test_a_barrier_is_passed_by_nothing() -> None:
    queue = lanes([1], [0])
    queue.set_barrier(2, queue.lowest_seq())
    for seq, is_first in ((2, False), (3, True)):
        queue.append(entry(seq), is_first=is_first)
    assert taken(queue) == [[1], [0], [3], [2]]
    queue = lanes([], [0])
    queue.set_barrier(1, queue.lowest_seq())
    queue.append(entry(1), is_first=True)
    assert taken(queue) == [[0], [1]]


def test_a_lane_stops_at_a_barrier_in_its_midst() -> None:
    queue = lanes([1], [0])
    queue.set_barrier(2, queue.lowest_seq())
    queue.append(entry(2), is_first=True)
    assert taken(queue) == [[1], [0], [2]]


def test_the_rest_has_its_turn_after_so_many() -> None:
    count = 2 * LANE_BYPASS_MAX
    turns = taken(lanes(list(range(3, 3 + count)), [0, 1, 2]), 4)
    flat = [seq for turn in turns for seq in turn]
    assert flat.index(0) == LANE_BYPASS_MAX
    assert sorted(flat) == list(range(3 + count))


def test_a_turn_of_the_rest_gives_the_first_lane_its_full_measure_again() -> None:
    queue = lanes(list(range(3, 3 + 2 * LANE_BYPASS_MAX)), [0, 1, 2])
    flat = [seq for turn in taken(queue, 1) for seq in turn]
    assert flat.index(1) - flat.index(0) == LANE_BYPASS_MAX + 1


def test_neighbours_that_are_dropped_become_one_outcome_but_not_across_a_barrier() -> None:
    queue = MessageQueue(has_lanes=True)
    for seq in range(4):
        queue.append(entry(seq))
    queue.set_barrier(2, 0)
    for seq in (1, 0, 3, 2):
        victim = next(one for one in queue.rest if one.seq == seq)
        assert isinstance(victim, Entry)
        queue.replace(victim, dropped(seq))
    assert [(one.seq, one.last_seq) for one in queue.rest] == [(0, 1), (2, 3)]  # type: ignore[union-attr]
