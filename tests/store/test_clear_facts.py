"""What a clear hides and what it does not (Rerun's own cases, retold)."""

from __future__ import annotations

import itertools

import pytest

from tests.store.model import CLEAR
from tests.store.rows import chunk_of, clear, latest, latest_ids, row, row_id, store_of_rows

PARENT, CHILD, GRANDCHILD = "/parent", "/parent/child", "/parent/child/grandchild"
DEEP = "/parent/deep/deep/down/child"


def test_a_flat_clear_hides_its_own_entity_only() -> None:
    store = store_of_rows(
        row(1, 10, {"P:points": [[1.0, 2.0]], "P:colors": [1]}, PARENT),
        row(2, 10, {"P:colors": [2]}, CHILD),
        row(3, 10, {"P:colors": [3]}, DEEP),
        clear(4, 10, PARENT, recursive=False),
    )
    assert latest(store, "frame", 11, PARENT) == {CLEAR: ([False], 10, row_id(4))}
    assert latest_ids(store, "frame", 11, CHILD) == {"P:colors": row_id(2)}
    assert latest_ids(store, "frame", 11, DEEP) == {"P:colors": row_id(3)}


def test_a_recursive_clear_hides_all_below() -> None:
    store = store_of_rows(
        row(1, 10, {"P:colors": [1]}, PARENT),
        row(2, 10, {"P:colors": [2]}, CHILD),
        row(3, 10, {"P:colors": [3]}, DEEP),
        row(4, 10, {"P:colors": [4]}, "/parental"),
        row(5, 10, {"P:colors": [5]}, "/"),
        clear(6, 10, PARENT, recursive=True),
    )
    assert latest(store, "frame", 11, PARENT) == {CLEAR: ([True], 10, row_id(6))}
    assert latest(store, "frame", 11, CHILD) == {}
    assert latest(store, "frame", 11, DEEP) == {}
    assert latest_ids(store, "frame", 11, "/parental") == {"P:colors": row_id(4)}
    assert latest_ids(store, "frame", 11, "/") == {"P:colors": row_id(5)}


def test_a_recursive_clear_of_the_root_hides_everything_earlier() -> None:
    store = store_of_rows(
        row(1, 10, {"P:colors": [1]}, DEEP),
        clear(2, 20, "/", recursive=True),
        row(3, 30, {"P:colors": [3]}, DEEP),
    )
    frames = {10: {"P:colors": row_id(1)}, 20: {}, 29: {}, 30: {"P:colors": row_id(3)}}
    for frame, expected in frames.items():
        assert latest_ids(store, "frame", frame, DEEP) == expected


@pytest.mark.parametrize("entity", [PARENT, CHILD, GRANDCHILD, DEEP])
def test_rows_of_the_past_that_arrive_after_the_clear_are_hidden_too(entity: str) -> None:
    """A clear is no event in arrival: it hides by index, whenever the row came."""
    store = store_of_rows(clear(1, 10, PARENT, recursive=True))
    store.insert(chunk_of(row(5, 9, {"P:colors": [5]}, entity)))
    assert latest_ids(store, "frame", 9, entity) == {"P:colors": row_id(5)}
    assert "P:colors" not in latest_ids(store, "frame", 11, entity)


def test_at_one_time_the_row_id_decides() -> None:
    rows = {
        "point": row(2, 10, {"P:colors": [2]}, PARENT),
        "older clear": clear(1, 10, PARENT, recursive=True),
        "newer clear": clear(3, 10, PARENT, recursive=True),
    }
    store = store_of_rows(rows["point"], rows["older clear"])
    assert latest_ids(store, "frame", 11, PARENT) == {"P:colors": row_id(2), CLEAR: row_id(1)}
    store.insert(chunk_of(rows["newer clear"]))
    assert latest_ids(store, "frame", 11, PARENT) == {CLEAR: row_id(3)}
    for arrival in itertools.permutations(rows.values()):
        assert latest_ids(store_of_rows(*arrival), "frame", 11, PARENT) == {CLEAR: row_id(3)}


def test_a_clear_hides_what_is_logged_in_its_own_row() -> None:
    store = store_of_rows(row(1, 10, {CLEAR: [False], "P:colors": [1]}, PARENT))
    assert latest_ids(store, "frame", 10, PARENT) == {CLEAR: row_id(1)}


def test_a_clear_does_not_reach_back_before_its_time() -> None:
    store = store_of_rows(
        row(1, 5, {"P:colors": [1]}, PARENT), clear(2, 10, PARENT, recursive=True)
    )
    assert latest_ids(store, "frame", 9, PARENT) == {"P:colors": row_id(1)}
    assert latest_ids(store, "frame", 10, PARENT) == {CLEAR: row_id(2)}


