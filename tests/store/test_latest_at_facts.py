"""What `latest_at` answers, fact by fact (Rerun's own cases, retold)."""

from __future__ import annotations

import datetime as dt
import itertools

import numpy as np
import pyarrow as pa
import pytest

from forebay.errors import TimeTypeError, UnknownEntityError, UnknownTimelineError
from forebay.limits import CHUNK_SPLIT_ROWS_MAX
from tests.store.logs import FIRST, LAST
from tests.store.model import Row
from tests.store.rows import (
    chunk_of,
    latest,
    latest_ids,
    row,
    row_id,
    store_of,
    store_of_rows,
)

POINTS = {"P:points": [[1.0, 2.0], [3.0, 4.0]]}
COLORS = {"P:colors": [0xFF0000FF]}


def test_each_component_comes_from_its_own_row() -> None:
    store = store_of(chunk_of(row(1, 123, POINTS), row(2, 123, COLORS)))
    assert latest(store, "frame", 123) == {
        "P:points": ([[1.0, 2.0], [3.0, 4.0]], 123, row_id(1)),
        "P:colors": ([0xFF0000FF], 123, row_id(2)),
    }


def test_one_component_type_under_two_names_is_two_components() -> None:
    store = store_of_rows(row(1, 123, POINTS), row(2, 123, {"Q:points": [[5.0, 6.0]]}))
    answers = latest(store, "frame", 123)
    assert answers["P:points"] == ([[1.0, 2.0], [3.0, 4.0]], 123, row_id(1))
    assert answers["Q:points"] == ([[5.0, 6.0]], 123, row_id(2))


def test_before_the_first_row_there_is_no_answer() -> None:
    store = store_of_rows(row(1, 123, POINTS))
    assert latest(store, "frame", 122) == {}
    assert latest(store, "frame", FIRST) == {}
    assert set(latest(store, "frame", LAST)) == {"P:points"}


def test_a_row_is_visible_at_its_very_time() -> None:
    store = store_of_rows(row(1, FIRST, POINTS), row(2, LAST, POINTS))
    assert latest_ids(store, "frame", FIRST) == {"P:points": row_id(1)}
    assert latest_ids(store, "frame", LAST - 1) == {"P:points": row_id(1)}
    assert latest_ids(store, "frame", LAST) == {"P:points": row_id(2)}


def test_selected_components_only() -> None:
    store = store_of_rows(row(1, 1, {**POINTS, **COLORS}), row(2, None, {"P:labels": ["x"]}))
    assert set(latest(store, "frame", 1, components=["P:colors"])) == {"P:colors"}
    assert set(latest(store, "frame", 1, components=["P:labels"])) == {"P:labels"}
    assert set(latest(store, "frame", 1, components=["P:labels", "P:points"])) == {
        "P:labels",
        "P:points",
    }


def test_a_row_of_the_present_replaces_one_of_the_past_and_later_arrivals_count() -> None:
    """The answer follows every write: in the present, in the past, in the future."""
    store = store_of_rows(row(1, 123, POINTS), row(2, 123, COLORS))
    steps = [
        (row(3, 123, {"P:points": [[10.0, 20.0]]}), {"P:points": 3, "P:colors": 2}),
        (row(4, 123, {"P:colors": [4]}), {"P:points": 3, "P:colors": 4}),
        (row(5, 122, {"P:points": [[100.0, 200.0]]}), {"P:points": 3, "P:colors": 4}),
        (row(6, 122, {"P:colors": [6]}), {"P:points": 3, "P:colors": 4}),
        (row(7, 124, {"P:points": [[1e3, 2e3]]}), {"P:points": 3, "P:colors": 4}),
        (row(8, 124, {"P:colors": [8]}), {"P:points": 3, "P:colors": 4}),
    ]
    for new, expected in steps:
        store.insert(chunk_of(new))
        assert latest_ids(store, "frame", 123) == {
            name: row_id(number) for name, number in expected.items()
        }
    assert latest_ids(store, "frame", 122) == {"P:points": row_id(5), "P:colors": row_id(6)}
    assert latest_ids(store, "frame", 124) == {"P:points": row_id(7), "P:colors": row_id(8)}


def test_static_data_overrides_the_present_as_soon_as_it_arrives() -> None:
    store = store_of_rows(row(1, 123, POINTS), row(2, 123, COLORS))
    store.insert(chunk_of(row(5, None, {"P:points": [[100.0, 200.0]]})))
    assert latest(store, "frame", 123)["P:points"] == ([[100.0, 200.0]], None, row_id(5))
    store.insert(chunk_of(row(9, 123, POINTS), row(10, 124, POINTS)))
    assert latest_ids(store, "frame", 124) == {"P:points": row_id(5), "P:colors": row_id(2)}


