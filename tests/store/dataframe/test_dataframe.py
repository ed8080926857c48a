"""What dataframes promise beyond Rerun's reader: windows, streams, clears that last, errors."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.chunk import Chunk
from forebay.errors import (
    ExpressionError,
    QueryError,
    TimeTypeError,
    UnknownComponentError,
    UnknownTimelineError,
)
from forebay.model import StoreId, Timeline, TimeType
from forebay.store.chunk_store import ChunkStore
from forebay.store.dataframe import arrays as arrays_module
from forebay.store.dataframe import cells as cells_module
from forebay.store.dataframe.query import DataframeQuery, dataframe, plan
from forebay.store.dataframe.view import dataframe_batches, dataframe_view
from forebay.store.snapshot import StoreSnapshot
from tests.chunks import make_chunk
from tests.store.dataframe import handmade
from tests.store.dataframe.recordings import integers

CLEAR = "Clear:is_recursive"
X = "/a:S:x"


def snapshot(*chunks: Chunk) -> StoreSnapshot:
    store = ChunkStore(StoreId.recording("app", "one"))
    for chunk in chunks:
        store.insert(chunk)
    return store.snapshot()


def cells(table: pa.Table, column: str = X) -> list[Any]:
    return table.column(column).to_pylist()


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds so small that every column comes in pieces."""
    monkeypatch.setattr(cells_module, "DATAFRAME_JOIN_BYTES_MAX", 8)

    monkeypatch.setattr(arrays_module, "DATAFRAME_PIECE_BYTES_MAX", 24)


@given(
    made=handmade.chunks(),
    fill=st.booleans(),
    values=st.none() | st.lists(handmade.TIMES, unique=True),
    rows=st.integers(1, 4),
    size=st.sampled_from([1, 40, 10_000]),
)
@settings(deadline=None, max_examples=150)
def test_batches_hold_the_same_rows(
    made: list[Chunk], fill: bool, values: list[int] | None, rows: int, size: int
) -> None:
    shot = snapshot(*made)
    for index in shot.timelines():
        arguments: dict[str, Any] = {"fill_latest_at": fill, "using_index_values": values}
        table = dataframe(shot, index, **arguments)
        reader = dataframe_batches(shot, index, max_rows=rows, max_bytes=size, **arguments)
        batches = list(reader)
        for batch in batches:
            batch.validate(full=True)
            assert 1 <= batch.num_rows <= rows
        assert pa.Table.from_batches(batches, reader.schema).equals(table, check_metadata=True)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("fill", [False, True])
