from __future__ import annotations

import copy
import pickle
from typing import Any

import pyarrow as pa
import pytest

from forebay.chunk import Chunk, fits_limits
from forebay.errors import (
    QueryError,
    TimeTypeError,
    UnknownComponentError,
    UnknownEntityError,
    UnknownTimelineError,
)
from forebay.model import ChunkAddition, ChunkCompaction, StoreId, Timeline, TimeType
from forebay.store import Cell, ChunkStore
from tests.chunks import make_chunk, make_clear, row_id
from tests.store.rows import narrow_nodes

STORE = StoreId.recording("app", "run")


def scalars(count: int, entity: str = "/a", start: int = 0) -> list[Chunk]:
    return [
        make_chunk(entity, {"frame": [n]}, {"S:x": [[float(n)]]}, [n], 1000 + n)
        for n in range(start, start + count)
    ]


def filled(chunks: list[Chunk]) -> ChunkStore:
    store = ChunkStore(STORE)
    for chunk in chunks:
        store.insert(chunk)
    return store


def test_a_snapshot_clones_only_what_changes_after_it() -> None:
    store = filled([*scalars(3, "/a"), *scalars(3, "/b", 10)])
    before = store.snapshot()
    assert store.snapshot() is before, "nothing happened in between"
    store.insert(scalars(1, "/a", 3)[0])
    after = store.snapshot()
    assert after._entities["/b"] is before._entities["/b"]
    assert after._entities["/a"] is not before._entities["/a"]
    current = store._state.entities
    store.insert(scalars(1, "/a", 4)[0])
    cloned = store._state.entities
    store.insert(scalars(1, "/a", 5)[0])
    assert store._state.entities is cloned is not current, "one clone for each snapshot"
    assert before.latest_at("frame", 99, "/a")["S:x"].time == 2
    assert after.latest_at("frame", 99, "/a")["S:x"].time == 3


def test_merged_chunks_stay_known_and_so_do_those_made_of_them() -> None:
    chunks = scalars(200)
    store = filled(chunks)
    assert store.num_chunks < 30
    held = list(store.snapshot().chunks("/a"))
    generation = store.generation
    assert [event for chunk in (*chunks, *held) for event in store.insert(chunk)] == []
    assert (store.num_rows, store.generation) == (200, generation)


def test_a_merge_is_reported_after_the_addition_that_caused_it() -> None:
    store = ChunkStore(STORE)
    events = [event for chunk in scalars(64) for event in store.insert(chunk)]
    assert [type(event.diff) for event in events] == [ChunkAddition] * 64 + [ChunkCompaction]
    assert events[-1].generation == events[-2].generation == store.generation
    merged = events[-1].diff
    assert isinstance(merged, ChunkCompaction)
    assert len(merged.removed) == 64
    assert store.snapshot().chunks("/a") == list(merged.added)


@pytest.mark.parametrize("step", [1, -1])
def test_no_chunk_in_the_store_exceeds_the_limits(step: int) -> None:
    store = ChunkStore(STORE)
    for n in range(300):
        times = [step * (100 * n + k) for k in range(100)]
        store.insert(make_chunk("/a", {"frame": times}, {"S:x": [[0.5]] * 100}))
    chunks = store.snapshot().chunks("/a")
    assert all(map(fits_limits, chunks))
    assert sum(chunk.num_rows for chunk in chunks) == 30_000
    assert len(chunks) < 120


def test_chunks_that_arrow_cannot_join_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        msg = "no"
        raise pa.ArrowNotImplementedError(msg)

    monkeypatch.setattr("forebay.store.compaction.concatenated", refuse)
    store = filled(scalars(200))
    assert store.num_chunks == store.num_rows == 200
    assert store.snapshot().latest_at("frame", 77, "/a")["S:x"].value.to_pylist() == [77.0]


def test_a_timeline_has_its_latest_type_and_a_component_one_that_holds_all_cells() -> None:
    store = filled(
        [
            make_chunk("/a", {"t": [1]}, {"S:x": pa.array([[1]], pa.list_(pa.int32()))}),
            make_chunk("/a", {Timeline("t", TimeType.DURATION): [2]}, {"S:x": [[2.5]]}),
        ]
    )
    snapshot = store.snapshot()
    assert snapshot.timelines() == {"t": TimeType.DURATION}
    assert snapshot.component_types("/a") == {"S:x": pa.list_(pa.float64())}
    table = snapshot.range("t", 0, 9, "/a")
    assert table["t"].type == pa.duration("ns")
    assert table["S:x"].to_pylist() == [[1.0], [2.5]]
    assert snapshot.latest_at("t", 1, "/a")["S:x"].value.to_pylist() == [1]
    store.insert(make_chunk("/a", {"t": [3]}, {"S:x": [["text"]]}))
    store.insert(make_chunk("/a", {"t": [4]}, {"S:x": [[{"of": 1}]]}))
    with pytest.raises(QueryError, match="no type holds the values of both"):
        store.snapshot().range("t", 0, 9, "/a")
    assert store.snapshot().component_types("/a") == {"S:x": pa.list_(pa.null())}


