"""The manifest at the end of a stream: its chunks, their positions and time ranges.

`rerun rrd verify` and Rerun's lazy reader expect one per store. The rules and the names of columns
are those of `re_log_encoding` (`rrd/footer`) and `re_sorbet` (`SchemaBuilder`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from forebay.chunk import ARROW_TIME_TYPES, Chunk, ComponentDescriptor
from forebay.chunk.layout import (
    ARCHETYPE,
    COMPONENT,
    COMPONENT_TYPE,
    ENTITY_PATH,
    INDEX_NAME,
    IS_SORTED,
    KIND,
)
from forebay.codec.proto import common_pb2, log_msg_pb2
from forebay.model import EntityPath, StoreId, Timeline
from forebay.model.paths import PROPERTIES

_INDEX: Final = b"rerun:index"
_SHORTENED: Final = ("rerun.archetypes.", "rerun.blueprint.archetypes.", "rerun.")
_PROBLEMATIC: Final = str.maketrans(", -.\\", "_____")
_END_OF_STREAM: Final = b"\xff\xff\xff\xff\0\0\0\0"

_ROW_COLUMNS: Final = pa.schema(
    [
        pa.field("chunk_entity_path", pa.string(), nullable=False),
        pa.field("chunk_id", pa.binary(16), nullable=False),
        pa.field("chunk_is_static", pa.bool_(), nullable=False),
        pa.field("chunk_num_rows", pa.uint64(), nullable=False),
        pa.field("chunk_byte_offset", pa.uint64(), nullable=False),
        pa.field("chunk_byte_size", pa.uint64(), nullable=False),
        pa.field("chunk_byte_size_uncompressed", pa.uint64(), nullable=False),
    ]
)


@dataclass(slots=True)
class _Span:
    """Rows of the manifest, with the first and last time and the number of cells of each."""

    rows: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    num_cells: list[int] = field(default_factory=list)

    def add(self, row: int, times: npt.NDArray[np.int64]) -> None:
        if len(times):
            self.rows.append(row)
            self.starts.append(int(times.min()))
            self.ends.append(int(times.max()))
            self.num_cells.append(len(times))


class ManifestBuilder:
    """Collects the manifest of one store."""

    def __init__(self, store_id: StoreId) -> None:
        self._store_id = store_id
        self._rows: list[tuple[object, ...]] = []
        self._columns: dict[str, tuple[pa.Field, bool]] = {}
        self._static: dict[ComponentDescriptor, list[int]] = {}
        self._timelines: dict[Timeline, _Span] = {}
        self._components: dict[tuple[Timeline, ComponentDescriptor], _Span] = {}

    def add(self, chunk: Chunk, byte_offset: int, size_bytes: int, uncompressed: int) -> None:
        """Add a chunk.

        Args:
            chunk: The chunk.
            byte_offset: The position of its message in the stream, without the message header.
            size_bytes: The size of its message in bytes, without the message header.
            uncompressed: The size of its payload after decompression, in bytes.
        """
        row = len(self._rows)
        self._rows.append(
            (
                str(chunk.entity_path),
                bytes(chunk.id),
                chunk.is_static,
                chunk.num_rows,
                byte_offset,
                size_bytes,
                uncompressed,
            )
        )
        self._add_columns(chunk)
        for index in chunk.layout.indexes.values():
            times = chunk.times(index.timeline.name)
            self._timelines.setdefault(index.timeline, _Span()).add(row, times)
        for name, column in chunk.layout.components.items():
            static = self._static.setdefault(column.descriptor, [])
            if chunk.is_static:
                static.append(row)
            valid = chunk.component(name).is_valid().to_numpy(zero_copy_only=False)
            for index in chunk.layout.indexes.values():
                key = index.timeline, column.descriptor
                times = chunk.times(index.timeline.name)[valid]
                self._components.setdefault(key, _Span()).add(row, times)

    def build(self) -> log_msg_pb2.RrdManifest:
        """Return the manifest as a protobuf message."""
        schema = pa.schema([described for described, _ in self._columns.values()])
        by_name = pa.schema([schema.field(name) for name in sorted(schema.names)])
        batch = self._batch()
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        payload = sink.getvalue()
        kind = (
            common_pb2.STORE_KIND_BLUEPRINT
            if self._store_id.is_blueprint
            else common_pb2.STORE_KIND_RECORDING
        )
        return log_msg_pb2.RrdManifest(
            store_id=common_pb2.StoreId(
                kind=kind,
                recording_id=self._store_id.recording_id,
                application_id=common_pb2.ApplicationId(id=self._store_id.application_id),
            ),
            sorbet_schema=common_pb2.Schema(
                arrow_schema=schema.serialize().to_pybytes() + _END_OF_STREAM
            ),
            sorbet_schema_sha256=hashlib.sha256(by_name.serialize()).digest(),
            data=common_pb2.DataframePart(
                encoder_version=common_pb2.ENCODER_VERSION_V0,
                payload=pa.Codec("lz4_raw").compress(payload, asbytes=True),
                compression=common_pb2.COMPRESSION_LZ4,
                uncompressed_size=payload.size,
            ),
        )

    # --- the schema of the store ---

    def _add_columns(self, chunk: Chunk) -> None:
        layout = chunk.layout
        described = chunk.batch.schema.field(layout.row_ids)
        metadata = {k: v for k, v in (described.metadata or {}).items() if k != IS_SORTED}
        self._columns.setdefault(
            "", (described.with_metadata({**metadata, KIND: b"control"}), False)
        )
        for name, index in layout.indexes.items():
            metadata = {KIND: b"index", INDEX_NAME: name.encode()}
            time_type = ARROW_TIME_TYPES[index.timeline.type]
            self._columns.setdefault(name, (pa.field(name, time_type, metadata=metadata), False))
        for name, column in layout.components.items():
            full_name = f"{_column_prefix(layout.entity_path)}:{name}"
            if full_name in self._columns and (not chunk.is_static or self._columns[full_name][1]):
                continue
            metadata = {
                KIND: b"data",
                ENTITY_PATH: layout.entity_path.encode(),
                **_descriptor_metadata(column.descriptor),
            }
            if chunk.is_static:
                metadata[b"rerun:is_static"] = b"true"
            if name == "Clear:is_recursive":
                metadata[b"rerun:is_tombstone"] = b"true"
            component = pa.field(full_name, column.type, metadata=metadata)
            self._columns[full_name] = component, chunk.is_static

    # --- the rows and their time ranges ---

    def _batch(self) -> pa.RecordBatch:
        columns = list(zip(*self._rows, strict=True))
        arrays = [pa.array(c, f.type) for c, f in zip(columns, _ROW_COLUMNS, strict=True)]
        fields = list(_ROW_COLUMNS)
        for descriptor, rows in sorted(self._static.items(), key=lambda item: repr(item[0])):
            fields.append(
                pa.field(
                    _name(descriptor=descriptor, suffix="has_static_data"),
                    pa.bool_(),
                    nullable=False,
                    metadata={_INDEX: b"rerun:static", **_descriptor_metadata(descriptor)},
                )
            )
            has_data = np.zeros(len(self._rows), bool)
            has_data[rows] = True
            arrays.append(pa.array(has_data))
        for timeline, span in sorted(self._timelines.items()):
            self._span_columns(timeline, None, span, fields, arrays)
        for (timeline, descriptor), span in sorted(self._components.items(), key=_by_repr):
            self._span_columns(timeline, descriptor, span, fields, arrays)
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))

    def _span_columns(
        self,
        timeline: Timeline,
        descriptor: ComponentDescriptor | None,
        span: _Span,
        fields: list[pa.Field],
        arrays: list[pa.Array],
    ) -> None:
        metadata = {_INDEX: timeline.name.encode()}
        if descriptor is not None:
            metadata |= _descriptor_metadata(descriptor)
        absent = np.ones(len(self._rows), bool)
        absent[span.rows] = False
        for suffix, values in (("start", span.starts), ("end", span.ends)):
            times = np.zeros(len(self._rows), np.int64)
            times[span.rows] = values
            name = _name(timeline.name, descriptor, suffix)
            time_type = ARROW_TIME_TYPES[timeline.type]
            fields.append(pa.field(name, time_type, metadata=metadata))
            arrays.append(pa.array(times, mask=absent).cast(time_type))
        if descriptor is not None:
            num_cells = np.zeros(len(self._rows), np.uint64)
            num_cells[span.rows] = span.num_cells
            name = _name(timeline.name, descriptor, "num_rows")
            fields.append(pa.field(name, pa.uint64(), metadata=metadata))
            arrays.append(pa.array(num_cells))


def _by_repr(item: tuple[object, object]) -> str:
    """A sort key: the order is arbitrary but reproducible."""
    return repr(item[0])


def _column_prefix(entity_path: EntityPath) -> str:
    parts = entity_path.parts
    if parts[:1] != (PROPERTIES,):
        return str(entity_path)
    below = EntityPath.from_parts(*parts[1:])
    return "property" + (f":{below.removeprefix('/')}" if parts[1:] else "")


def _descriptor_metadata(descriptor: ComponentDescriptor) -> dict[bytes, bytes]:
    named = {
        COMPONENT: descriptor.component,
        ARCHETYPE: descriptor.archetype,
        COMPONENT_TYPE: descriptor.component_type,
    }
    return {key: name.encode() for key, name in named.items() if name is not None}


def _name(prefix: str = "", descriptor: ComponentDescriptor | None = None, suffix: str = "") -> str:
    parts = [prefix]
    if descriptor is not None:
        short = _short_name(descriptor.archetype or "")
        parts += [short, descriptor.component.removeprefix(f"{short}:" if short else "")]
    joined = ":".join(filter(None, [*parts, suffix]))
    return joined.translate(_PROBLEMATIC).lstrip("_")


def _short_name(archetype: str) -> str:
    for prefix in _SHORTENED:
        if archetype.startswith(prefix):
            return archetype.removeprefix(prefix)
    return archetype
