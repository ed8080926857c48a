"""What `range` answers, fact by fact (Rerun's own cases, retold)."""

from __future__ import annotations

import itertools

import pyarrow as pa
import pytest

from forebay.errors import UnknownTimelineError
from tests.store import model
from tests.store.logs import FIRST, LAST
from tests.store.model import RangeRow, Value
from tests.store.rows import (
    chunk_of,
    clear,
    ranged,
    ranged_static,
    row,
    row_id,
    store_of,
    store_of_rows,
)

POINTS: dict[str, Value | None] = {"P:points": [[1.0, 2.0], [3.0, 4.0]]}
COLORS: dict[str, Value | None] = {"P:colors": [0xFF0000FF]}


def found(frame: int, number: int, cells: dict[str, Value | None]) -> RangeRow:
    return (
        frame,
        row_id(number),
        {name: value for name, value in cells.items() if value is not None},
    )


def test_bounds_are_inclusive() -> None:
    store = store_of_rows(
        row(1, 123, POINTS), row(2, 123, COLORS), row(3, 223, COLORS), row(4, 323, POINTS)
    )
    everything = [
        found(123, 1, POINTS),
        found(123, 2, COLORS),
        found(223, 3, COLORS),
        found(323, 4, POINTS),
    ]
    assert ranged(store, "frame", 123, 323) == everything
    assert ranged(store, "frame", 124, 323) == everything[2:]
    assert ranged(store, "frame", 123, 322) == everything[:3]
    assert ranged(store, "frame", 223, 223) == everything[2:3]
    assert ranged(store, "frame", FIRST, LAST) == everything


def test_the_ends_of_time_are_in_range() -> None:
    store = store_of_rows(row(1, FIRST, POINTS), row(2, LAST, COLORS))
    assert [item[0] for item in ranged(store, "frame", FIRST, LAST)] == [FIRST, LAST]


def test_outside_and_inverted_bounds_give_an_empty_table_of_the_same_columns() -> None:
    snapshot = store_of_rows(row(1, 5, {**POINTS, **COLORS})).snapshot()
    full = snapshot.range("frame", 0, 9, "/world")
    for start, end in ((6, 9), (0, 4), (9, 0), (6, 5)):
        empty = snapshot.range("frame", start, end, "/world")
        assert empty.num_rows == 0
        assert empty.schema == full.schema


def test_columns_are_the_timeline_the_row_id_and_lists() -> None:
    table = store_of_rows(row(1, 5, {**POINTS, **COLORS})).snapshot().range("frame", 5, 5, "/world")
    assert isinstance(table, pa.Table)
    assert table.column_names == ["frame", "row_id", "P:colors", "P:points"]
    assert table.schema.field("row_id").type == pa.binary(16)
    assert table.schema.field("P:colors").type == pa.list_(pa.uint32())


def test_selected_components_only() -> None:
    store = store_of_rows(row(1, 1, POINTS), row(2, 2, COLORS), row(3, 3, {**POINTS, **COLORS}))
    assert ranged(store, "frame", 1, 3, components=["P:colors"]) == [
        found(2, 2, COLORS),
        found(3, 3, COLORS),
    ]
    table = store.snapshot().range("frame", 1, 3, "/world", ["P:colors"])
    assert table.column_names == ["frame", "row_id", "P:colors"]


def test_one_component_type_under_two_names_is_two_components() -> None:
    again: dict[str, Value | None] = {"Q:points": [[11.0, 21.0]]}
    store = store_of_rows(row(1, 323, POINTS), row(2, 323, again))
    assert ranged(store, "frame", 124, 323, components=["Q:points"]) == [found(323, 2, again)]
    assert ranged(store, "frame", 124, 323, components=["P:points"]) == [found(323, 1, POINTS)]


def test_null_cells_are_dropped_and_empty_lists_kept() -> None:
    store = store_of(
        chunk_of(
            row(1, 1, {"P:colors": [1]}),
            row(2, 2, {"P:colors": None}),
            row(3, 3, {"P:colors": []}),
            row(4, 4, {"P:colors": None, "P:labels": ["x"]}),
        )
    )
    assert ranged(store, "frame", 0, 9, components=["P:colors"]) == [
        found(1, 1, {"P:colors": [1]}),
        found(3, 3, {"P:colors": []}),
    ]


def test_rows_come_by_time_then_row_id_whatever_the_arrival() -> None:
    rows = [
        row(5, 1, {"P:colors": [5]}),
        row(1, 2, {"P:colors": [1]}),
        row(4, 2, {"P:colors": [4]}),
        row(2, 3, {"P:colors": [2]}),
        row(3, 3, {"P:colors": [3]}),
    ]
    expected = [(1, 5), (2, 1), (2, 4), (3, 2), (3, 3)]
    for arrival in itertools.permutations(rows):
        for store in (store_of_rows(*arrival), store_of(chunk_of(*arrival))):
            answer = [item[:2] for item in ranged(store, "frame", 1, 3)]
            assert answer == [(frame, row_id(number)) for frame, number in expected]


