"""Dropping entities and time ranges by hand (Rerun's own cases, retold)."""

from __future__ import annotations

import random

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from forebay.errors import UnknownEntityError
from forebay.model import ChunkCompaction, ChunkDeletion, DeletionReason
from forebay.store import ChunkStore
from tests.store import model
from tests.store.logs import FIRST, LAST, cut, logs
from tests.store.model import Row
from tests.store.replay import Replay
from tests.store.rows import (
    STORE_ID,
    chunk_of,
    latest,
    latest_ids,
    ranged,
    row,
    row_id,
    rows_held,
    store_of,
    store_of_rows,
)


def test_dropping_an_entity_takes_all_of_it_and_nothing_below() -> None:
    rows = [
        row(1, 10, {"P:colors": [1]}, "/one"),
        row(2, {"clock": 5}, {"P:colors": [2]}, "/one"),
        row(3, None, {"P:colors": [3]}, "/one"),
        row(4, {"frame": 42, "clock": 9}, {"P:colors": [4]}, "/one/two"),
    ]
    chunks = [chunk_of(item) for item in rows]
    store = store_of(*chunks)
    assert latest_ids(store, "frame", LAST, "/one") == {"P:colors": row_id(3)}

    events = store.drop_entity("/one")
    assert all(isinstance(event.diff, ChunkDeletion) for event in events)
    assert {event.diff.reason for event in events} == {DeletionReason.EXPLICIT_DROP}  # type: ignore[union-attr]
    assert {event.diff.chunk.id for event in events} == {chunk.id for chunk in chunks[:3]}  # type: ignore[union-attr]

    assert [str(path) for path in store.snapshot().entity_paths()] == ["/one/two"]
    for timeline in ("frame", "clock"):
        assert latest_ids(store, timeline, LAST, "/one/two") == {"P:colors": row_id(4)}
        with pytest.raises(UnknownEntityError, match="/one/two"):
            store.snapshot().latest_at(timeline, LAST, "/one")
    with pytest.raises(UnknownEntityError, match="/one/two"):
        store.drop_entity("/one")

    [last] = store.drop_entity("/one/two")
    assert isinstance(last.diff, ChunkDeletion)
    assert store.is_empty
    assert store.snapshot().entity_paths() == []


def test_an_entity_may_come_back_after_it_was_dropped() -> None:
    chunks = [chunk_of(row(1, 1, {"P:colors": [1]})), chunk_of(row(2, None, {"P:labels": ["2"]}))]
    store = store_of(*chunks)
    store.drop_entity("/world")
    assert all(store.insert(chunk) for chunk in chunks), "its rows are gone, so they are news"
    assert latest_ids(store, "frame", 9) == {"P:colors": row_id(1), "P:labels": row_id(2)}
    store.drop_entity("/world")
    store.insert(chunk_of(row(3, 3, {"P:colors": [3]})))
    assert latest_ids(store, "frame", 9) == {"P:colors": row_id(3)}
    assert store.snapshot().time_range("frame") == (3, 3)


def three_overlapping_chunks() -> ChunkStore:
    return store_of(
        *(
            chunk_of(*(row(10 * first + n, first + n, {"P:colors": [n]}) for n in range(4)))
            for first in (0, 2, 4)
        )
    )


def test_dropping_a_time_range_takes_exactly_its_rows() -> None:
    store = three_overlapping_chunks()

    def frames() -> list[int]:
        return [item[0] for item in ranged(store, "frame", FIRST, LAST)]

    assert len(frames()) == 12
    assert store.drop_time_range("frame", 10, 100) == []
    assert store.drop_time_range("frame", -100, -10) == []
    assert len(frames()) == 12
    store.drop_time_range("frame", 1, 2)
    assert frames() == [0, 3, 3, 4, 4, 5, 5, 6, 7]
    store.drop_time_range("frame", 2, 5)
    assert frames() == [0, 6, 7]
    assert store.snapshot().time_range("frame") == (0, 7)