def test_large_columns_come_in_pieces_of_the_same_rows(
    fill: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    shots = [
        make_chunk(
            "/a",
            {"frame": rng.permutation(np.arange(20 * n, 20 * n + 20))[:9].tolist()},
            {
                "S:x": [rng.random(rng.integers(0, 4)).tolist() or None for _ in range(9)],
                "T:t": pa.array([["ab" * rng.integers(0, 9)] for _ in range(9)]),
            },
        )
        for n in range(6)
    ]
    shot = snapshot(*shots, make_chunk("/s", None, {"S:x": [[1.0, 2.0]]}))
    pieces = dataframe(shot, "frame", fill_latest_at=fill)
    pieces.validate(full=True)
    assert min(pieces.column(name).num_chunks for name in (X, "/a:T:t", "/s:S:x")) > 1
    monkeypatch.undo()
    whole = dataframe(shot, "frame", fill_latest_at=fill)
    assert max(column.num_chunks for column in whole.columns) == 1
    assert pieces.equals(whole)


events = st.lists(
    st.tuples(
        st.sampled_from(("/a", "/a/b", "/a/b/c")),
        st.sampled_from(("x", "y", "xy", "static", "flat", "recursive", "recursive")),
        st.integers(0, 6),
    ),
    min_size=1,
    max_size=12,
)


@given(
    events=events,
    numbers=st.permutations(range(1, 13)),
    values=st.none() | st.just(list(range(-1, 9))) | st.lists(st.integers(-1, 8), unique=True),
)
@settings(deadline=None, max_examples=300)
def test_a_fill_that_respects_clears_shows_what_latest_at_answers(
    events: list[tuple[str, str, int]], numbers: list[int], values: list[int] | None
) -> None:
    made = []
    for (entity, kind, time), number in zip(events, numbers, strict=False):
        if kind in ("flat", "recursive"):
            components: dict[str, Any] = {CLEAR: [[kind == "recursive"]]}
        else:
            components = {f"S:{name}": [[float(number)]] for name in kind if name in "xy"}
        times = {"frame": [time]} if components else {}
        made.append(make_chunk(entity, times, components or {"S:x": [[0.5]]}, [number]))
    shot = snapshot(*made)
    if "frame" not in shot.timelines():
        return
    table = dataframe(
        shot, "frame", fill_latest_at=True, respect_clears=True, using_index_values=values
    )
    table.validate(full=True)
    for row in integers(table):
        for name, cell in row.items():
            if name == "frame":
                continue
            entity, component = name.split(":", 1)
            answer = shot.latest_at("frame", row["frame"], entity).get(component)
            assert cell == (answer.value.to_pylist() if answer else cell and [])


def test_a_cleared_cell_stays_empty_only_if_asked() -> None:
    shot = snapshot(
        make_chunk("/a", {"frame": [0, 4]}, {"S:x": [[1.0], [2.0]]}),
        make_chunk("/a", {"frame": [1]}, {CLEAR: [[False]]}),
        make_chunk("/b", {"frame": [2]}, {"S:x": [[3.0]]}),
    )
    rerun = dataframe(shot, "frame", fill_latest_at=True)
    ours = dataframe(shot, "frame", fill_latest_at=True, respect_clears=True)
    assert cells(rerun) == [[1.0], [], [1.0], [2.0]]
    assert cells(ours) == [[1.0], [], [], [2.0]]


def test_a_window_leaves_out_rows_but_still_fills_from_before() -> None:
    shot = snapshot(
        make_chunk("/a", {"frame": [0, 4]}, {"S:x": [[1.0], [2.0]]}),
        make_chunk("/b", {"frame": [2, 3, 5]}, {"S:x": [[3.0], [4.0], [5.0]]}),
    )
    table = dataframe(shot, "frame", start=2, end=4, fill_latest_at=True)
    assert cells(table, "frame") == [2, 3, 4]
    assert cells(table) == [[1.0], [1.0], [2.0]]
    assert cells(dataframe(shot, "frame", start=2, end=4)) == [None, None, [2.0]]
    assert dataframe(shot, "frame", start=4, end=2).num_rows == 0
    sampled = dataframe(shot, "frame", using_index_values=[1, 3, 9], start=2)
    assert cells(sampled, "frame") == [3, 9]


def test_components_are_selected_by_name() -> None:
    shot = snapshot(make_chunk("/a", {"frame": [0]}, {"S:x": [[1.0]], "S:y": [[2.0]]}))
    assert dataframe(shot, "frame", components=["S:y"]).column_names == ["frame", "/a:S:y"]
    with pytest.raises(UnknownComponentError, match=r"'S:z'.*'S:x', 'S:y'"):
        dataframe(shot, "frame", components=["S:z"])
    for nonsense in (7, [7, None]):
        with pytest.raises(UnknownComponentError, match="'S:x', 'S:y'"):
            dataframe(shot, "frame", components=nonsense)  # type: ignore[arg-type]


def test_an_unknown_index_names_those_there_are() -> None:
    shot = snapshot(make_chunk("/a", {"frame": [0], "log": [3]}, {"S:x": [[1.0]]}))
    with pytest.raises(UnknownTimelineError, match="frame"):
        dataframe(shot, "nope")


def test_without_any_timeline_every_index_gives_the_static_row() -> None:
    """Rerun's reader refuses it; but the first time may come any moment in a live recording."""
    chunks = [make_chunk("/a", None, {"S:x": [[1.0]]}), make_chunk("/b", None, {"S:y": [[2.0]]})]
    shot = snapshot(*chunks)
    static = dataframe(shot, None)
    assert static.num_rows == 1
    assert dataframe(shot, "frame").equals(static, check_metadata=True)
    sampled = dataframe(shot, "frame", using_index_values=[1, 2], start=3, fill_latest_at=True)
    assert sampled.equals(static, check_metadata=True)
    assert dataframe_view(shot, "frame").table().equals(static)
    with pytest.raises(UnknownTimelineError):
        dataframe(shot, 7)  # type: ignore[arg-type]
    assert dataframe(snapshot(), "frame").num_rows == 0


WHEN = Timeline("when", TimeType.TIMESTAMP)
LONG = Timeline("long", TimeType.DURATION)


@pytest.mark.parametrize(
    ("index", "values", "expected"),
    [
        ("frame", [3, 1], [1, 3]),
        ("frame", range(3), [0, 1, 2]),
        ("frame", np.array([5, 2], np.int32), [2, 5]),
        ("frame", pa.array([4, None, 1]), [1, 4]),
        ("frame", pa.chunked_array([[4], [1]]), [1, 4]),
        ("frame", [], []),
        ("frame", np.array([2**63 - 1], np.uint64), [2**63 - 1]),
        ("when", pa.array([1], pa.timestamp("us", "Europe/Berlin")), [1000]),
        ("long", np.array([1500, 2000], "timedelta64[ps]"), [1, 2]),
        ("when", np.array([2, 1], "datetime64[us]"), [1000, 2000]),
        ("when", pa.array([2, 1], pa.timestamp("us")), [1000, 2000]),
        ("when", [dt.datetime(1970, 1, 1, 0, 0, 1)], [10**9]),
        ("long", np.array([2, 1], "timedelta64[us]"), [1000, 2000]),
        ("long", [dt.timedelta(seconds=1)], [10**9]),
        ("long", [7], [7]),
    ],
)
def test_index_values_of_every_kind(index: str, values: Any, expected: list[int]) -> None:
    shot = snapshot(make_chunk("/a", {"frame": [1], WHEN: [1000], LONG: [7]}, {"S:x": [[1.0]]}))
    table = dataframe(shot, index, using_index_values=values)
    assert table.column(index).cast(pa.int64()).to_pylist() == expected
    assert table.num_rows == len(expected)


@pytest.mark.parametrize(
    ("index", "values"),
    [
        ("frame", [1.5]),
        ("frame", np.array([1.5])),
        ("frame", "12"),
        ("frame", 12),
        ("frame", {1, 2}),
        ("frame", [dt.datetime(2020, 1, 1)]),
        ("frame", np.array([1], "datetime64[s]")),
        ("frame", pa.array(["x"])),
        ("when", [dt.timedelta(1)]),
        ("when", pa.array([1], pa.duration("ns"))),
        ("when", np.array(["NaT"], "datetime64[ns]")),
        ("long", np.array([1], "datetime64[s]")),
        ("long", np.array([[1]])),
        ("frame", np.array([2**63], np.uint64)),
        ("frame", pa.array([2**63], pa.uint64())),
        ("when", np.array(["9999-01-01"], "datetime64[s]")),
        ("when", pa.array([10**12], pa.timestamp("s"))),
        ("long", np.array([10**12], "timedelta64[s]")),
        ("long", pa.array([10**12], pa.duration("s"))),
    ],
)
def test_index_values_of_the_wrong_kind(index: str, values: Any) -> None:
    shot = snapshot(make_chunk("/a", {"frame": [1], WHEN: [1000], LONG: [7]}, {"S:x": [[1.0]]}))
    with pytest.raises(TimeTypeError):
        dataframe(shot, index, using_index_values=values)


def test_repeated_index_values_are_refused() -> None:
    shot = snapshot(make_chunk("/a", {"frame": [1]}, {"S:x": [[1.0]]}))
    with pytest.raises(ExpressionError, match="has 4 on timeline 'frame' more than once"):
        dataframe(shot, "frame", using_index_values=[4, 1, 4])
    with pytest.raises(ValueError, match="more than once"):
        dataframe(shot, "frame", using_index_values=np.array([1, 1]))


def test_columns_of_two_types_are_cast_or_refused() -> None:
    narrow = make_chunk("/a", {"frame": [0]}, {"S:x": pa.array([[1.0]], pa.list_(pa.float64()))})
    wide = make_chunk("/a", {"frame": [1]}, {"S:x": pa.array([[2]], pa.list_(pa.int32()))})
    assert cells(dataframe(snapshot(narrow, wide), "frame")) == [[1.0], [2.0]]
    other = make_chunk(
        "/a", {"frame": [1]}, {"S:x": pa.array([[[2]]], pa.list_(pa.list_(pa.int8())))}
    )
    with pytest.raises(QueryError, match="logged as double and as list"):
        dataframe(snapshot(narrow, other), "frame")


@pytest.mark.parametrize("fill", [False, True])
def test_dictionaries_and_unions_come_through(fill: bool) -> None:
    union = pa.UnionArray.from_dense(
        pa.array([0, 1, 0], pa.int8()),
        pa.array([0, 0, 1], pa.int32()),
        [pa.array([7, 8]), pa.array(["u"])],
    )
    coded = pa.array(["p", "q", "p"]).dictionary_encode()
    made = [
        make_chunk(
            "/a",
            {"frame": [4 * n + 2, 4 * n, 4 * n + 1]},
            {
                "u": pa.ListArray.from_arrays([0, 2, 2, 3], union),
                "d": pa.ListArray.from_arrays([0, 1, 3, 3], coded),
            },
        )
        for n in range(2)
    ]
    made.append(make_chunk("/b", {"frame": [3]}, {"S:x": [[1.0]]}))
    table = dataframe(snapshot(*made), "frame", fill_latest_at=fill)
    table.validate(full=True)
    gap_u, gap_d = ([7, "u"], ["p"]) if fill else (None, None)
    assert cells(table, "/a:u") == [[], [8], [7, "u"], gap_u, [], [8], [7, "u"]]
    assert cells(table, "/a:d") == [["q", "p"], [], ["p"], gap_d, ["q", "p"], [], ["p"]]


def test_contiguous_instances_are_not_copied() -> None:
    chunk = make_chunk("/a", {"frame": [0, 1, 2]}, {"S:x": [[1.0], [2.0, 3.0], [4.0]]})
    table = dataframe(snapshot(chunk), "frame")
    (piece,) = table.column(X).chunks
    logged = chunk.component("S:x").values.buffers()[1]
    assert piece.values.buffers()[1].address == logged.address


def test_a_view_is_worked_out_when_it_is_read() -> None:
    shot = snapshot(make_chunk("/a", {"frame": [0, 1]}, {"S:x": [[1.0], [2.0]]}))
    view = dataframe_view(shot, "frame", max_rows=1)
    assert (len(view), view.num_rows, view.schema.names) == (2, 2, ["frame", X])
    for _ in range(2):  # a view can be read again
        assert pa.table(view).equals(view.table())
    assert pa.schema(view).equals(view.schema, check_metadata=True)
    with pytest.raises(UnknownTimelineError):
        dataframe_view(shot, "nope")


def test_nothing_at_all() -> None:
    empty = snapshot()
    assert dataframe(empty, None).shape == (0, 0)
    assert list(dataframe_batches(empty, None)) == []


def test_a_value_logged_right_after_a_clear_is_shown_in_its_own_row() -> None:
    taken = snapshot(
        make_chunk("/a", {"frame": [0, 2]}, {"S:x": [[0.0], [2.0]]}, [1, 3]),
        make_chunk("/a", {"frame": [1]}, {CLEAR: [[False]]}, [2]),
        make_chunk("/b", {"frame": [3]}, {"S:y": [[0.0]]}, [4]),
    )
    table = dataframe(taken, "frame", fill_latest_at=True)
    assert table.column("frame").to_pylist() == [0, 1, 2, 3]
    assert cells(table) == [[0.0], [], [2.0], [2.0]]


def test_an_empty_clear_is_not_recursive() -> None:
    taken = snapshot(
        make_chunk("/a/b", {"frame": [0]}, {"S:x": [[0.0]]}, [1]),
        make_chunk("/a", {"frame": [1, 2]}, {CLEAR: [[], [True]]}, [2, 3]),
    )
    table = dataframe(taken, "frame", contents="/a/b", fill_latest_at=True)
    assert table.column("frame").to_pylist() == [0, 2]
    assert cells(table, "/a/b:S:x") == [[0.0], []]


def test_a_clear_logged_in_one_row_with_data_leaves_the_data_be() -> None:
    taken = snapshot(make_chunk("/a", {"frame": [1]}, {"S:x": [[1.0]], CLEAR: [[False]]}, [5]))
    for options in ({}, {"fill_latest_at": True}):
        assert cells(dataframe(taken, "frame", **options)) == [[1.0]]  # type: ignore[arg-type]


def test_behind_a_static_clear_no_other_is_seen() -> None:
    taken = snapshot(
        make_chunk("/a", {"frame": [0, 2]}, {"S:x": [[0.0], [2.0]]}, [1, 2]),
        make_chunk("/a", {"frame": [1]}, {CLEAR: [[True]]}, [3]),
        make_chunk("/a", {}, {CLEAR: [[True]]}, [4]),
    )
    assert dataframe(taken, "frame").column("frame").to_pylist() == [0, 2]


def test_the_time_that_stands_for_static_is_taken_as_the_next() -> None:
    taken = snapshot(make_chunk("/a", {"frame": [-(2**63), 0]}, {"S:x": [[1.0], [2.0]]}))
    table = dataframe(taken, "frame")
    assert table.column("frame").to_pylist() == [-(2**63) + 1, 0]
    assert cells(table) == [[1.0], [2.0]]


@pytest.mark.parametrize("kind", ["datetime64[ns]", "timedelta64[ns]"])
def test_no_time_at_all_is_no_index_value(kind: str) -> None:
    line = Timeline("t", TimeType.TIMESTAMP if "date" in kind else TimeType.DURATION)
    taken = snapshot(make_chunk("/a", {line: [1]}, {"S:x": [[1.0]]}))
    with pytest.raises(TimeTypeError, match="NaT"):
        dataframe(taken, "t", using_index_values=np.array(["NaT"], kind))


def test_batches_are_bounded_in_bytes() -> None:
    taken = snapshot(make_chunk("/a", {"frame": list(range(64))}, {"S:x": [[0.0] * 100] * 64}))
    reader = plan(taken, DataframeQuery(index="frame")).batches(1000, 10_000)
    sizes = [batch.num_rows for batch in reader]
    assert sum(sizes) == 64
    assert max(sizes) * 800 <= 10_000
    assert [batch.num_rows for batch in plan(taken, DataframeQuery(index="frame")).batches()] == [
        64
    ]
