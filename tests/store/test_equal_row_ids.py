"""Two rows of one row id at one time: the chunk that came first counts, in it the later row.

So it is in Rerun's reader. No SDK logs such rows; files that were merged or repaired have them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given, settings

from forebay.chunk import Chunk
from forebay.store import ChunkStore
from tests.chunks import make_chunk, row_id
from tests.store.dataframe import handmade
from tests.store.rows import STORE_ID, narrow_nodes

COMPONENTS = ("S:x", "S:y")
TIMELINES = ("frame", "tick")

Cells = dict[str, "list[float] | None"]


@dataclass(frozen=True)
class Logged:
    """A row of a chunk, as it was sent."""

    number: int
    times: dict[str, int]
    cells: Cells


@st.composite
def chunks(draw: st.DrawFn) -> list[list[Logged]]:
    """Chunks in the order of arrival, of few row ids and times, and of several layouts."""
    values = itertools.count()
    made = []
    for _ in range(draw(st.integers(2, 12))):
        names = draw(st.sampled_from((COMPONENTS[:1], COMPONENTS, COMPONENTS[1:])))
        lines = draw(st.sampled_from((TIMELINES[:1], TIMELINES)))
        rows = []
        for _ in range(draw(st.integers(1, 4))):
            cells: Cells = {
                name: None if draw(st.integers(0, 4)) == 0 else [float(next(values))]
                for name in names
            }
            times = {line: draw(st.integers(0, 2)) for line in lines}
            rows.append(Logged(draw(st.integers(1, 3)), times, cells))
        made.append(rows)
    return made


def chunk_of(rows: Sequence[Logged], number: int) -> Chunk:
    return make_chunk(
        "/a",
        {line: [row.times[line] for row in rows] for line in rows[0].times},
        {
            name: pa.array([row.cells[name] for row in rows], pa.list_(pa.float64()))
            for name in rows[0].cells
        },
        [row.number for row in rows],
        1000 + number,
    )


def latest(made: Sequence[Sequence[Logged]], line: str, time: int, name: str) -> Any:
    """The cell that counts: greatest time and row id, first chunk, last row."""
    found = [
        ((row.times[line], row.number, -arrival, place), row.cells[name])
        for arrival, rows in enumerate(made)
        for place, row in enumerate(rows)
        if row.times.get(line, 99) <= time and row.cells.get(name) is not None
    ]
    return max(found, key=lambda one: one[0])[1] if found else None


def in_range(made: Sequence[Sequence[Logged]], line: str) -> list[tuple[int, bytes, Cells]]:
    """All rows with a cell, the one that counts last among equals."""
    found = [
        ((row.times[line], row.number, -arrival, place), row.cells)
        for arrival, rows in enumerate(made)
        for place, row in enumerate(rows)
        if line in row.times and any(cell is not None for cell in row.cells.values())
    ]
    return [(key[0], row_id(key[1]), cells) for key, cells in sorted(found, key=lambda one: one[0])]


def assert_right(store: ChunkStore, made: Sequence[Sequence[Logged]]) -> None:
    snapshot = store.snapshot()
    there = {name for rows in made for row in rows for name in row.cells}
    has_cells = {name for rows in made for row in rows for name, cell in row.cells.items() if cell}
    for line in snapshot.timelines():
        for time in range(3):
            cells = snapshot.latest_at(line, time, "/a")
            found = {name: cell.value.to_pylist() for name, cell in cells.items()}
            expected = {name: latest(made, line, time, name) for name in there}
            assert found == {name: cell for name, cell in expected.items() if cell is not None}
        table = snapshot.range(line, 0, 9, "/a")
        names = table.column_names[2:]
        rows = [(row[line], row["row_id"], {n: row[n] for n in names}) for row in table.to_pylist()]
        assert rows == [
            (time, number, {name: cells.get(name) for name in names})
            for time, number, cells in in_range(made, line)
        ]
        filled = snapshot.dataframe(line, fill_latest_at=True).to_pydict()
        for name in has_cells:
            column = filled[f"/a:{name}"]
            assert column == [latest(made, line, time, name) for time in filled[line]]
        plain = snapshot.dataframe(line).to_pydict()
        for name in has_cells:
            for time, cell in zip(plain[line], plain[f"/a:{name}"], strict=True):
                value = latest(made, line, time, name)
                assert cell == (value if value != latest(made, line, time - 1, name) else None)


@settings(max_examples=150, deadline=None)
@given(chunks(), st.sampled_from((2, 3, 5, 64)), st.sampled_from((1, 2, 4096)))
def test_the_first_chunk_counts_whatever_merging_and_splitting_do(
    made: list[list[Logged]], fanout: int, rows_max: int
) -> None:
    store = ChunkStore(STORE_ID)
    with (
        narrow_nodes(fanout),
        patch("forebay.chunk.merge.CHUNK_SPLIT_ROWS_MAX", rows_max),
        patch("forebay.chunk.merge.CHUNK_SPLIT_ROWS_MAX_UNSORTED", rows_max),
    ):
        for number, rows in enumerate(made):
            store.insert(chunk_of(rows, number))
    assert_right(store, made)
    assert_right(store.copy(STORE_ID), made)


def one_row(number: int, value: float, time: int = 5) -> Chunk:
    return make_chunk("/a", {"frame": [time]}, {"S:x": [[value]]}, [1], number)


@pytest.mark.parametrize("arguments", [{}, {"fill_latest_at": True}, {"using_index_values": [5]}])
@pytest.mark.parametrize(
    "made",
    [
        lambda: [one_row(10, 1.0), one_row(20, 2.0)],
        lambda: [one_row(20, 1.0), one_row(10, 2.0)],
        lambda: [make_chunk("/a", {"frame": [5, 5]}, {"S:x": [[1.0], [2.0]]}, [1, 1])],
        lambda: [make_chunk("/a", {"frame": [5, 6]}, {"S:x": [[1.0], [2.0]]}, [1, 1])],
        lambda: [
            make_chunk("/a", {"frame": [5, 9]}, {"S:x": [[1.0], [9.0]]}, [1, 2], 10),
            make_chunk("/a", {"frame": [5, 7]}, {"S:x": [[2.0], [7.0]]}, [1, 2], 20),
        ],
    ],
)
def test_rerun_gives_the_same(made: Callable[[], list[Chunk]], arguments: dict[str, Any]) -> None:
    arrived = made()
    theirs, _ = handmade.both(arrived)
    store = ChunkStore(STORE_ID)
    for chunk in arrived:
        store.insert(chunk)
    expected = theirs.reader("frame", **arguments).to_arrow_table()
    assert store.snapshot().dataframe("frame", **arguments).to_pydict() == expected.to_pydict()


@pytest.mark.parametrize("numbers", [(10, 20), (20, 10)])
def test_of_two_static_cells_of_one_row_id_the_first_counts_as_in_rerun(
    numbers: tuple[int, int],
) -> None:
    arrived = [
        make_chunk("/a", None, {"S:x": [[value]], **more}, [1], number)
        for number, value, more in zip(numbers, (1.0, 2.0), ({}, {"S:y": [[0.0]]}), strict=True)
    ]
    theirs, _ = handmade.both(arrived)
    store = ChunkStore(STORE_ID)
    for chunk in arrived:
        store.insert(chunk)
    assert theirs.reader(None).to_arrow_table()["/a:S:x"].to_pylist() == [[1.0]]
    snapshot = store.snapshot()
    assert snapshot.dataframe(None)["/a:S:x"].to_pylist() == [[1.0]]
    assert snapshot.latest_at(None, None, "/a")["S:x"].value.to_pylist() == [1.0]