def test_static_transforms_stay_when_shadowed() -> None:
    """Viewers read all of them; the latest-at answer is the latest all the same."""
    chunks = [make_chunk("/a", {}, {"Transform3D:translation": [[n]]}, [n]) for n in (1, 2)]
    store = filled(chunks)
    assert store.snapshot().static_chunks("/a") == tuple(chunks)
    assert store.snapshot().latest_at(None, None, "/a")["Transform3D:translation"].row_id == row_id(
        2
    )


def test_a_static_cell_that_shares_its_row_with_a_shadowed_one_comes_alone() -> None:
    store = filled(
        [
            make_chunk("/a", {}, {"S:x": [[1]], "S:y": [[10]]}, [1]),
            make_chunk("/a", {}, {"S:x": [[2]]}, [2]),
        ]
    )
    assert store.snapshot().range(None, None, None, "/a").to_pylist() == [
        {"row_id": row_id(1), "S:x": None, "S:y": [10]},
        {"row_id": row_id(2), "S:x": [2], "S:y": None},
    ]


def test_a_copy_shares_the_data_and_goes_its_own_way() -> None:
    store = filled([*scalars(70), make_clear("/a", {"frame": [1]}, recursive=False)])
    other = StoreId.recording("app", "copy")
    copied = store.copy(other)
    assert copied.store_id == copied.snapshot().store_id == other
    assert copied.byte_size == store.byte_size
    assert copied.insert(scalars(1)[0]) == [], "it knows what the first one knew"
    store.insert(scalars(1, "/a", 100)[0])
    [event] = copied.insert(scalars(1, "/b", 200)[0])
    assert (event.store_id, event.event_id) == (other, 1)
    copied.insert(scalars(1, "/a", 300)[0])
    assert store.snapshot().latest_at("frame", 999, "/a")["S:x"].time == 100
    assert copied.snapshot().latest_at("frame", 999, "/a")["S:x"].time == 300
    assert copied.snapshot().latest_at("frame", 0, "/a")["S:x"].time == 0
    assert len(store.snapshot().entity_paths()) == 1
    assert (store.num_rows, copied.num_rows) == (72, 73)


def test_errors_name_what_there_is() -> None:
    snapshot = filled([*scalars(3, "/robot/arm"), *scalars(3, "/robot/leg", 10)]).snapshot()
    with pytest.raises(UnknownTimelineError, match="did you mean 'frame'"):
        snapshot.latest_at("fram", 1, "/robot/arm")
    with pytest.raises(UnknownEntityError, match=r"'/robot/arm', '/robot/leg'"):
        snapshot.latest_at("frame", 1, "/elsewhere")
    with pytest.raises(UnknownComponentError, match="S:x"):
        snapshot.range("frame", 1, 2, "/robot/arm", components=["S:y"])
    with pytest.raises(UnknownComponentError, match="S:x"):
        snapshot.latest_at("frame", 1, "/robot/arm", components="S:z")
    for wrong in (1.5, "1", True, 2**63, None):
        with pytest.raises(TimeTypeError, match="frame"):
            snapshot.latest_at("frame", wrong, "/robot/arm")  # type: ignore[arg-type]
    nonsense: Any
    for nonsense in (None, 7, b"frame", ["frame"], {}):
        with pytest.raises(UnknownTimelineError, match=r"a str, not .* 'frame'"):
            snapshot.time_range(nonsense)
        with pytest.raises(UnknownEntityError, match=r"a str, not .* '/robot/arm'"):
            snapshot.latest_at("frame", 1, nonsense)
        with pytest.raises(UnknownEntityError, match=r"a str, not .* '/robot/arm'"):
            snapshot.range("frame", 1, 2, nonsense)
        with pytest.raises(UnknownComponentError, match="S:x"):
            snapshot.latest_at("frame", 1, "/robot/arm", [nonsense])
        with pytest.raises(UnknownComponentError, match="S:x"):
            snapshot.dataframe("frame", components=[nonsense])
    for nonsense in (7, b"frame", ["frame"], {}):
        with pytest.raises(UnknownTimelineError, match=r"a str, not .* 'frame'"):
            snapshot.latest_at(nonsense, 1, "/robot/arm")
    with pytest.raises(UnknownComponentError, match="S:x"):
        snapshot.range("frame", 1, 2, "/robot/arm", 7)  # type: ignore[arg-type]
    with pytest.raises(UnknownTimelineError) as caught:
        snapshot.time_range("nothing")
    assert caught.value.store_id == STORE


def test_what_is_known_but_has_no_data_there_gives_an_empty_answer() -> None:
    store = filled([*scalars(3), make_chunk("/b", {"other": [1]}, {"S:y": [[1]]})])
    snapshot = store.snapshot()
    assert snapshot.latest_at("other", 1, "/a") == {}
    assert snapshot.latest_at(None, None, "/a") == {}
    assert snapshot.range("other", 0, 9, "/a").num_rows == 0
    assert snapshot.range("frame", 7, 9, "/a").schema.names == ["frame", "row_id", "S:x"]
    assert snapshot.range("frame", 9, 7, "/a").num_rows == 0


