"""Splitting and merging of chunks: the rows stay the same, the chunk ids change."""

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
    """Return the id of a chunk that was made from other chunks.

    The id is a function of its origin: no clock or random number is used. So two chunks with the
    same id hold the same rows in every copy of a store.

    Args:
        first: The chunk whose time part the new id takes.
        origin: Bytes that identify the chunks and the operation.
    """
    digest = hashlib.blake2b(b"".join(origin), digest_size=8, person=b"forebay")
    return ChunkId(first[:8] + digest.digest())


def is_time_sorted(chunk: Chunk) -> bool:
    """Return whether the times never decrease on any timeline of a chunk."""
    for name in chunk.timelines:
        times = chunk.times(name)
        if len(times) > 1 and not bool(np.all(times[:-1] <= times[1:])):
            return False
    return True


def fits_limits(chunk: Chunk) -> bool:
    """Return whether a temporal chunk is within Rerun's limits for splitting.

    A chunk of one row always is. The limit of rows is smaller if the times are unsorted.
    """
    rows = chunk.num_rows
    if rows <= 1:
        return True
    if rows > CHUNK_SPLIT_ROWS_MAX or byte_size_exceeds(chunk, CHUNK_SPLIT_BYTES_MAX):
        return False
    return rows <= CHUNK_SPLIT_ROWS_MAX_UNSORTED or is_time_sorted(chunk)


def byte_size_exceeds(chunk: Chunk, bytes_max: int) -> bool:
    """Return whether `chunk.byte_size > bytes_max`, usually without computing `byte_size`.

    The size of whole buffers is a cheap upper bound. The exact size is measured only if the bound
    exceeds `bytes_max`.

    Args:
        chunk: Any chunk.
        bytes_max: The limit in bytes.
    """
    return chunk.byte_size_max > bytes_max and chunk.byte_size > bytes_max


def split(chunk: Chunk) -> list[Chunk]:
    """Split a temporal chunk into parts of adjacent rows, each within Rerun's limits.

    No data is copied. A chunk that is within the limits is returned alone, as the same object. The
    parts are in row order, except if rows with one row id are in different parts: then the parts
    are in reverse order. The reason is `latest_first`: within a chunk the later row counts, but of
    two chunks the one that arrived first.
    """
    if fits_limits(chunk):
        return [chunk]
    # Computed once: each part would examine all rows again.
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
    """Return adjacent rows as a chunk with an id of its own; buffers are shared.

    Args:
        chunk: The chunk.
        start: The position of the first row.
        length: The number of rows.
    """
    origin = start.to_bytes(8, "big") + length.to_bytes(8, "big")
    derived = derived_id(chunk.id, b"slice", chunk.id, origin)
    return Chunk(derived, chunk.layout, chunk.batch.slice(start, length))


def picked(chunk: Chunk, rows: npt.NDArray[np.intp]) -> Chunk:
    """Return some rows as a chunk with an id of its own.

    Buffers are shared if the rows are adjacent, else copied.

    Args:
        chunk: The chunk.
        rows: Positions in ascending order, at least one.
    """
    first, last = int(rows[0]), int(rows[-1])
    if last - first + 1 == len(rows):
        return sliced(chunk, first, len(rows))
    derived = derived_id(chunk.id, b"rows", chunk.id, rows.astype(">i8").tobytes())
    return Chunk(derived, chunk.layout, chunk.batch.take(positions(rows)))


def concatenated(chunks: Sequence[Chunk]) -> Chunk:
    """Merge chunks for which `concatenable` holds into one chunk, sorted by row id.

    A component that only some of the chunks have is null in the rows of the others. Of rows with
    the same row id, those of the first chunk come last, so they keep their precedence
    (`latest_first`).

    Args:
        chunks: The chunks in their order of arrival.
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
    """Return whether a layout's components agree, including type, with those in `columns`.

    Types that differ in any way (also in the names, metadata or nullability of nested fields) are
    not merged, as in Rerun: a merged chunk keeps every cell in the type in which it was logged.

    Args:
        columns: Component columns by identifier.
        layout: The layout to compare; components that are not in `columns` do not matter.
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
    # Only pyarrow 18.1 and later export it at the top level; WebAssembly may have an older version.
    concat = getattr(pa, "concat_batches", None)
    if concat is not None:
        # Metadata may differ (each schema contains a chunk id); Arrow's comparison ignores it.
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
