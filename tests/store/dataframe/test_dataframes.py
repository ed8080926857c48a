"""Several recordings in one table."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from forebay.errors import QueryError, UnknownTimelineError
from forebay.model import Timeline, TimeType
from forebay.store.dataframe.query import dataframe
from forebay.store.dataframe.several import dataframes
from tests.chunks import make_chunk
from tests.store.dataframe.test_dataframe import snapshot

ONE = snapshot(
    make_chunk("/b", {"frame": [0, 2]}, {"S:x": [[1.0], [2.0]]}),
    make_chunk("/s", None, {"S:x": [[5.0]]}),
)
TWO = snapshot(
    make_chunk("/a", {"frame": [7], "log": [3]}, {"S:x": [[3.0]]}),
    make_chunk("/b", {"frame": [7], "log": [3]}, {"S:x": [[4.0]]}),
)
OTHER = snapshot(make_chunk("/a", {"log": [7]}, {"S:x": [[3.0]]}))


def rows(table: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def test_columns_are_united_and_rows_named() -> None:
    table = dataframes({"one": ONE, "two": TWO, "other": OTHER}, "frame")
    table.validate(full=True)
    assert table.column_names == [
        "rerun_recording_id",
        "frame",
        "log",
        "/a:S:x",
        "/b:S:x",
        "/s:S:x",
    ]
    assert rows(table) == [
        ("one", 0, None, None, [1.0], [5.0]),
        ("one", 2, None, None, [2.0], [5.0]),
        ("two", 7, 3, [3.0], [4.0], None),
    ]


def test_one_recording_is_its_dataframe_with_a_leading_column() -> None:
    table = dataframes({"two": TWO}, "frame", fill_latest_at=True)
    alone = dataframe(TWO, "frame", fill_latest_at=True)
    assert table.drop_columns(["rerun_recording_id"]).equals(alone, check_metadata=True)


def test_index_values_for_all_or_for_each() -> None:
    both = dataframes({"one": ONE, "two": TWO}, "frame", using_index_values=[1, 7])
    assert [row[:2] for row in rows(both)] == [("one", 1), ("one", 7), ("two", 1), ("two", 7)]
    each = dataframes({"one": ONE, "two": TWO}, "frame", using_index_values={"two": [9]})
    assert [row[:2] for row in rows(each)] == [("two", 9)]


def test_static_rows_of_each() -> None:
    table = dataframes({"one": ONE, "two": TWO}, None)
    assert rows(table) == [("one", None, None, [5.0]), ("two", None, None, None)]


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(UnknownTimelineError, match="'frame', 'log'"):
        dataframes({"one": ONE, "two": TWO}, "nope")
    line = Timeline("frame", TimeType.DURATION)
    strange = snapshot(make_chunk("/b", {line: [0]}, {"S:x": [[1.0]]}))
    with pytest.raises(QueryError, match="'frame' is int64 in recording 'one' and duration"):
        dataframes({"one": ONE, "strange": strange}, "frame")


def test_recordings_of_one_id_all_have_their_rows() -> None:
    """Recording ids need only differ inside an application."""
    table = dataframes([("same", ONE), ("same", TWO)], "frame")
    assert [row[:2] for row in rows(table)] == [("same", 0), ("same", 2), ("same", 7)]
    chosen = dataframes([("same", ONE), ("same", TWO)], "frame", using_index_values={"same": [7]})
    assert [row[:2] for row in rows(chosen)] == [("same", 7), ("same", 7)]


def test_no_recordings_at_all() -> None:
    assert dataframes({}, None).column_names == ["rerun_recording_id"]


def test_recordings_without_any_timeline_give_a_static_row_each() -> None:
    still = snapshot(make_chunk("/s", None, {"S:x": [[5.0]]}))
    other = snapshot(make_chunk("/s", None, {"S:x": [[6.0]]}))
    table = dataframes({"still": still, "other": other}, "frame")
    assert rows(table) == [("still", [5.0]), ("other", [6.0])]
    assert {row[0] for row in rows(dataframes({"still": still, "one": ONE}, "frame"))} == {"one"}
    with pytest.raises(UnknownTimelineError, match="'frame'"):
        dataframes({"still": still, "one": ONE}, "nope")