def test_static_data_overrides_also_with_the_smaller_row_id() -> None:
    store = store_of_rows(row(7, 1, COLORS), row(3, None, {"P:colors": [3]}))
    assert latest(store, "frame", 1) == {"P:colors": ([3], None, row_id(3))}


def test_static_data_answers_at_any_time() -> None:
    store = store_of_rows(row(1, None, POINTS), row(2, 5, COLORS))
    assert latest_ids(store, "frame", FIRST) == {"P:points": row_id(1)}
    assert latest_ids(store, "frame", 5) == {"P:points": row_id(1), "P:colors": row_id(2)}


def test_without_a_timeline_only_static_data_answers() -> None:
    store = store_of_rows(row(1, None, POINTS), row(2, 5, COLORS))
    assert latest(store, None, 0) == {"P:points": ([[1.0, 2.0], [3.0, 4.0]], None, row_id(1))}


def test_optional_components_may_follow_static_ones() -> None:
    store = store_of_rows(row(1, None, POINTS))
    for number, frame in ((2, 2), (3, 3), (4, 3)):
        store.insert(chunk_of(row(number, frame, {"P:colors": [number]})))
        assert latest_ids(store, "frame", 9999) == {
            "P:points": row_id(1),
            "P:colors": row_id(number),
        }


def test_of_static_rows_the_greatest_row_id_wins_whatever_the_arrival() -> None:
    rows = [row(number, None, {"P:colors": [number]}) for number in (1, 2, 3)]
    for arrival in itertools.permutations(rows):
        assert latest(store_of_rows(*arrival), None, 0) == {"P:colors": ([3], None, row_id(3))}


def test_static_winners_are_chosen_per_component() -> None:
    store = store_of_rows(
        row(1, None, {"P:points": [[1.0, 1.0]], "P:colors": [1], "P:labels": ["1"]}),
        row(2, None, {"P:points": [[2.0, 2.0]], "P:colors": [2]}),
    )
    assert latest_ids(store, None, 0) == {
        "P:points": row_id(2),
        "P:colors": row_id(2),
        "P:labels": row_id(1),
    }


def test_a_static_null_shadows_nothing() -> None:
    store = store_of_rows(row(1, None, {"P:colors": [1]}), row(2, None, {"P:colors": None}))
    assert latest_ids(store, None, 0) == {"P:colors": row_id(1)}
    within_one_chunk = store_of(
        chunk_of(row(1, None, {"P:colors": [1]}), row(2, None, {"P:labels": ["2"]}))
    )
    assert latest_ids(within_one_chunk, None, 0) == {
        "P:colors": row_id(1),
        "P:labels": row_id(2),
    }


def test_of_one_time_the_greatest_row_id_wins_whatever_the_arrival() -> None:
    rows = [row(number, 10, {"P:colors": [number]}) for number in (1, 2, 3, 4, 5)]
    for arrival in itertools.permutations(rows, 5):
        assert latest_ids(store_of_rows(*arrival), "frame", 11) == {"P:colors": row_id(5)}
    assert latest_ids(store_of(chunk_of(*rows)), "frame", 11) == {"P:colors": row_id(5)}


@pytest.mark.parametrize("numbers", [(3, 4), (255, 256), (1023, 1024), (4, 8)])
def test_row_ids_compare_by_all_their_bytes(numbers: tuple[int, int]) -> None:
    """Counter after nanoseconds, bytes from the left, zeros at the end included."""
    older, newer = numbers
    store = store_of_rows(row(newer, 10, {"P:colors": [1]}), row(older, 10, {"P:colors": [0]}))
    assert latest(store, "frame", 10) == {"P:colors": ([1], 10, row_id(newer))}


def test_time_beats_row_id() -> None:
    store = store_of_rows(row(9, 10, {"P:colors": [9]}), row(1, 11, {"P:colors": [1]}))
    assert latest_ids(store, "frame", 11) == {"P:colors": row_id(1)}
    assert latest_ids(store, "frame", 10) == {"P:colors": row_id(9)}


def test_null_cells_are_skipped_and_empty_lists_are_values() -> None:
    store = store_of(
        chunk_of(
            row(1, 1, {"P:colors": [1]}),
            row(2, 2, {"P:colors": []}),
            row(3, 3, {"P:colors": None, "P:labels": [None]}),
        )
    )
    assert latest(store, "frame", 3) == {
        "P:colors": ([], 2, row_id(2)),
        "P:labels": ([None], 3, row_id(3)),
    }