def test_an_inverted_time_range_drops_nothing() -> None:
    store = three_overlapping_chunks()
    assert store.drop_time_range("frame", 5, 2) == []
    assert store.num_rows == 12


def test_rows_go_from_all_timelines_that_they_are_on() -> None:
    store = store_of_rows(
        row(1, {"frame": 1, "clock": 100}, {"P:colors": [1]}),
        row(2, {"frame": 2, "clock": 50}, {"P:colors": [2]}),
        row(3, {"clock": 70}, {"P:colors": [3]}),
        row(4, None, {"P:labels": ["static"]}),
    )
    store.drop_time_range("frame", 1, 1)
    assert latest_ids(store, "clock", 100) == {"P:colors": row_id(3), "P:labels": row_id(4)}
    assert [item[0] for item in ranged(store, "clock", FIRST, LAST)] == [None, 50, 70]
    assert latest_ids(store, "frame", 9) == {"P:colors": row_id(2), "P:labels": row_id(4)}


def test_events_of_a_partial_drop_name_what_left() -> None:
    store, replay = ChunkStore(STORE_ID), Replay()
    replay.follow(store.insert(chunk_of(*(row(n, n, {"P:colors": [n]}) for n in range(10)))))
    events = store.drop_time_range("frame", 3, 6)
    gone = [event.diff for event in events if isinstance(event.diff, ChunkDeletion)]
    assert {diff.reason for diff in gone} == {DeletionReason.EXPLICIT_DROP}
    assert any(isinstance(event.diff, ChunkDeletion | ChunkCompaction) for event in events)
    replay.follow(events)
    replay.assert_matches(store)
    assert [item.times["frame"] for item in sorted(replay.rows(), key=lambda r: r.row_id)] == [
        0,
        1,
        2,
        7,
        8,
        9,
    ]


def test_the_rest_of_a_dropped_chunk_still_sorts_and_answers() -> None:
    rows = [row(n, (7 * n) % 50, {"P:colors": [n]}) for n in range(50)]
    store = store_of(chunk_of(*rows))
    store.drop_time_range("frame", 10, 39)
    left = [item for item in rows if not 10 <= item.times["frame"] <= 39]
    for frame in (9, 10, 25, 39, 40, 49):
        assert latest(store, "frame", frame) == model.latest_at(left, "frame", frame, "/world")
    assert ranged(store, "frame", 0, 99) == model.range_(left, "frame", 0, 99, "/world")


@settings(max_examples=50, deadline=None)
@given(logs(), st.integers(0, 2**32 - 1), st.integers(-2, 6), st.integers(0, 4))
def test_dropping_equals_never_having_logged(
    rows: list[Row], seed: int, start: int, span: int
) -> None:
    store, replay = ChunkStore(STORE_ID), Replay()
    for chunk in cut(rows, random.Random(seed)):
        replay.follow(store.insert(chunk))
    before = rows_held(store.snapshot())
    if "frame" not in store.snapshot().timelines():
        return
    replay.follow(store.drop_time_range("frame", start, start + span))
    replay.assert_matches(store)
    left = [
        item
        for item in before
        if "frame" not in item.times or not start <= item.times["frame"] <= start + span
    ]
    assert model.as_bag(rows_held(store.snapshot())) == model.as_bag(left)
    snapshot = store.snapshot()
    for entity in map(str, snapshot.entity_paths()):
        for timeline in snapshot.timelines():
            for time in (start - 1, start, start + span, LAST):
                expected = model.latest_at(left, timeline, time, entity)
                assert latest(snapshot, timeline, time, entity) == expected


def test_a_chunk_is_known_until_the_last_of_its_rows_is_dropped() -> None:
    chunk = chunk_of(*(row(n, n, {"P:colors": [n]}) for n in range(10)))
    store = store_of(chunk)
    store.drop_time_range("frame", 0, 4)
    assert store.insert(chunk) == []
    store.drop_time_range("frame", 5, 9)
    assert store.is_empty
    assert len(store.insert(chunk)) == 1
