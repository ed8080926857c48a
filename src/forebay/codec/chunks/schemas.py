"""A cache of parsed Arrow schemas, shared by all chunks with the same schema.

The schema messages of one entity's chunks are byte-identical except for a few metadata values of
fixed length: the chunk's id, and on live streams the times at which the SDK processed it. So a
schema is looked up by the bytes around those values (its fixed bytes, see `spans`). The messages of
other entities that log the same differ also in the path. The schema of a new entity is derived from
a known one in that case.

The positions of the values are proven once per distinct schema. Each value must be a string of its
own, apart from the others. The message is parsed twice more with other bytes at these positions,
and the results must differ only in these values. If this cannot be proven, every message is parsed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import pyarrow as pa
from pyarrow import lib

from forebay import limits
from forebay.chunk import ChunkLayout
from forebay.chunk.layout import CHUNK_ID, ENTITY_PATH
from forebay.codec.chunks.conversion import planned
from forebay.codec.chunks.ipc import check_schema
from forebay.codec.chunks.migration import OLD_CHUNK_ID, migrated
from forebay.codec.chunks.soundness import NodeRules, are_apart
from forebay.errors import InvalidChunkError, LimitError

if TYPE_CHECKING:
    from forebay.codec.chunks.alike import Pattern
    from forebay.codec.chunks.conversion import Conversion
    from forebay.codec.chunks.spans import ValueSpan

SDK_IPC_ENCODED: Final = b"rerun:timestamp_sdk_ipc_encoded"
SDK_GRPC_SINK: Final = b"rerun:timestamp_sdk_grpc_sink"
VIEWER_IPC_DECODED: Final = b"rerun:timestamp_viewer_ipc_decoded"
VARIABLE_KEYS: Final = (CHUNK_ID, OLD_CHUNK_ID, SDK_IPC_ENCODED, SDK_GRPC_SINK, VIEWER_IPC_DECODED)

DENSE_BATCHES_MAX: Final = 16
TYPES_MAX: Final = 1024
DENSE_BATCH_BYTES_MAX: Final = 4096

SPANS_MESSAGE_BYTES_MAX: Final = 0xFF00
"""In a longer schema message an offset of 0xFFFF could be valid (see `_differ_only_there`)."""

_LENGTH_BYTES: Final = 4
_OTHERS: Final = (b"\xff", b"\0")

Columns: TypeAlias = tuple[int, ...]
"""The types of columns, as numbers that a `SchemaCache` assigned."""

_Schemas: TypeAlias = "dict[int, list[tuple[tuple[ValueSpan, ...], dict[bytes, ChunkSchema]]]]"
"""Schemas by the size of their message, then by its variable spans, then by its fixed bytes."""


@dataclass(frozen=True, slots=True)
class ChunkSchema:
    """The data that all chunks of one schema share.

    Attributes:
        arrow: The schema of the chunks, without the metadata in which they differ.
        layout: The meaning of its columns.
        columns: Their types, to compare schemas of several entities. Empty if there is a
            conversion, because such chunks match no pattern.
        rules: The rules for the field nodes of a record batch.
        spans: The positions of the variable values; `None` if they could not be proven.
        conversion: The conversion of a message's columns to those of a chunk; `None` if none is
            needed.
        dense_batches: Record batch messages (without bodies) that are known to be valid and to have
            no validity bitmap for row ids and times, with what is known of them. Rows of one entity
            that are logged one by one all have the same message.
    """

    arrow: pa.Schema
    layout: ChunkLayout
    columns: Columns
    rules: NodeRules
    spans: tuple[ValueSpan, ...] | None = None
    conversion: Conversion | None = None
    dense_batches: dict[bytes, DenseBatch] = field(default_factory=dict)

    def remember_dense(self, message: bytes, body_length: int) -> None:
        """Add a record batch message to `dense_batches`; the number is bounded.

        Args:
            message: The message without its body.
            body_length: The length of the body in bytes.
        """
        if len(message) <= DENSE_BATCH_BYTES_MAX:
            if len(self.dense_batches) >= DENSE_BATCHES_MAX:
                self.dense_batches.clear()
            self.dense_batches[message] = DenseBatch(body_length)


@dataclass(slots=True)
class DenseBatch:
    """The known properties of a record batch message.

    Attributes:
        body_length: The length of its body in bytes.
        pattern: The pattern learned last from a chunk with this message.
        patterns_left: How many more chunks with this message may be tried as a pattern.
    """

    body_length: int
    pattern: Pattern | None = None
    patterns_left: int = limits.ALIKE_PATTERNS_MAX


class SchemaCache:
    """A bounded cache of schemas; it is cleared when it is full. Not thread-safe."""

    def __init__(self, structure: limits.StoreLimits = limits.STORE_LIMITS) -> None:
        """Make an empty cache.

        Args:
            structure: Limits; schemas that exceed them are rejected.
        """
        self._structure = structure
        self._known: _Schemas = {}
        self._other_entities: _Schemas = {}
        self._types: dict[pa.DataType, int] = {}
        self._num_types = 0
        self._num_bytes = 0

    def read(self, message: memoryview) -> tuple[ChunkSchema, Mapping[bytes, bytes]]:
        """Return the schema of a schema message, and the variable values of this message.

        Args:
            message: The schema message.

        Raises:
            InvalidChunkError: The schema is not that of a chunk.
            LimitError: The schema exceeds a limit.
            pa.ArrowException, ValueError: The message is damaged.
        """
        if (known := _find(self._known, message)) is not None:
            schema, spans = known
            return schema, {key: bytes(message[begin:end]) for key, begin, end in spans}
        if (similar := _find(self._other_entities, message)) is not None:
            return self._of_other_entity(similar[0], message, similar[1])
        return self._parse(message)

    def _parse(self, message: memoryview) -> tuple[ChunkSchema, Mapping[bytes, bytes]]:
        _check_limit("chunk_schema_bytes_max", self._structure, len(message), "a schema", "bytes")
        check_schema(message)
        wire = pa.ipc.read_schema(pa.py_buffer(message))
        _check_limit("chunk_columns_max", self._structure, len(wire), "a chunk", "columns")
        for column in wire:
            _check_type(column.type, column.name, self._structure)
        written = wire.metadata or {}
        values = {key: written[key] for key in VARIABLE_KEYS if key in written}
        migration = migrated(wire)
        schema, conversion = planned(wire, migration)
        metadata = {k: v for k, v in (schema.metadata or {}).items() if k not in VARIABLE_KEYS}
        if ENTITY_PATH in metadata:
            self._check_path(metadata[ENTITY_PATH])
        shared = schema.with_metadata(metadata)
        layout = self._within_limits(ChunkLayout.from_schema(shared))
        spans = wider = None
        if migration is None and conversion is None:
            wider = _proven_spans(message, {**values, ENTITY_PATH: metadata[ENTITY_PATH]}, wire)
        if wider is None:
            spans = _proven_spans(message, values, wire)
        else:
            spans = tuple([span for span in wider if span[0] != ENTITY_PATH])
        columns = () if conversion is not None else self._columns(shared)
        known = ChunkSchema(shared, layout, columns, NodeRules.of(wire), spans, conversion)
        self._num_bytes += limits.SCHEMA_COLUMN_COST_BYTES * len(wire)
        if spans is not None:
            self._remember(self._known, message, spans, known)
        if wider is not None:
            self._remember(self._other_entities, message, wider, known)
        return known, values

    def _of_other_entity(
        self, similar: ChunkSchema, message: memoryview, wider: tuple[ValueSpan, ...]
    ) -> tuple[ChunkSchema, Mapping[bytes, bytes]]:
        """Return the schema of a message that differs from a known one only in the entity path."""
        values = {key: bytes(message[begin:end]) for key, begin, end in wider}
        path = values.pop(ENTITY_PATH)
        self._check_path(path)
        schema = ChunkSchema(
            similar.arrow.with_metadata({**(similar.arrow.metadata or {}), ENTITY_PATH: path}),
            self._within_limits(similar.layout.of_entity(path)),
            similar.columns,
            similar.rules,
            similar.spans,
        )
        if similar.spans is not None:
            self._remember(self._known, message, similar.spans, schema)
        return schema, values

    def _check_path(self, path: bytes) -> None:
        """Reject a path that is too long before it is parsed."""
        _check_limit("path_bytes_max", self._structure, len(path), "an entity path", "bytes")

    def _within_limits(self, layout: ChunkLayout) -> ChunkLayout:
        structure = self._structure
        depth = len(layout.entity_path.parts)
        _check_limit("path_parts_max", structure, depth, "an entity path", "parts")
        lines = len(layout.indexes)
        _check_limit("store_timelines_max", structure, lines, "a chunk", "timelines")
        return layout

    def _columns(self, schema: pa.Schema) -> Columns:
        if len(self._types) > TYPES_MAX:
            # Numbers are never reused, so old and new types cannot be confused.
            self._types.clear()
        columns = []
        for data_type in schema.types:
            if data_type not in self._types:  # Not `get`: see `_find`.
                self._num_types += 1
                self._types[data_type] = self._num_types
            columns.append(self._types[data_type])
        return tuple(columns)

    def _remember(
        self,
        there: _Schemas,
        message: memoryview,
        spans: tuple[ValueSpan, ...],
        schema: ChunkSchema,
    ) -> None:
        size = len(message)
        if size > limits.SCHEMA_CACHE_BYTES_MAX // 16:
            return
        if self._num_bytes + size > limits.SCHEMA_CACHE_BYTES_MAX:
            self._known.clear()
            self._other_entities.clear()
            self._num_bytes = 0
        self._num_bytes += size
        alike = there.setdefault(size, [])
        for known_spans, schemas in alike:
            if known_spans == spans:
                schemas[_around(message, spans)] = schema
                return
        if len(alike) >= limits.SCHEMA_SPANS_MAX:
            del alike[0]
        alike.append((spans, {_around(message, spans): schema}))


def _find(
    schemas: _Schemas, message: memoryview
) -> tuple[ChunkSchema, tuple[ValueSpan, ...]] | None:
    """Return the known schema with the same fixed bytes as this message, and its variable spans."""
    size = len(message)
    if size in schemas:
        # Not `get`: a decoder moves between threads (docs/free-threading.md).
        for spans, alike in schemas[size]:
            around = _around(message, spans)
            if around in alike:
                return alike[around], spans
    return None


def _around(message: memoryview, spans: tuple[ValueSpan, ...]) -> bytes:
    """Return the bytes of a message outside the spans, which are in ascending order."""
    if len(spans) == 1:
        _, begin, end = spans[0]
        return b"".join((message[:begin], message[end:]))
    parts = []
    at = 0
    for _, begin, end in spans:
        parts.append(message[at:begin])
        at = end
    parts.append(message[at:])
    return b"".join(parts)


def _proven_spans(
    message: memoryview, values: Mapping[bytes, bytes], schema: pa.Schema
) -> tuple[ValueSpan, ...] | None:
    """Return the positions of values in a schema message; `None` if they cannot be proven."""
    if len(message) > SPANS_MESSAGE_BYTES_MAX:
        return None
    spans = _variable_spans(bytes(message), values)
    if spans is None:
        return None
    metadata, fields = schema.metadata, schema.remove_metadata()
    is_proven = all(_differ_only_there(message, spans, metadata, fields, o) for o in _OTHERS)
    return spans if is_proven else None


def _variable_spans(message: bytes, values: Mapping[bytes, bytes]) -> tuple[ValueSpan, ...] | None:
    """Return the positions of values; `None` unless each is a separate string that occurs once."""
    spans = []
    for key, value in values.items():
        begin = message.find(value)
        if not value or begin < 0 or message.find(value, begin + 1) >= 0:
            return None
        end = begin + len(value)
        # The form of a string in a flatbuffer: its length at a multiple of four (relative to the
        # flatbuffer, which begins at 8), the bytes, a zero byte.
        length = len(value).to_bytes(_LENGTH_BYTES, "little")
        if (
            begin % _LENGTH_BYTES
            or message[begin - _LENGTH_BYTES : begin] != length
            or message[end : end + 1] != b"\0"
        ):
            return None
        spans.append((key, begin, end))
    spans.sort(key=lambda span: span[1])
    return tuple(spans) if are_apart((begin, end) for _, begin, end in spans) else None


def _differ_only_there(
    message: memoryview,
    spans: tuple[ValueSpan, ...],
    metadata: Mapping[bytes, bytes],
    fields: pa.Schema,
    other: bytes,
) -> bool:
    """Return whether a message with `other` bytes in the spans differs only in those values.

    The caller passes all zeros and all ones. If anything else were read from these bytes, at least
    one of the two would show it: as an offset or a length 0xFFFF points outside the message, and a
    flag has two values. (The exception is an offset of one byte, the last of an odd number, that
    points to a flag. The only consequence is that a flag is taken from an earlier message;
    everything later uses the schema found.)
    """
    changed = bytearray(message)
    wanted = dict(metadata)
    for key, begin, end in spans:
        changed[begin:end] = wanted[key] = other * (end - begin)
    try:
        parsed = pa.ipc.read_schema(pa.py_buffer(changed))
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        return False
    return parsed.metadata == wanted and bool(
        parsed.remove_metadata().equals(fields, check_metadata=True)
    )


def _check_limit(
    limit: str, structure: limits.StoreLimits, number: int, noun: str, unit: str
) -> None:
    limit_max: int = getattr(structure, limit)
    if number > limit_max:
        raise LimitError.over(limit, limit_max, f"{noun} of {number:,} {unit}")


def _check_type(
    data_type: pa.DataType, column: str, structure: limits.StoreLimits, depth: int = 1
) -> None:
    """Reject types that are nested too deeply, and negative sizes.

    pyarrow accepts them, but allocating them crashes the process.
    """
    size = 0
    if data_type.id == lib.Type_FIXED_SIZE_LIST:
        size = data_type.list_size
    elif data_type.id == lib.Type_FIXED_SIZE_BINARY:
        size = data_type.byte_width
    if size < 0:
        msg = f"column {column!r} has data of a type that Forebay does not read ({data_type})"
        raise InvalidChunkError(msg)
    for inner in _inner_types(data_type):
        _check_limit("type_depth_max", structure, depth + 1, "a column's type", "levels")
        _check_type(inner, column, structure, depth + 1)


def _inner_types(data_type: pa.DataType) -> list[pa.DataType]:
    if isinstance(data_type, pa.BaseExtensionType):
        return [data_type.storage_type]
    if isinstance(data_type, pa.DictionaryType):
        return [data_type.value_type]
    return [data_type.field(child).type for child in range(data_type.num_fields)]