def test_a_cell_is_a_frozen_value() -> None:
    snapshot = filled(scalars(3)).snapshot()
    cell = snapshot.latest_at("frame", 1, "a")["S:x"]
    value, time, row = cell
    assert (value.to_pylist(), time, row) == ([1.0], 1, row_id(1))
    assert cell == Cell(pa.array([1.0]), 1, row_id(1))
    assert cell != Cell(pa.array([2.0]), 1, row_id(1))
    assert hash(cell) == hash(Cell(pa.array([2.0]), 1, row_id(1)))
    assert pickle.loads(pickle.dumps(cell)) == copy.copy(cell) == cell
    with pytest.raises(AttributeError, match="frozen"):
        cell.time = 2  # type: ignore[misc]
    assert repr(cell).startswith("Cell(value=[1.0], time=1")


def test_an_older_snapshot_survives_everything() -> None:
    store = filled([*scalars(100), make_chunk("/a", {}, {"S:s": [["static"]]})])
    before = store.snapshot()
    answer = before.range("frame", 0, 99, "/a")
    for chunk in scalars(5000, "/a", 100):
        store.insert(chunk)
    store.drop_time_range("frame", 0, 4000)
    store.gc(protect_latest=0)
    store.drop_entity("/a")
    assert store.is_empty
    assert before.range("frame", 0, 99, "/a").equals(answer)
    assert before.latest_at("frame", 50, "/a")["S:x"].time == 50
    assert (before.num_rows, before.entity_stats()) == (101, [("/a", before.num_chunks, 101)])
    assert before.byte_size > 0 == store.byte_size


def test_a_copy_goes_on_where_the_original_stood() -> None:
    store = filled(scalars(3))
    copied = store.copy(StoreId.recording("app", "copy"))
    assert copied.generation == store.generation == 3
    [event, *_] = copied.insert(scalars(1, "/a", 3)[0])
    assert event.generation == 4


def test_a_chunk_without_components_is_nothing() -> None:
    store = ChunkStore(STORE)
    bare = make_chunk("/a", {"frame": [1]}, {}, [1], 77)
    assert store.insert(bare) == []
    assert (store.is_empty, store.generation) == (True, 0)
    assert store.snapshot().timelines() == {}


def test_a_generation_comes_with_every_change_and_with_nothing_else() -> None:
    store = filled(scalars(5))
    assert store.generation == 5
    assert store.drop_time_range("frame", 100, 200) == store.gc(0) == []
    assert store.generation == 5
    [*_, event] = store.drop_time_range("frame", 0, 1)
    assert store.generation == event.generation == 6
    store.gc()
    store.drop_entity("/a")
    assert store.generation == 8


def test_a_static_chunk_that_was_overwritten_is_not_known_any_more() -> None:
    store = ChunkStore(STORE)
    first = make_chunk("/a", {}, {"S:x": [[1.0]]}, [1], 11)
    second = make_chunk("/a", {}, {"S:x": [[2.0]]}, [2], 12)
    store.insert(first)
    assert len(store.insert(second)) == 2
    assert len(store.insert(first)) == 2, "added, and found to be out of sight"
    assert store.insert(second) == []
    assert store.snapshot().latest_at(None, None, "/a")["S:x"].value.to_pylist() == [2.0]


def test_a_snapshot_is_not_touched_by_merges_that_come_later() -> None:
    with narrow_nodes(4):
        store = ChunkStore(STORE)
        snapshots = []
        for number, chunk in enumerate(scalars(70)):
            store.insert(chunk)
            snapshots.append((number, store.snapshot()))
        for number, snapshot in snapshots:
            assert snapshot.num_rows == number + 1
            frames = snapshot.range("frame", 0, 100, "/a")["frame"].to_pylist()
            assert frames == list(range(number + 1))
            assert snapshot.latest_at("frame", 100, "/a")["S:x"].time == number


def test_a_component_of_two_types_keeps_no_others_from_merging() -> None:
    kinds: list[dict[str, Any]] = [{"S:x": [[1.0]]}, {"S:y": [[1.0]]}, {"S:y": [["text"]]}]
    with narrow_nodes(6):
        store = ChunkStore(STORE)
        for number in range(6):
            store.insert(make_chunk("/a", {"frame": [number]}, kinds[number % 3]))
        assert store.num_chunks == 2, "those of texts by themselves"
        assert store.snapshot().num_rows == 6


def test_what_is_dropped_with_its_entity_is_counted_out() -> None:
    store = filled([*scalars(5, "/a"), *scalars(3, "/b", 10), make_chunk("/a", {}, {"S:s": [[1]]})])
    store.drop_entity("/a")
    assert (store.num_rows, store.num_chunks) == (3, 3)
    assert store.snapshot().entity_stats() == [("/b", 3, 3)]
    store.drop_entity("/b")
    assert (store.num_rows, store.num_chunks, store.byte_size) == (0, 0, 0)
