from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.chunk import Chunk
from forebay.errors import InvalidChunkError
from forebay.model import ChunkId, Timeline, TimeType
from tests.chunks import make_chunk

TRAILING_ZEROS = bytes([1]) + bytes(15)


def with_row_ids(ids: list[bytes | None]) -> tuple[Chunk, pa.RecordBatch]:
    """A chunk to take id and layout from, and the same batch with other row ids."""
    count = len(ids)
    chunk = make_chunk("/a", {"frame": list(range(count))}, {"S:x": [[n] for n in range(count)]})
    position = chunk.layout.row_ids
    field = chunk.batch.schema.field(position)
    column = pa.array(ids, pa.binary(16))
    return chunk, chunk.batch.set_column(position, field, column)


@given(st.permutations(range(6)))
def test_rows_stand_in_the_order_of_their_ids(order: list[int]) -> None:
    chunk, batch = with_row_ids([bytes([n]) + bytes(15) for n in order])
    validated = Chunk.validated(chunk.id, chunk.layout, batch)
    assert validated.times("frame").tolist() == [order.index(n) for n in range(6)]
    assert validated.component("S:x").to_pylist() == [[order.index(n)] for n in range(6)]
    assert validated.row_ids.tobytes() == b"".join(bytes([n]) + bytes(15) for n in range(6))


def test_row_ids_keep_their_trailing_zeros() -> None:
    chunk, batch = with_row_ids([TRAILING_ZEROS, b"\2" * 16])
    validated = Chunk.validated(chunk.id, chunk.layout, batch)
    assert validated.row_id_at(0) == TRAILING_ZEROS
    assert len(validated.row_id_at(0)) == 16


def test_sorted_rows_are_not_copied() -> None:
    chunk, batch = with_row_ids([bytes(16), TRAILING_ZEROS])
    assert Chunk.validated(chunk.id, chunk.layout, batch).batch is batch


def test_null_row_ids_and_times_are_refused() -> None:
    chunk, batch = with_row_ids([bytes(16), None])
    with pytest.raises(InvalidChunkError, match="row ids"):
        Chunk.validated(chunk.id, chunk.layout, batch)
    chunk, batch = with_row_ids([bytes(16), TRAILING_ZEROS])
    position = chunk.layout.indexes["frame"].position
    times = pa.array([1, None], batch.column(position).type)
    batch = batch.set_column(position, batch.schema.field(position), times)
    with pytest.raises(InvalidChunkError, match="'frame'"):
        Chunk.validated(chunk.id, chunk.layout, batch)


@pytest.mark.parametrize("time_type", list(TimeType))
def test_slices_see_their_own_rows(time_type: TimeType) -> None:
    timeline = Timeline("t", time_type)
    chunk = make_chunk("/a", {timeline: [5, 6, 7, 8]}, {"S:x": [[1], None, [3, 4], []]})
    part = Chunk(chunk.id, chunk.layout, chunk.batch.slice(1, 2))
    assert part.num_rows == 2
    assert part.times("t").tolist() == [6, 7]
    assert part.times("t").dtype == np.int64
    assert part.component("S:x").to_pylist() == [None, [3, 4]]
    assert [part.row_id_at(n) for n in range(2)] == [chunk.row_id_at(n) for n in (1, 2)]
    assert part.row_ids.tolist() == chunk.row_ids[1:3].tolist()
    assert 0 < part.byte_size < chunk.byte_size


def test_an_empty_chunk_has_empty_columns() -> None:
    chunk = make_chunk("/a", {"frame": []}, {"S:x": pa.array([], pa.list_(pa.int64()))})
    validated = Chunk.validated(chunk.id, chunk.layout, chunk.batch)
    assert validated.num_rows == 0
    assert validated.times("frame").tolist() == []
    assert len(validated.row_ids) == 0


def test_unknown_names_are_key_errors() -> None:
    chunk = make_chunk("/a", {"frame": [1]}, {"S:x": [[1]]})
    with pytest.raises(KeyError):
        chunk.times("tick")
    with pytest.raises(KeyError):
        chunk.component("S:y")


def test_taken_rows_keep_id_and_layout() -> None:
    chunk = make_chunk("/a", {"frame": [1, 2, 3]}, {"S:x": [[1], [2], [3]]})
    taken = chunk.taken(np.array([2, 0]))
    assert (taken.id, taken.layout) == (chunk.id, chunk.layout)
    assert taken.times("frame").tolist() == [3, 1]
    assert isinstance(taken.id, ChunkId)