def test_a_sparse_component_is_found_in_the_chunk_that_begins_earlier() -> None:
    """Times count per component: the chunk starting later holds the older value of `P:colors`."""
    early = chunk_of(
        row(1, 1, {"P:points": [], "P:colors": None}),
        row(2, 2, {"P:points": [], "P:colors": None}),
        row(3, 3, {"P:points": [], "P:colors": [3]}),
    )
    late = chunk_of(row(4, 2, {"P:points": [], "P:colors": [2]}))
    for arrival in ((early, late), (late, early)):
        store = store_of(*arrival)
        assert latest_ids(store, "frame", LAST)["P:colors"] == row_id(3)
        assert latest_ids(store, "frame", 2) == {"P:points": row_id(4), "P:colors": row_id(4)}


def test_chunks_that_overlap_in_time_answer_as_one() -> None:
    def points(*numbers_and_frames: tuple[int, int]) -> list[Row]:
        return [row(number, frame, {"P:colors": [frame]}) for number, frame in numbers_and_frames]

    chunks = [
        chunk_of(*points((1, 1), (2, 3), (3, 5), (4, 7))),
        chunk_of(*points((5, 2), (6, 3), (7, 4))),
        chunk_of(*points((8, 2), (9, 4), (10, 6))),
    ]
    expected = {0: None, 1: 1, 2: 8, 3: 6, 4: 9, 5: 3, 6: 10, 7: 4, 8: 4}
    for arrival in itertools.permutations(chunks):
        store = store_of(*arrival)
        for frame, number in expected.items():
            ids = {} if number is None else {"P:colors": row_id(number)}
            assert latest_ids(store, "frame", frame) == ids


def test_a_history_of_several_chunks_and_a_static_override() -> None:
    store = store_of_rows(
        row(1, 1, {"P:labels": ["a"], "P:colors": [1]}),
        row(2, 2, {"P:labels": ["a"], "P:points": [[2.0, 2.0]]}),
        row(3, 3, {"P:points": [[3.0, 3.0]]}),
        row(4, 4, {"P:colors": [4]}),
        row(5, None, {"P:colors": [5]}),
    )
    expected = {
        0: {"P:colors": 5},
        1: {"P:colors": 5, "P:labels": 1},
        2: {"P:colors": 5, "P:labels": 2, "P:points": 2},
        3: {"P:colors": 5, "P:labels": 2, "P:points": 3},
        4: {"P:colors": 5, "P:labels": 2, "P:points": 3},
    }
    for frame, winners in expected.items():
        assert latest_ids(store, "frame", frame) == {
            name: row_id(number) for name, number in winners.items()
        }


def test_one_row_id_in_two_chunks_answers_for_both_components() -> None:
    store = store_of_rows(row(1, 123, POINTS), row(1, 123, COLORS))
    assert latest_ids(store, "frame", 123) == {"P:points": row_id(1), "P:colors": row_id(1)}


def test_timelines_order_the_same_rows_differently() -> None:
    store = store_of_rows(
        row(1, {"frame": 1, "clock": 20}, {"P:colors": [1]}),
        row(2, {"frame": 2, "clock": 10}, {"P:colors": [2]}),
        row(3, {"clock": 30}, {"P:colors": [3]}),
    )
    assert latest_ids(store, "frame", 9) == {"P:colors": row_id(2)}
    assert latest_ids(store, "clock", 20) == {"P:colors": row_id(1)}
    assert latest_ids(store, "clock", 99) == {"P:colors": row_id(3)}


def test_a_timeline_that_the_entity_has_no_rows_on_has_only_static_answers() -> None:
    store = store_of_rows(
        row(1, {"clock": 1}, POINTS), row(2, 1, COLORS, "/other"), row(3, None, COLORS)
    )
    assert latest_ids(store, "frame", 9) == {"P:colors": row_id(3)}


def test_entities_do_not_answer_for_each_other() -> None:
    store = store_of_rows(row(1, 1, POINTS, "/a"), row(2, 1, COLORS, "/a/b"))
    assert latest_ids(store, "frame", 1, "/a") == {"P:points": row_id(1)}
    assert latest_ids(store, "frame", 1, "/a/b") == {"P:colors": row_id(2)}
    assert latest_ids(store, "frame", 1, "a/b/") == {"P:colors": row_id(2)}