def test_data_after_the_clear_shows_again_component_by_component() -> None:
    store = store_of_rows(
        row(1, 5, {"P:colors": [1], "P:labels": ["1"]}, PARENT),
        clear(2, 10, PARENT, recursive=False),
        row(3, 11, {"P:colors": [3]}, PARENT),
    )
    assert latest_ids(store, "frame", 11, PARENT) == {"P:colors": row_id(3), CLEAR: row_id(2)}


def test_an_empty_list_is_data_that_a_clear_hides_and_a_null_is_not() -> None:
    store = store_of_rows(
        row(1, 5, {"P:colors": []}, PARENT),
        clear(2, 10, PARENT, recursive=False),
        row(3, 11, {"P:colors": None, "P:labels": []}, PARENT),
    )
    assert latest(store, "frame", 11, PARENT) == {
        "P:labels": ([], 11, row_id(3)),
        CLEAR: ([False], 10, row_id(2)),
    }


def test_a_clear_that_is_null_clears_nothing() -> None:
    store = store_of_rows(
        row(1, 5, {"P:colors": [1]}, PARENT), row(2, 10, {CLEAR: None, "P:labels": []}, PARENT)
    )
    assert latest_ids(store, "frame", 11, PARENT) == {"P:colors": row_id(1), "P:labels": row_id(2)}


def test_of_an_ancestor_only_the_latest_clear_counts() -> None:
    """A later flat clear takes the place of an earlier recursive one: the child is back."""
    store = store_of_rows(
        row(1, 5, {"P:colors": [1]}, CHILD),
        clear(2, 10, PARENT, recursive=True),
        clear(3, 20, PARENT, recursive=False),
    )
    assert latest_ids(store, "frame", 9, CHILD) == {"P:colors": row_id(1)}
    assert latest_ids(store, "frame", 15, CHILD) == {}
    assert latest_ids(store, "frame", 20, CHILD) == {"P:colors": row_id(1)}


def test_every_ancestor_is_asked() -> None:
    """A flat clear nearer by does not stop the recursive one further up."""
    store = store_of_rows(
        row(1, 5, {"P:colors": [1]}, GRANDCHILD),
        clear(2, 6, "/", recursive=True),
        clear(3, 7, CHILD, recursive=False),
    )
    assert latest_ids(store, "frame", 9, GRANDCHILD) == {}
    store.insert(chunk_of(row(4, 8, {"P:colors": [4]}, GRANDCHILD)))
    assert latest_ids(store, "frame", 9, GRANDCHILD) == {"P:colors": row_id(4)}
    store.insert(chunk_of(clear(5, 9, PARENT, recursive=True)))
    assert latest_ids(store, "frame", 9, GRANDCHILD) == {}


def test_an_entity_that_only_clears_is_no_entity_of_data() -> None:
    """The clearing ancestor needs no data of its own."""
    store = store_of_rows(row(1, 1, {"P:colors": [1]}, CHILD), clear(2, 2, PARENT, recursive=True))
    assert latest_ids(store, "frame", 2, PARENT) == {CLEAR: row_id(2)}
    assert latest_ids(store, "frame", 2, CHILD) == {}


def test_clears_are_not_hidden_by_clears() -> None:
    store = store_of_rows(clear(1, 5, CHILD, recursive=False), clear(2, 10, PARENT, recursive=True))
    assert latest_ids(store, "frame", 11, CHILD) == {CLEAR: row_id(1)}


def test_a_temporal_clear_hides_no_static_data() -> None:
    store = store_of_rows(
        row(1, None, {"P:colors": [1]}, PARENT),
        row(2, 5, {"P:labels": ["2"]}, PARENT),
        clear(3, 10, PARENT, recursive=True),
    )
    assert latest_ids(store, "frame", 11, PARENT) == {"P:colors": row_id(1), CLEAR: row_id(3)}


def test_a_static_clear_hides_all_temporal_data() -> None:
    """Also data logged later, at any time, with a greater row id."""
    store = store_of_rows(
        clear(1, None, PARENT, recursive=True),
        row(5, 100, {"P:colors": [5]}, PARENT),
        row(6, 100, {"P:colors": [6]}, CHILD),
    )
    assert latest(store, "frame", 100, PARENT) == {CLEAR: ([True], None, row_id(1))}
    assert latest(store, "frame", 100, CHILD) == {}


def test_a_static_flat_clear_spares_the_children() -> None:
    store = store_of_rows(
        clear(1, None, PARENT, recursive=False),
        row(2, 1, {"P:colors": [2]}, PARENT),
        row(3, 1, {"P:colors": [3]}, CHILD),
    )
    assert latest_ids(store, "frame", 1, PARENT) == {CLEAR: row_id(1)}
    assert latest_ids(store, "frame", 1, CHILD) == {"P:colors": row_id(3)}


