"""Generated messages, for workloads that need no real recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from forebay.chunk import Chunk, ChunkLayout
from forebay.codec import encode_chunk
from forebay.model import ChunkId, RowId

if TYPE_CHECKING:
    from forebay.model import ArrowMsg, StoreId

_TYPES = (pa.binary(16), pa.int64(), pa.list_(pa.float64()))


def one_row_messages(store_id: StoreId, count: int, entity: str = "/plot") -> list[ArrowMsg]:
    """Return messages of one row each, for 20 entities in turn, on the timeline `frame`.

    Args:
        store_id: Store of the messages.
        count: Number of messages.
        entity: Path above the 20 entities.
    """
    return [encode_chunk(store_id, chunk) for chunk in scalar_chunks(count, 1, entity)]


def messages(store_id: StoreId, count: int, rows: int) -> list[ArrowMsg]:
    """Return `count` messages of `rows` rows each."""
    return [encode_chunk(store_id, chunk) for chunk in scalar_chunks(count, rows, "/plot")]


def scalar_chunks(count: int, rows: int, entity: str, first: int = 0) -> list[Chunk]:
    """Return chunks of `rows` scalars each, for 20 entities in turn, with increasing times.

    Args:
        count: Number of chunks.
        rows: Rows of each chunk.
        entity: Path above the 20 entities.
        first: Number of the first chunk, which determines ids and times.
    """
    schemas = [_schema(f"{entity}/s{number}") for number in range(20)]
    layouts = [ChunkLayout.from_schema(schema) for schema in schemas]
    chunks = []
    for number in range(first, first + count):
        rows_from = number * rows
        ids = [RowId.from_parts(1 + rows_from + row, 7) for row in range(rows)]
        frames = np.arange(rows_from, rows_from + rows)
        offsets = pa.array(np.arange(rows + 1, dtype=np.int32))
        cells = pa.ListArray.from_arrays(offsets, pa.array(frames / 7))
        arrays = [pa.array(ids, pa.binary(16)), pa.array(frames), cells]
        schema = schemas[number % 20]
        batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
        chunks.append(Chunk(ChunkId.from_parts(1 + number, 8), layouts[number % 20], batch))
    return chunks


def _schema(entity: str) -> pa.Schema:
    component = "Scalars:scalars"
    about = {"rerun:kind": "data", "rerun:component": component}
    about["rerun:archetype"] = "rerun.archetypes.Scalars"
    fields = [
        pa.field("rerun.controls.RowId", _TYPES[0], False, {"rerun:kind": "control"}),
        pa.field("frame", _TYPES[1], False, {"rerun:kind": "index", "rerun:index_name": "frame"}),
        pa.field(component, _TYPES[2], True, about),
    ]
    return pa.schema(fields, {"rerun:entity_path": entity, "sorbet:version": "0.1.3"})
