"""Cutting chunks into smaller ones and joining them into larger ones: the same rows, other ids."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from forebay.chunk.arrays import positions
from forebay.chunk.chunk import Chunk
from forebay.chunk.layout import ChunkLayout, DataColumn, IndexColumn
from forebay.chunk.packed import batches
from forebay.chunk.row_ids import are_rising, latest_first, sorting
from forebay.chunk.unify import same_type
from forebay.limits import (
    CHUNK_SPLIT_BYTES_MAX,
    CHUNK_SPLIT_ROWS_MAX,
    CHUNK_SPLIT_ROWS_MAX_UNSORTED,
)
from forebay.model import ChunkId

if TYPE_CHECKING:
    import numpy.typing as npt


def derived_id(first: ChunkId, *origin: bytes) -> ChunkId:
    """The id of a chunk that was made out of others.

    It follows from what it was made of, so two chunks of one id still hold the same rows, in
    every copy of a store; no clock or random number is needed. Its time is that of `first`.
    """
    digest = hashlib.blake2b(b"".join(origin), digest_size=8, person=b"forebay")
    return ChunkId(first[:8] + digest.digest())


def is_time_sorted(chunk: Chunk) -> bool:
    """Whether the times never decrease, on any timeline."""
    for name in chunk.timelines:
        times = chunk.times(name)
        if len(times) > 1 and not bool(np.all(times[:-1] <= times[1:])):
            return False
    return True


def fits_limits(chunk: Chunk) -> bool:
    """Whether a temporal chunk is within Rerun's limits; a single row always is."""
    rows = chunk.num_rows
    if rows <= 1:
        return True
    if rows > CHUNK_SPLIT_ROWS_MAX or byte_size_exceeds(chunk, CHUNK_SPLIT_BYTES_MAX):
        return False
    return rows <= CHUNK_SPLIT_ROWS_MAX_UNSORTED or is_time_sorted(chunk)


def byte_size_exceeds(chunk: Chunk, bytes_max: int) -> bool:
    """Whether `chunk.byte_size > bytes_max`, mostly without adding it up.

    The size of whole buffers is a cheap upper bound; only what it cannot decide is measured.
    """
    return chunk.byte_size_max > bytes_max and chunk.byte_size > bytes_max


def split(chunk: Chunk) -> list[Chunk]:
    """Neighbouring parts of a temporal chunk, each within Rerun's limits; no data is copied.

    A chunk that fits comes back alone, as it is. The parts are in the order of their rows, unless
    rows of one row id come apart: then the last part is first, as if it had come first, because
    the later row of a chunk counts, but of two chunks the one that came first (`latest_first`).
    """
    if fits_limits(chunk):
        return [chunk]
    # Looked at once, and not for each part again: that would be all rows for each few of them.
    is_sorted = chunk.num_rows <= CHUNK_SPLIT_ROWS_MAX_UNSORTED or is_time_sorted(chunk)
    rows_max = CHUNK_SPLIT_ROWS_MAX if is_sorted else CHUNK_SPLIT_ROWS_MAX_UNSORTED
    parts = list(_parts(chunk, 0, chunk.num_rows, rows_max))
    if any(a.row_id_at(a.num_rows - 1) == b.row_id_at(0) for a, b in pairwise(parts)):
        parts.reverse()
    return parts


