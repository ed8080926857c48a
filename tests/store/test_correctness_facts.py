"""What a store takes, refuses and reports (Rerun's own cases, retold)."""

from __future__ import annotations

import itertools

import pyarrow as pa
import pytest

from forebay.errors import UnknownTimelineError
from forebay.model import ChunkAddition, ChunkCompaction, ChunkDeletion, DeletionReason, TimeType
from forebay.store import ChunkStore
from tests.chunks import chunk_id, make_chunk
from tests.store.logs import FIRST, LAST
from tests.store.replay import Replay
from tests.store.rows import (
    STORE_ID,
    chunk_of,
    latest,
    latest_ids,
    ranged,
    row,
    row_id,
    rows_of,
    store_of,
    store_of_rows,
)


def test_an_empty_store_answers_that_it_is_empty() -> None:
    store = ChunkStore(STORE_ID)
    snapshot = store.snapshot()
    assert store.is_empty
    assert snapshot.store_id == STORE_ID
    assert (snapshot.num_chunks, snapshot.num_rows, snapshot.byte_size) == (0, 0, 0)
    assert snapshot.entity_paths() == []
    assert snapshot.timelines() == {}
    with pytest.raises(UnknownTimelineError):
        snapshot.time_range("frame")


@pytest.mark.parametrize("timelines", [None, {"frame": [1]}, {"frame": [1], "tick": [2]}])
def test_a_chunk_without_components_changes_nothing(timelines: dict[str, list[int]] | None) -> None:
    store = ChunkStore(STORE_ID)
    assert store.insert(make_chunk("/nothing", timelines, {}, row_ids=[1])) == []
    assert store.is_empty
    assert store.generation == ChunkStore(STORE_ID).generation
    assert store.snapshot().entity_paths() == []


@pytest.mark.parametrize("timelines", [None, {"frame": []}])
def test_a_chunk_without_rows_changes_nothing(timelines: dict[str, list[int]] | None) -> None:
    store = ChunkStore(STORE_ID)
    empty = make_chunk("/nothing", timelines, {"P:x": pa.array([], pa.list_(pa.int64()))})
    assert store.insert(empty) == []
    assert store.is_empty
    assert store.snapshot().entity_paths() == []
    assert store.snapshot().timelines() == {}


def test_a_known_chunk_id_changes_nothing_whatever_it_holds() -> None:
    first = chunk_of(row(1, 10, {"P:colors": [1]}), id=chunk_id(77))
    again = chunk_of(row(1, 10, {"P:colors": [2]}), id=chunk_id(77))
    other = chunk_of(row(9, 12, {"P:labels": ["x"]}, "/else"), id=chunk_id(77))
    store = store_of(first)
    generation = store.generation
    for chunk in (first, again, other):
        assert store.insert(chunk) == []
    assert store.generation == generation
    assert latest(store, "frame", 11) == {"P:colors": ([1], 10, row_id(1))}


def test_a_chunk_that_was_merged_away_is_still_known() -> None:
    """Also after many merges of merges, and after splits."""
    chunks = [chunk_of(row(n, n, {"P:colors": [n]})) for n in range(300)]
    big = chunk_of(*(row(n, n, {"P:colors": [n]}, "/big") for n in range(9000)))
    store, replay = store_of(), Replay()
    for chunk in (*chunks, big):
        replay.follow(store.insert(chunk))
    assert store.num_chunks < 300
    for chunk in (*chunks, big):
        assert store.insert(chunk) == []
    replay.assert_matches(store)
    assert store.num_rows == 9300


def test_chunk_ids_are_told_apart_by_all_their_bytes() -> None:
    """Also an id that is the end of one known id and the beginning of the next."""
    store = ChunkStore(STORE_ID)
    one, two = bytes(range(16)), bytes(range(100, 116))
    ids = [one, two, one[8:] + two[:8], two[4:] + one[:4], bytes(16), bytes(15) + b"\1"]
    ids += [one[n:] + two[:n] for n in (1, 4, 15)]
    for n, id_ in enumerate(ids):
        chunk = make_chunk("/world", {"frame": [n]}, {"P:x": [[n]]}, [n], id=id_)
        assert store.insert(chunk), f"{id_!r} was taken for known"
        assert store.insert(chunk) == []
    assert store.num_rows == len(ids)


def test_events_are_numbered_from_one_without_gaps() -> None:
    store = ChunkStore(STORE_ID)
    events = [
        event
        for n in range(100)
        for event in store.insert(chunk_of(row(n, n % 7, {"P:colors": [n]})))
    ]
    assert [event.event_id for event in events] == list(range(1, len(events) + 1))
    assert {event.store_id for event in events} == {STORE_ID}
    assert all(a.generation <= b.generation for a, b in itertools.pairwise(events))
    assert events[-1].generation == store.generation


