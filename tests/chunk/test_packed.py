from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.chunk import Chunk, PackedChunk, RowForm, concatenated, sliced
from forebay.model import ChunkId, RowId
from tests.chunks import make_chunk

VALUES: list[pa.Array] = [
    pa.array([[1.5]], pa.list_(pa.float64())),
    pa.array([[]], pa.list_(pa.float64())),
    pa.array([[1, 2, 3]], pa.list_(pa.uint8())),
    pa.array([[[1, 2], [3, 4]]], pa.list_(pa.list_(pa.int16(), 2))),
    pa.array([[[1, 2, 3], []]], pa.list_(pa.list_(pa.uint8()))),
    pa.array(
        [[{"x": 1, "y": 2.5}]], pa.list_(pa.struct([("x", pa.uint32()), ("y", pa.float32())]))
    ),
]
OTHERS: list[pa.Array] = [
    pa.array([["text"]], pa.list_(pa.string())),
    pa.array([[True]], pa.list_(pa.bool_())),
    pa.array([None], pa.list_(pa.float64())),
    pa.array([[None, 1.0]], pa.list_(pa.float64())),
    pa.array([[86_400_000]], pa.list_(pa.date64())),
]
"""Other bytes in their place might not be valid, or mean that a cell is null."""


def one_row(cells: pa.Array) -> Chunk:
    return make_chunk("/a", {"frame": [7], "step": [-1]}, {"S:x": cells})


def packed(chunk: Chunk, number: int) -> PackedChunk:
    form = RowForm.of(chunk, 0)
    assert form is not None
    memory = [
        pa.foreign_buffer(begin, end - begin, chunk).to_pybytes() for begin, end in form.spans
    ]
    return PackedChunk(ChunkId.from_parts(1, number), form, b"".join(memory))


@pytest.mark.parametrize("cells", VALUES, ids=str)
def test_a_packed_row_is_the_same_chunk(cells: pa.Array) -> None:
    chunk = one_row(cells)
    row = packed(chunk, 5)
    assert row.batch.equals(chunk.batch, check_metadata=True)
    row.batch.validate(full=True)
    assert (row.num_rows, row.row_id_at(0)) == (1, chunk.row_id_at(0))
    assert list(row.row_ids) == list(chunk.row_ids)
    for timeline in chunk.timelines:
        assert row.times(timeline).tolist() == chunk.times(timeline).tolist()
        assert row.time_at(timeline, 0) == chunk.time_at(timeline, 0) == chunk.times(timeline)[0]
    for component in chunk.components:
        assert row.null_count(component) == chunk.null_count(component)
    assert row.byte_size == chunk.byte_size


@pytest.mark.parametrize("cells", OTHERS, ids=str)
def test_what_is_no_number_is_not_packed(cells: pa.Array) -> None:
    assert RowForm.of(one_row(cells), 0) is None


@pytest.mark.parametrize("cells", VALUES, ids=str)
@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.booleans()), min_size=1, max_size=20))
def test_packed_and_plain_rows_merge_as_plain_ones_do(
    cells: pa.Array, rows: list[tuple[int, bool]]
) -> None:
    first = one_row(cells)
    form = RowForm.of(first, 0)
    assert form is not None
    mixed: list[Chunk] = []
    for number, (time_ns, is_plain) in enumerate(rows):
        rest = np.random.default_rng(number).bytes(form.packed_bytes - 16)
        row = PackedChunk(
            ChunkId.from_parts(2, number), form, RowId.from_parts(time_ns, number) + rest
        )
        mixed.append(Chunk(row.id, row.layout, row.batch) if is_plain else row)
    plain = [Chunk(one.id, one.layout, one.batch) for one in mixed]
    merged, wanted = concatenated(mixed), concatenated(plain)
    assert merged.id == wanted.id
    # NaN is not equal to itself: compare bytes.
    assert str(merged.batch.to_pydict()) == str(wanted.batch.to_pydict())
    merged.batch.validate(full=True)


def test_a_packed_chunk_has_no_other_rows_nor_attributes() -> None:
    row = packed(one_row(VALUES[0]), 1)
    with pytest.raises(IndexError, match="no row 1"):
        row.row_id_at(1)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = row.nonsense
    with pytest.raises(KeyError):
        row.times("no such timeline")


def test_a_part_of_a_larger_batch_has_no_form() -> None:
    """Its columns begin somewhere inside their buffers, where no row of its kin begins."""
    for cells in ([[1.0], [2.0]], [[], []]):
        chunk = make_chunk("/a", {"frame": [7, 8]}, {"S:x": cells})
        assert RowForm.of(sliced(chunk, 1, 1), 0) is None


@pytest.mark.parametrize(
    "cells",
    [
        pa.ListArray.from_arrays(pa.array([1, 2], pa.int32()), pa.array([1.0, 2.0])),
        pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), pa.array([1.0, 2.0])),
        pa.ListArray.from_arrays(
            pa.array([0, 1], pa.int32()),
            pa.Array.from_buffers(
                pa.list_(pa.float64(), 2), 1, [None], 0, children=[pa.array([1.0, 2.0, 3.0, 4.0])]
            ),
        ),
    ],
    ids=["begins late", "ends early", "more values than vectors"],
)
def test_values_that_no_list_has_make_no_form(cells: pa.Array) -> None:
    """Where they stand nothing is said about, so nothing of it is free."""
    cells.validate(full=True)
    assert RowForm.of(one_row(cells), 0) is None