def test_a_static_clear_hides_static_data_of_smaller_row_ids() -> None:
    store = store_of_rows(
        row(1, None, {"P:colors": [1]}, PARENT),
        clear(2, None, PARENT, recursive=True),
        row(3, None, {"P:labels": ["3"]}, PARENT),
        row(4, 7, {"P:points": []}, PARENT),
    )
    expected = {"P:labels": row_id(3), CLEAR: row_id(2)}
    assert latest_ids(store, "frame", 7, PARENT) == expected
    assert latest_ids(store, None, 0, PARENT) == expected


def test_a_static_clear_overrides_temporal_clears_of_its_entity() -> None:
    """Static overrides temporal for the clear itself: the flat one is the only one that counts."""
    store = store_of_rows(
        row(1, 1, {"P:colors": [1]}, CHILD),
        clear(2, 2, PARENT, recursive=True),
        clear(3, None, PARENT, recursive=False),
    )
    assert latest_ids(store, "frame", 5, CHILD) == {"P:colors": row_id(1)}


def test_clears_work_on_the_timelines_that_they_are_on() -> None:
    store = store_of_rows(
        row(1, {"frame": 1, "clock": 100}, {"P:colors": [1]}, PARENT),
        clear(2, {"clock": 50}, PARENT, recursive=True),
        row(3, {"frame": 9, "clock": 10}, {"P:labels": ["3"]}, PARENT),
    )
    assert latest_ids(store, "frame", 9, PARENT) == {"P:colors": row_id(1), "P:labels": row_id(3)}
    assert latest_ids(store, "clock", 100, PARENT) == {"P:colors": row_id(1), CLEAR: row_id(2)}


def test_a_selection_without_the_clear_is_cleared_all_the_same() -> None:
    store = store_of_rows(
        row(1, 1, {"P:colors": [1]}, PARENT), clear(2, 2, PARENT, recursive=False)
    )
    assert latest(store, "frame", 3, PARENT, ["P:colors"]) == {}
    assert set(latest(store, "frame", 3, PARENT, [CLEAR])) == {CLEAR}


def test_clears_count_when_merged_into_one_chunk_with_data() -> None:
    store = store_of_rows(
        *(
            row(n, n, {"P:colors": [n]} if n % 10 else {CLEAR: [False]}, PARENT)
            for n in range(1, 200)
        )
    )
    for frame in range(1, 200):
        ids = latest_ids(store, "frame", frame, PARENT)
        assert ids.get("P:colors") == (None if frame % 10 == 0 else row_id(frame))


def test_a_clear_dropped_from_the_store_clears_no_more() -> None:
    store = store_of_rows(row(1, 1, {"P:colors": [1]}, CHILD), clear(2, 2, PARENT, recursive=True))
    assert latest_ids(store, "frame", 3, CHILD) == {}
    store.drop_entity(PARENT)
    assert latest_ids(store, "frame", 3, CHILD) == {"P:colors": row_id(1)}


def test_a_static_clear_hides_more_than_a_temporal_one_of_a_later_row() -> None:
    store = store_of_rows(
        clear(1, None, PARENT, recursive=True),
        clear(2, 10, CHILD, recursive=False),
        row(3, 20, {"P:colors": [3]}, CHILD),
    )
    assert latest_ids(store, "frame", 20, CHILD) == {CLEAR: row_id(2)}


def test_a_clear_goes_with_its_entity() -> None:
    store = store_of_rows(
        row(1, 10, {"P:colors": [1]}, CHILD),
        clear(2, 20, PARENT, recursive=True),
    )
    assert latest_ids(store, "frame", 20, CHILD) == {}
    store.drop_entity(PARENT)
    assert latest_ids(store, "frame", 20, CHILD) == {"P:colors": row_id(1)}


def test_of_several_clears_above_each_other_the_latest_counts() -> None:
    for own, above in ((10, 20), (20, 10)):
        store = store_of_rows(
            clear(1, own, CHILD, recursive=False),
            clear(2, above, PARENT, recursive=True),
            row(3, 15, {"P:colors": [3]}, CHILD),
        )
        assert "P:colors" not in latest_ids(store, "frame", 30, CHILD)


def test_a_static_clear_hides_static_data_of_its_own_row_and_of_earlier_ones() -> None:
    store = store_of_rows(
        row(1, None, {"P:labels": ["before"]}, PARENT),
        row(2, None, {"P:colors": [2], CLEAR: [False]}, PARENT),
        row(3, None, {"P:points": [[3.0, 3.0]]}, PARENT),
    )
    assert latest_ids(store, None, 0, PARENT) == {CLEAR: row_id(2), "P:points": row_id(3)}


def test_of_two_clears_of_one_time_the_one_logged_later_counts() -> None:
    for own, above in ((1, 3), (3, 1)):
        store = store_of_rows(
            clear(own, 10, CHILD, recursive=False),
            clear(above, 10, PARENT, recursive=True),
            row(2, 10, {"P:colors": [2]}, CHILD),
        )
        assert latest_ids(store, "frame", 30, CHILD).get("P:colors") is None