def _parts(chunk: Chunk, start: int, length: int, rows_max: int) -> Iterable[Chunk]:
    size = chunk.batch.slice(start, length).nbytes
    count = max(-(-length // rows_max), min(-(-size // CHUNK_SPLIT_BYTES_MAX), length))
    step = -(-length // count)
    for offset in range(start, start + length, step):
        rows = min(step, start + length - offset)
        part = sliced(chunk, offset, rows)
        if fits_limits(part):
            yield part
        else:
            yield from _parts(chunk, offset, rows - rows // 2, rows_max)
            yield from _parts(chunk, offset + rows - rows // 2, rows // 2, rows_max)


def sliced(chunk: Chunk, start: int, length: int) -> Chunk:
    """Neighbouring rows as a chunk of its own; shares the buffers."""
    origin = start.to_bytes(8, "big") + length.to_bytes(8, "big")
    derived = derived_id(chunk.id, b"slice", chunk.id, origin)
    return Chunk(derived, chunk.layout, chunk.batch.slice(start, length))


def picked(chunk: Chunk, rows: npt.NDArray[np.intp]) -> Chunk:
    """Some rows, in rising order, as a chunk of its own; a run of neighbours shares the buffers."""
    first, last = int(rows[0]), int(rows[-1])
    if last - first + 1 == len(rows):
        return sliced(chunk, first, len(rows))
    derived = derived_id(chunk.id, b"rows", chunk.id, rows.astype(">i8").tobytes())
    return Chunk(derived, chunk.layout, chunk.batch.take(positions(rows)))


def concatenated(chunks: Sequence[Chunk]) -> Chunk:
    """All rows of chunks that `concatenable` allows, as one chunk, sorted by row id.

    A component that only some of them have is null in the rows of the others. Of rows with one
    row id those of the first chunk come last, so that they still count (`latest_first`).

    Args:
        chunks: In the order of their arrival.
    """
    first = chunks[0]
    derived = derived_id(first.id, b"concat", *(chunk.id for chunk in chunks))
    layout = first.layout
    if all(chunk.layout.is_same_as(layout) for chunk in chunks):
        batch = _concat_batches(batches(chunks))
    else:
        layout, batch = _union(chunks)
    chunk = Chunk(derived, layout, batch)
    row_ids = chunk.row_ids
    if are_rising(row_ids):
        return chunk
    order = sorting(row_ids, latest_first([one.num_rows for one in chunks]))
    return chunk.taken(order) if bool((order[:-1] > order[1:]).any()) else chunk


def concatenable(columns: Mapping[str, DataColumn], layout: ChunkLayout) -> bool:
    """Whether the components that a layout shares with `columns` mean the same, type and all.

    Types that are not one (down to the names, metadata and nullability of nested fields) are kept
    apart, as Rerun does: a merged chunk has the cells of its parts in the type they were logged in.
    """
    for name, column in layout.components.items():
        other = columns.get(name)
        if other is not None and not (
            same_type(other.type, column.type) and other.descriptor == column.descriptor
        ):
            return False
    return True


def _concat_batches(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(parts) == 1:
        return parts[0]
    # Only pyarrow 18.1 and later have it at the top level; WebAssembly may have an older one.
    concat = getattr(pa, "concat_batches", None)
    if concat is not None:
        # Metadata may differ (each schema carries a chunk id), which Arrow's comparison ignores.
        return concat(parts)
    return pa.Table.from_batches(parts, parts[0].schema).combine_chunks().to_batches()[0]


def _union(chunks: Sequence[Chunk]) -> tuple[ChunkLayout, pa.RecordBatch]:
    first = chunks[0]
    fields = [first.batch.schema.field(first.layout.row_ids)]
    arrays = [pa.concat_arrays([c.batch.column(c.layout.row_ids) for c in chunks])]
    indexes: dict[str, IndexColumn] = {}
    for name, index in first.layout.indexes.items():
        indexes[name] = IndexColumn(index.timeline, len(fields), claims_sorted=False)
        fields.append(first.batch.schema.field(index.position))
        arrays.append(
            pa.concat_arrays([c.batch.column(c.layout.indexes[name].position) for c in chunks])
        )
    components: dict[str, DataColumn] = {}
    for name in sorted({name for chunk in chunks for name in chunk.components}):
        owner = next(chunk for chunk in chunks if name in chunk.layout.components)
        column = owner.layout.components[name]
        components[name] = DataColumn(column.descriptor, len(fields), column.type)
        fields.append(owner.batch.schema.field(column.position).with_nullable(True))
        arrays.append(
            pa.concat_arrays(
                [
                    c.component(name)
                    if name in c.layout.components
                    else pa.nulls(c.num_rows, column.type)
                    for c in chunks
                ]
            )
        )
    layout = ChunkLayout(
        first.entity_path, 0, True, MappingProxyType(indexes), MappingProxyType(components)
    )
    schema = pa.schema(fields, first.batch.schema.metadata)
    return layout, pa.record_batch(arrays, schema=schema)