def test_a_cell_is_the_arrow_array_of_its_instances() -> None:
    cell = store_of_rows(row(1, 1, POINTS)).snapshot().latest_at("frame", 1, "/world")["P:points"]
    assert isinstance(cell.value, pa.Array)
    assert cell.value.type == pa.list_(pa.float32(), 2)
    assert len(cell.value) == 2
    assert isinstance(cell.time, int)
    assert isinstance(cell.row_id, bytes)
    assert len(cell.row_id) == 16


def test_times_may_be_given_in_pythons_and_numpys_kinds() -> None:
    store = store_of_rows(
        row(1, {"frame": 5, "clock": 1_000_000_000, "since": 2_000}, {"P:colors": [1]})
    )
    snapshot = store.snapshot()
    found = [
        snapshot.latest_at("frame", np.int32(5), "/world"),
        snapshot.latest_at("clock", dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC), "/world"),
        snapshot.latest_at("clock", np.datetime64(1, "s"), "/world"),
        snapshot.latest_at("since", dt.timedelta(microseconds=2), "/world"),
        snapshot.latest_at("since", np.timedelta64(2, "us"), "/world"),
    ]
    assert [set(cells) for cells in found] == [{"P:colors"}] * 5
    with pytest.raises(TimeTypeError, match="frame"):
        snapshot.latest_at("frame", dt.timedelta(1), "/world")


def test_a_wrong_timeline_or_entity_is_named_with_what_there_is() -> None:
    snapshot = store_of_rows(row(1, 1, POINTS)).snapshot()
    with pytest.raises(UnknownTimelineError, match=r"lag_time.*frame"):
        snapshot.latest_at("lag_time", 1, "/world")
    with pytest.raises(UnknownEntityError, match="does/not/exist"):
        snapshot.latest_at("frame", 1, "/does/not/exist")


def test_a_component_that_some_rows_lack_is_looked_up_on_its_own() -> None:
    store = store_of(
        chunk_of(
            row(1, 10, {"P:colors": [1], "P:labels": ["one"]}),
            row(2, 20, {"P:colors": [2], "P:labels": None}),
        )
    )
    assert latest_ids(store, "frame", 20) == {"P:colors": row_id(2), "P:labels": row_id(1)}


def test_rows_of_a_part_of_a_split_chunk_have_their_own_ids() -> None:
    count = CHUNK_SPLIT_ROWS_MAX + 100
    store = store_of(chunk_of(*(row(number, number, COLORS) for number in range(count))))
    for frame in (0, count // 2, count - 2, count - 1):
        assert latest_ids(store, "frame", frame) == {"P:colors": row_id(frame)}
    store.insert(chunk_of(row(count - 2, count - 1, COLORS)))
    assert latest_ids(store, "frame", count - 1) == {"P:colors": row_id(count - 1)}


def test_of_two_static_cells_of_one_row_id_the_first_stays() -> None:
    store = store_of_rows(row(1, None, {"P:colors": [1]}))
    store.insert(chunk_of(row(1, None, {"P:colors": [2], "P:labels": ["new"]})))
    assert latest(store, None, 0) == {
        "P:colors": ([1], None, row_id(1)),
        "P:labels": (["new"], None, row_id(1)),
    }


@pytest.mark.parametrize("time", [2**63, -(2**63) - 1, 2**64])
def test_a_time_beyond_64_bits_is_no_time(time: int) -> None:
    store = store_of_rows(row(1, 1, COLORS))
    with pytest.raises(TimeTypeError):
        latest(store, "frame", time)
    for end in (2**63 - 1, -(2**63)):
        assert set(latest(store, "frame", end)) == ({"P:colors"} if end > 0 else set())


def test_a_recording_without_timelines_answers_with_its_static_data() -> None:
    """Whatever timeline is named, and whatever the time is: there may be one later."""
    store = store_of_rows(row(1, None, {"P:colors": [1]}))
    answer = {"P:colors": ([1], None, row_id(1))}
    assert latest(store, "frame", 5) == latest(store, None, 0) == answer
    snapshot = store.snapshot()
    assert snapshot.latest_at("any", None, "/world").keys() == {"P:colors"}
    assert snapshot.latest_at("any", "noon", "/world", ["P:colors"]).keys() == {"P:colors"}  # type: ignore[arg-type]
    for nonsense in (7, ["frame"]):
        with pytest.raises(UnknownTimelineError):
            snapshot.latest_at(nonsense, 5, "/world")  # type: ignore[arg-type]
    store.insert(chunk_of(row(2, 7, {"P:labels": ["x"]})))
    assert latest(store, "frame", 5) == answer
    with pytest.raises(UnknownTimelineError, match="'frame'"):
        store.snapshot().latest_at("any", 5, "/world")