def test_an_insert_reports_the_chunk_as_it_came_and_first() -> None:
    store = ChunkStore(STORE_ID)
    for n in range(50):
        chunk = chunk_of(row(n, n, {"P:colors": [n]}))
        first, *others = store.insert(chunk)
        assert first.diff == ChunkAddition(chunk)
        assert all(isinstance(event.diff, ChunkCompaction) for event in others)


def test_generations_tell_changes_apart() -> None:
    store, seen = ChunkStore(STORE_ID), set[int]()
    for n in range(20):
        seen.add(store.generation)
        assert store.insert(chunk_of(row(n, n, {"P:colors": [n]})))
        assert store.snapshot().generation == store.generation
    assert len(seen | {store.generation}) == 21


def test_static_data_that_is_shadowed_entirely_is_removed() -> None:
    one = chunk_of(row(1, None, {"P:points": [], "P:colors": [1], "P:labels": ["1"]}))
    two = chunk_of(row(2, None, {"P:points": [], "P:colors": [2]}))
    three = chunk_of(row(3, None, {"P:labels": ["3"]}))
    store = ChunkStore(STORE_ID)
    assert [event.diff for event in store.insert(one)] == [ChunkAddition(one)]
    assert [event.diff for event in store.insert(two)] == [ChunkAddition(two)]
    assert (store.num_chunks, store.num_rows) == (2, 2)
    assert [event.diff for event in store.insert(three)] == [
        ChunkAddition(three),
        ChunkDeletion(one, DeletionReason.OVERWRITTEN),
    ]
    assert (store.num_chunks, store.num_rows) == (2, 2)
    nothing = make_chunk("/world", None, {}, row_ids=[99])
    assert store.insert(nothing) == []
    assert latest_ids(store, None, 0) == {
        "P:points": row_id(2),
        "P:colors": row_id(2),
        "P:labels": row_id(3),
    }


def test_static_data_that_comes_too_late_wins_nothing() -> None:
    """It is older than what is there: the answers stay, whether or not it is kept."""
    store = store_of_rows(row(5, None, {"P:colors": [5]}))
    replay = Replay()
    replay.follow(store_of_rows().insert(chunk_of(row(1, None, {"P:colors": [1]}))))
    store.insert(chunk_of(row(4, None, {"P:colors": [4]})))
    assert latest_ids(store, None, 0) == {"P:colors": row_id(5)}
    store.insert(chunk_of(row(6, None, {"P:colors": [6]})))
    assert latest_ids(store, None, 0) == {"P:colors": row_id(6)}
    assert store.num_chunks == 1


def test_rows_that_came_unsorted_are_sorted_on_the_way_in() -> None:
    """Rerun refuses such a chunk; we sort it."""
    chunk = chunk_of(row(2, 1, {"P:colors": [2]}), row(1, 2, {"P:colors": [1]}))
    assert [item.row_id for item in rows_of(chunk)] == [row_id(1), row_id(2)]
    store = store_of(chunk)
    assert latest_ids(store, "frame", 1) == {"P:colors": row_id(2)}
    assert latest_ids(store, "frame", 2) == {"P:colors": row_id(1)}


def test_the_time_range_is_that_of_all_rows() -> None:
    store = store_of_rows(row(1, {"frame": 42, "clock": 10**9}, {"P:points": []}, "/this/that"))
    assert store.snapshot().time_range("frame") == (42, 42)
    store.insert(chunk_of(row(2, {"frame": 54, "clock": 2 * 10**9}, {"P:points": []}, "/other")))
    assert store.snapshot().time_range("frame") == (42, 54)
    store.insert(chunk_of(row(3, {"frame": 32, "clock": 0}, {"P:points": []}, "/this/that")))
    snapshot = store.snapshot()
    assert snapshot.time_range("frame") == (32, 54)
    assert snapshot.time_range("clock") == (0, 2 * 10**9)
    assert snapshot.timelines() == {"frame": TimeType.SEQUENCE, "clock": TimeType.TIMESTAMP}
    with pytest.raises(UnknownTimelineError, match=r"lag_time.*clock.*frame"):
        snapshot.time_range("lag_time")


def test_entities_come_in_reruns_order() -> None:
    paths = ["/image10", "/image2", "/b", "/A", "/__properties", "/a", "/"]
    store = store_of_rows(*(row(n, 1, {"P:colors": [n]}, path) for n, path in enumerate(paths)))
    assert [str(path) for path in store.snapshot().entity_paths()] == [
        "/",
        "/A",
        "/a",
        "/b",
        "/image2",
        "/image10",
        "/__properties",
    ]