def test_looking_back_and_forth_leaves_no_trace() -> None:
    store = store_of_rows(*(row(frame, frame, POINTS) for frame in range(10)))
    for start, end in ((8, 10), (1, 3), (5, 7), (8, 10), (0, 9)):
        assert [item[0] for item in ranged(store, "frame", start, end)] == [
            frame for frame in range(start, end + 1) if frame < 10
        ]


def test_readers_of_different_ranges_do_not_disturb_each_other() -> None:
    store = store_of_rows(*(row(n, 100 * n + 23, {"P:colors": [n]}) for n in range(1, 6)))
    snapshot = store.snapshot()
    answers = {
        bounds: ranged(snapshot, "frame", *bounds)
        for bounds in ((123, 223), (423, 523), (223, 423), (123, 223), (423, 523))
    }
    assert [item[0] for item in answers[123, 223]] == [123, 223]
    assert [item[0] for item in answers[223, 423]] == [223, 323, 423]
    assert [item[0] for item in answers[423, 523]] == [423, 523]


def test_the_answer_follows_every_write() -> None:
    store = store_of_rows(row(1, 123, POINTS))
    assert ranged(store, "frame", 123, 223) == [found(123, 1, POINTS)]
    late, past, future = row(2, 123, COLORS), row(3, 122, COLORS), row(4, 224, COLORS)
    for new in (late, past, future):
        store.insert(chunk_of(new))
    assert ranged(store, "frame", 123, 223) == [found(123, 1, POINTS), found(123, 2, COLORS)]
    assert [item[0] for item in ranged(store, "frame", 122, 224)] == [122, 123, 123, 224]


