"""Messages as other programs write them, and what Rerun's own reader makes of them."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa
from rerun.chunk import RrdReader

import forebay
from forebay.chunk import Chunk
from forebay.codec import ChunkDecoder
from forebay.model import (
    ArrowMsg,
    Compression,
    RowId,
    SetStoreInfo,
    StoreId,
    StoreInfo,
    StoreSource,
    StoreSourceKind,
)
from tests.codec.support import STORE_ID, ipc_stream

CHUNK_ID = "chunk_18EABE48A01117A84b32cd1116dae0a6"
METADATA = {"rerun:id": CHUNK_ID, "rerun:entity_path": "/a", "sorbet:version": "0.1.3"}

Cells = dict[tuple[str, str | None, str | None], list[str]]
"""The values of the columns of a chunk, by component, archetype and component type."""


def row_ids(size: int) -> pa.Array:
    return pa.array([RowId.from_parts(7, row) for row in range(size)], pa.binary(16))


def foreign_batch(
    *columns: tuple[pa.Array, dict[str, str]],
    metadata: dict[str, str] | None = None,
    times: pa.Array | None = None,
) -> pa.RecordBatch:
    """A chunk of components with their metadata, with one timeline `f`."""
    size = len(columns[0][0])
    arrays = [row_ids(size), pa.array(range(size), pa.int64()) if times is None else times]
    fields = [
        pa.field("row_id", arrays[0].type, metadata={"rerun:kind": "control"}),
        pa.field("f", arrays[1].type, metadata={"rerun:kind": "index"}),
    ]
    for number, (array, described) in enumerate(columns):
        arrays.append(array)
        fields.append(pa.field(f"column_{number}", array.type, metadata=described))
    schema = pa.schema(fields, metadata=METADATA if metadata is None else metadata)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def message(batch: pa.RecordBatch, store_id: StoreId = STORE_ID, **options: object) -> ArrowMsg:
    payload = ipc_stream(batch, **options)
    return ArrowMsg(store_id, payload, Compression.NONE, len(payload), byte_offset=123)


def component(array: pa.Array, **options: object) -> ArrowMsg:
    """A message with one component `c`."""
    return message(foreign_batch((array, {"rerun:component": "c"})), **options)


def write(path: Path, *msgs: ArrowMsg) -> Path:
    """A file that Rerun reads, too, without an index, which Rerun migrates in its own ways."""
    source = StoreSource(StoreSourceKind.FILE, b"\x08\x01")
    infos = [
        SetStoreInfo(StoreInfo(store_id, source, 0x00290000), RowId(bytes(16)))
        for store_id in dict.fromkeys(msg.store_id for msg in msgs)
    ]
    forebay.write_messages(path, [*infos, *msgs])
    path.write_bytes(without_end(path.read_bytes()))
    return path


def without_end(data: bytes) -> bytes:
    at = 12
    while at < len(data):
        kind, size = struct.unpack_from("<QQ", data, at)
        if kind == 0:
            break
        at += 16 + size
    return data[:at]


def cells_of(chunk: Chunk) -> Cells:
    """What a chunk of ours holds."""
    batch, layout = chunk.batch, chunk.layout
    cells: Cells = {("", None, None): _texts(batch.column(layout.row_ids))}
    for name, index in layout.indexes.items():
        cells[name, None, None] = _texts(batch.column(index.position))
    for name, column in layout.components.items():
        descriptor = column.descriptor
        key = name, descriptor.archetype, descriptor.component_type
        cells[key] = _texts(batch.column(column.position))
    return cells


def read_here(path: Path) -> dict[str, tuple[str, Cells]]:
    """Entity and cells of each chunk of the recording in a file, by the id of the chunk."""
    decoder = ChunkDecoder()
    chunks = [
        decoder.decode(msg)
        for msg in forebay.read_messages(path)
        if isinstance(msg, ArrowMsg) and msg.store_id.is_recording
    ]
    return {str(chunk.id): (str(chunk.entity_path), cells_of(chunk)) for chunk in chunks}


def reader_of(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no index
        return RrdReader(path)


def read_by_rerun(path: Path) -> dict[str, tuple[str, Cells]]:
    """The same by Rerun."""
    found = {}
    for chunk in reader_of(path).stream().to_chunks():
        batch = chunk.to_record_batch()
        cells: Cells = {}
        for field, column in zip(batch.schema, batch.columns, strict=True):
            described = {key.decode(): value.decode() for key, value in field.metadata.items()}
            kind = described["rerun:kind"]
            name = described.get("rerun:index_name" if kind == "index" else "rerun:component", "")
            key = name, described.get("rerun:archetype"), described.get("rerun:component_type")
            cells[key] = _texts(column)
        found[str(chunk.id)] = str(chunk.entity_path), cells
    return found


def _texts(array: pa.Array) -> list[str]:
    return [str(value) for value in array.to_pylist()]