def test_sizes_follow_what_is_held() -> None:
    store = ChunkStore(STORE_ID)
    chunk = chunk_of(*(row(n, n, {"P:colors": [n] * 10}) for n in range(100)))
    store.insert(chunk)
    snapshot = store.snapshot()
    assert store.num_rows == snapshot.num_rows == 100
    assert store.num_chunks == snapshot.num_chunks == 1
    assert store.byte_size == snapshot.byte_size >= 100 * (10 * 4 + 8 + 16)
    assert not store.is_empty


def test_a_copy_goes_its_own_way() -> None:
    store = store_of_rows(row(1, 1, {"P:colors": [1]}), row(2, None, {"P:labels": ["2"]}))
    other_id = type(STORE_ID).recording("app", "other")
    copied = store.copy(other_id)
    assert copied.snapshot().store_id == other_id
    assert latest(copied, "frame", 9) == latest(store, "frame", 9)
    events = copied.insert(chunk_of(row(3, 3, {"P:colors": [3]})))
    assert {event.store_id for event in events} == {other_id}
    store.insert(chunk_of(row(4, 4, {"P:colors": [4]})))
    assert latest_ids(copied, "frame", 9)["P:colors"] == row_id(3)
    assert latest_ids(store, "frame", 9)["P:colors"] == row_id(4)
    assert (copied.num_rows, store.num_rows) == (3, 3)


def test_a_component_may_change_its_datatype_in_mid_recording() -> None:
    """Chunks that do not agree are kept apart, and each cell keeps its value."""
    as_int = make_chunk(
        "/world", {"frame": [1]}, {"P:x": pa.array([[1]], pa.list_(pa.int64()))}, [1]
    )
    as_float = make_chunk(
        "/world", {"frame": [2]}, {"P:x": pa.array([[2.5]], pa.list_(pa.float64()))}, [2]
    )
    for arrival in ((as_int, as_float), (as_float, as_int)):
        snapshot = store_of(*arrival).snapshot()
        assert snapshot.num_chunks == 2
        assert snapshot.latest_at("frame", 1, "/world")["P:x"].value.to_pylist() == [1]
        assert snapshot.latest_at("frame", 2, "/world")["P:x"].value.to_pylist() == [2.5]


def test_chunks_of_two_datatypes_stay_apart_however_many_there_are() -> None:
    types = (pa.list_(pa.int64()), pa.list_(pa.float64()))
    chunks = [
        make_chunk("/world", {"frame": [n]}, {"P:x": pa.array([[n]], types[n % 2])}, [n])
        for n in range(200)
    ]
    store = store_of(*chunks)
    snapshot = store.snapshot()
    assert snapshot.num_chunks < 200, "nothing was merged"
    for n in range(0, 200, 7):
        cell = snapshot.latest_at("frame", n, "/world")["P:x"]
        assert cell.value.to_pylist() == [n]
        assert cell.value.type == types[n % 2].value_type


def test_an_entity_has_the_components_that_were_ever_logged_on_it() -> None:
    store = store_of_rows(
        row(1, None, {"P:colors": [1]}, "/both"), row(2, {"frame": 1}, {"P:labels": ["2"]}, "/both")
    )

    def components(entity: str) -> list[str]:
        snapshot = store.snapshot()
        assert list(snapshot.component_types(entity)) == [
            one.component for one in snapshot.components(entity)
        ]
        return list(snapshot.component_types(entity))

    assert components("/both") == ["P:colors", "P:labels"]
    store.insert(chunk_of(row(3, {"frame": 2, "clock": 2}, {"P:points": []}, "/both")))
    store.insert(chunk_of(row(4, {"frame": 2}, {"P:points": []}, "/frame")))
    assert components("/both") == ["P:colors", "P:labels", "P:points"]
    assert components("/frame") == ["P:points"]

    def columns(timeline: str | None, entity: str) -> list[str]:
        names = store.snapshot().range(timeline, FIRST, LAST, entity).column_names
        return [name for name in names if name.startswith("P:")]

    assert columns("frame", "/both") == ["P:colors", "P:labels", "P:points"]
    assert columns("clock", "/both") == ["P:colors", "P:points"]
    assert columns(None, "/both") == ["P:colors"]
    assert columns("clock", "/frame") == []


def test_time_may_go_backwards() -> None:
    store = store_of_rows(*(row(n, 100 - n, {"P:colors": [n]}) for n in range(100)))
    for frame in (1, 50, 100):
        assert latest_ids(store, "frame", frame) == {"P:colors": row_id(100 - frame)}
    assert [item[0] for item in ranged(store, "frame", 1, 100)] == list(range(1, 101))
