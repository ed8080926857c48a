"""Everything that is done with a chunk after it was accepted, for tests of what is accepted."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from forebay.chunk import Chunk, concatenated, picked, sliced, split
from forebay.codec import ChunkDecoder, encode_chunk
from forebay.errors import InvalidChunkError
from forebay.model import ArrowMsg, Compression, StoreId
from forebay.store import ChunkStore

STORE_ID = StoreId.recording("app", "rec")

Said = tuple[object, ...]


def said(chunk: Chunk) -> Said:
    """All that a chunk says, in a form that can be compared."""
    return (
        chunk.id,
        chunk.entity_path,
        chunk.num_rows,
        chunk.is_static,
        [values(column) for column in chunk.batch.columns],
        chunk.batch.schema.to_string(show_schema_metadata=True),
        [bytes(chunk.row_id_at(row)) for row in range(chunk.num_rows)],
        {name: chunk.times(name).tolist() for name in chunk.timelines},
        {name: chunk.null_count(name) for name in chunk.components},
    )


def values(column: pa.Array | pa.ChunkedArray) -> str:
    """The values of a column as text, also where Python has no such times."""
    try:
        return str(column.to_pylist())
    except (ValueError, OverflowError):
        return str(column.to_string(window=10_000))


def outcome(decoder: ChunkDecoder, msg: ArrowMsg) -> Said | type[InvalidChunkError]:
    """What a decoder makes of a message: what its chunk says, or that there is none."""
    try:
        return said(decoder.decode(msg))
    except InvalidChunkError:
        return InvalidChunkError


def use(chunk: Chunk) -> None:
    """Do with a chunk what is ever done with one; a sound one bears it."""
    rows = chunk.num_rows
    chunk.batch.validate(full=True)
    _look(chunk)
    if rows:
        every_second = picked(chunk, np.arange(0, rows, 2, dtype=np.intp))
        for part in (*split(chunk), sliced(chunk, 0, rows), every_second):
            assert part.num_rows <= rows
            part.batch.validate(full=True)
        twice = concatenated([chunk, sliced(chunk, rows // 2, rows - rows // 2)])
        twice.batch.validate(full=True)
        assert twice.num_rows == rows + rows - rows // 2
    for compression in (Compression.LZ4, Compression.NONE):
        again = ChunkDecoder().decode(encode_chunk(STORE_ID, chunk, compression))
        assert said(again)[:5] == said(chunk)[:5]
    _query(chunk)


def _look(chunk: Chunk) -> None:
    rows = chunk.num_rows
    assert len(chunk.row_ids) == rows
    assert 0 <= chunk.byte_size <= chunk.byte_size_max
    for timeline in chunk.timelines:
        times = chunk.times(timeline)
        assert times.flags.aligned
        assert [chunk.time_at(timeline, row) for row in range(rows)] == times.tolist()
    for row in range(rows):
        assert len(bytes(chunk.row_id_at(row))) == 16
    for component in chunk.components:
        cells = chunk.component(component)
        assert chunk.null_count(component) == sum(
            not valid for valid in cells.is_valid().to_pylist()
        )
        for row in range(rows):
            if cells[row].is_valid:
                values(cells[row].values)
        values(cells.flatten())


def _query(chunk: Chunk) -> None:
    store = ChunkStore(STORE_ID)
    store.insert(chunk)
    if not chunk.num_rows or not chunk.components:
        return
    entity = str(chunk.entity_path)
    snapshot = store.snapshot()
    for timeline in chunk.timelines or [None]:
        times = [0] if timeline is None else chunk.times(timeline).tolist()
        for time in (min(times), max(times)):
            for cell in snapshot.latest_at(timeline, time, entity).values():
                values(cell.value)
                assert len(bytes(cell.row_id)) == 16
        table = snapshot.range(timeline, min(times), max(times), entity)
        table.validate(full=True)
        for filled in (False, True):
            frame = snapshot.dataframe(timeline, fill_latest_at=filled)
            frame.validate(full=True)
            for column in frame.columns:
                values(column)
    assert store.byte_size >= 0
    assert store.held_bytes > 0
    store.gc()