@pytest.mark.parametrize("limit", [1, 40, 10**9])
def test_large_columns_change_places_piece_by_piece(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forebay.store.range_query.RANGE_PIECE_BYTES_MAX", limit)
    frames = [7, 3, 9, 1, 3, 5, 8, 2]
    rows = [row(n, frame, {"P:colors": [n] * (n % 3)}) for n, frame in enumerate(frames, 1)]
    store = store_of(chunk_of(*rows[:3]), chunk_of(*rows[3:]))
    table = store.snapshot().range("frame", 0, 9, "/world")
    assert (table["P:colors"].num_chunks > 1) == (limit < 10**9)
    assert ranged(store, "frame", 0, 9) == model.range_(rows, "frame", 0, 9, "/world")


def test_one_row_id_at_two_times_gives_two_rows() -> None:
    other: dict[str, Value | None] = {"P:points": [[10.0, 20.0]]}
    store = store_of_rows(row(1, 123, POINTS), row(1, 223, other))
    assert ranged(store, "frame", 123, 223) == [found(123, 1, POINTS), found(223, 1, other)]


def test_overlapping_chunks_with_repeated_rows_all_count() -> None:
    frames = (1, 3, 5, 7, 7, 7)
    copies = [
        chunk_of(*(row(10 * copy + n, frame, COLORS) for n, frame in enumerate(frames)))
        for copy in range(3)
    ]
    other = chunk_of(*(row(100 + n, frame, COLORS) for n, frame in enumerate((2, 3, 4))))
    store = store_of(*copies, other)
    assert [item[0] for item in ranged(store, "frame", 2, 5)] == [2, 3, 3, 3, 3, 4, 5, 5, 5]
    assert len(ranged(store, "frame", 7, 7)) == 9
    assert ranged(store, "frame", 6, 6) == []
    assert len(ranged(store, "frame", FIRST, LAST)) == 21


def test_only_rows_on_the_timeline_are_in_range() -> None:
    store = store_of_rows(
        row(1, {"frame": 1, "clock": 9}, COLORS), row(2, {"clock": 1}, COLORS), row(3, 2, COLORS)
    )
    assert [item[1] for item in ranged(store, "frame", FIRST, LAST)] == [row_id(1), row_id(3)]
    assert [item[1] for item in ranged(store, "clock", 0, 9)] == [row_id(2), row_id(1)]


def test_clears_hide_nothing_from_a_range() -> None:
    store = store_of_rows(
        row(1, 1, COLORS),
        clear(2, 2, "/world", recursive=False),
        clear(3, 2, "/", recursive=True),
        clear(4, None, "/world", recursive=True),
        row(5, 3, COLORS),
    )
    assert ranged(store, "frame", 0, 9, components=["P:colors"]) == [
        found(1, 1, COLORS),
        found(3, 5, COLORS),
    ]


def static(number: int, cells: dict[str, Value | None]) -> RangeRow:
    return (None, *found(0, number, cells)[1:])


def test_static_cells_come_in_a_first_row_without_a_time() -> None:
    labels: dict[str, Value | None] = {"P:labels": []}
    store = store_of_rows(row(1, None, POINTS), row(2, 123, COLORS), row(3, None, labels))
    both = static(3, {**POINTS, **labels})
    assert ranged(store, "frame", FIRST, LAST) == [both, found(123, 2, COLORS)]
    assert ranged(store, "frame", 124, LAST) == [both], "whatever the bounds"
    assert ranged(store, "frame", 0, 200, components=["P:colors"]) == [found(123, 2, COLORS)]
    assert ranged(store, "frame", 0, 200, components=["P:points", "P:colors"]) == [
        static(1, POINTS),
        found(123, 2, COLORS),
    ]
    table = store.snapshot().range("frame", FIRST, LAST, "/world")
    assert table.column_names == ["frame", "row_id", "P:colors", "P:labels", "P:points"]
    assert table.schema.field("frame").nullable
    table.validate(full=True)


def test_static_cells_hide_the_temporal_ones_of_their_components() -> None:
    """As in latest-at and dataframes."""
    store = store_of_rows(
        row(1, 123, {**POINTS, **COLORS}),
        row(2, 123, COLORS),
        row(3, None, {"P:colors": [3]}),
        row(4, 223, COLORS),
        row(5, None, {"P:colors": [5]}),
        row(6, 323, POINTS),
    )
    assert ranged(store, "frame", FIRST, LAST) == [
        static(5, {"P:colors": [5]}),
        found(123, 1, POINTS),
        found(323, 6, POINTS),
    ]
    assert ranged(store, "frame", 0, 400, components=["P:colors"]) == [static(5, {"P:colors": [5]})]
    assert ranged_static(store) == [(row_id(5), {"P:colors": [5]})]


@pytest.mark.parametrize("timeline", ["clock", "since"])
def test_the_times_keep_their_type_before_and_after_a_static_row(timeline: str) -> None:
    store = store_of_rows(row(1, {timeline: 7}, POINTS), row(2, None, COLORS))
    assert ranged(store, timeline, 0, 9) == [static(2, COLORS), found(7, 1, POINTS)]


def test_a_recording_without_timelines_answers_with_its_static_data() -> None:
    """Whatever timeline is named, and whatever the times are: there may be one later."""
    store = store_of_rows(row(1, None, POINTS), row(2, None, COLORS))
    both = static(2, {**POINTS, **COLORS})
    assert ranged(store, "frame", 0, 9) == [both]
    snapshot = store.snapshot()
    table = snapshot.range("any", None, "1.5s", "/world")  # type: ignore[arg-type]
    assert table.column_names == ["any", "row_id", "P:colors", "P:points"]
    assert table.schema.field("any").type == pa.int64()
    assert snapshot.range("any", 0, 9, "/world", ["P:points"]).num_rows == 1
    with pytest.raises(UnknownTimelineError, match="str"):
        snapshot.range(7, 0, 9, "/world")  # type: ignore[arg-type]
    store.insert(chunk_of(row(3, 4, {"P:labels": []})))
    assert ranged(store, "frame", 0, 9) == [both, found(4, 3, {"P:labels": []})]
    with pytest.raises(UnknownTimelineError, match="'frame'"):
        store.snapshot().range("any", 0, 9, "/world")


def test_static_answers_follow_every_write() -> None:
    store = store_of_rows(row(1, None, POINTS))
    assert ranged_static(store) == [(row_id(1), POINTS)]
    for number in (2, 3):
        colors: dict[str, Value | None] = {"P:colors": [number]}
        store.insert(chunk_of(row(number, None, colors)))
        assert ranged_static(store) == [(row_id(1), POINTS), (row_id(number), colors)]
        assert ranged(store, "frame", 0, 9) == [static(number, {**POINTS, **colors})]
    for number, frame in ((4, 2), (5, 3), (6, 3)):
        store.insert(chunk_of(row(number, frame, {"P:labels": ["x"], **COLORS})))
        last = ranged(store, "frame", FIRST, LAST)[-1]
        assert last == found(frame, number, {"P:labels": ["x"]})
    assert len(ranged(store, "frame", 3, 3)) == 3


def test_all_rows_of_the_latest_time_are_those_in_range_of_it() -> None:
    """What Rerun calls latest-all; latest-at gives the last of them."""
    store = store_of_rows(
        row(9, 100, {"P:colors": [9]}), *(row(n, 123, {"P:colors": [n]}) for n in (2, 1, 3))
    )
    cell = store.snapshot().latest_at("frame", 200, "/world")["P:colors"]
    assert (cell.time, cell.row_id, cell.value.to_pylist()) == (123, row_id(3), [3])
    assert cell.time is not None
    assert ranged(store, "frame", cell.time, cell.time) == [
        found(123, number, {"P:colors": [number]}) for number in (1, 2, 3)
    ]
    assert store.snapshot().latest_at("frame", 99, "/world") == {}


def test_without_a_timeline_each_static_component_comes_once() -> None:
    store = store_of_rows(
        row(1, None, {**POINTS, "P:colors": [1]}),
        row(4, None, {"P:colors": [4]}),
        row(3, None, {"P:colors": [3]}),
        row(9, 5, {"P:labels": ["temporal"]}),
    )
    rows = ranged_static(store)
    cells = {name: value for _, found_cells in rows for name, value in found_cells.items()}
    assert sum(len(found_cells) for _, found_cells in rows) == 2
    assert cells == {"P:points": POINTS["P:points"], "P:colors": [4]}
    assert ranged_static(store, components=["P:colors"]) == [(row_id(4), {"P:colors": [4]})]
