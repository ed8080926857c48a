"""Arrow schemas, parsed once for all chunks that share one.

The chunks of one entity have byte-identical schema messages but for a few metadata values of
fixed length: the chunk's id, and on live streams the times at which the SDK handled it. A schema
is therefore looked up by its bytes around those values. Those of other entities that log the same
differ in their path besides: the first of them is made out of the one that is known.

That the values stand where they are believed to stand is proven once for each distinct schema:
each value is a string of its own, apart from the others, and the message is parsed twice more with
other bytes in these places, and must differ in these values alone. Whatever cannot be proven is
parsed every time.
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

SDK_IPC_ENCODED: Final = b"rerun:timestamp_sdk_ipc_encoded"
SDK_GRPC_SINK: Final = b"rerun:timestamp_sdk_grpc_sink"
VIEWER_IPC_DECODED: Final = b"rerun:timestamp_viewer_ipc_decoded"
VARIABLE_KEYS: Final = (CHUNK_ID, OLD_CHUNK_ID, SDK_IPC_ENCODED, SDK_GRPC_SINK, VIEWER_IPC_DECODED)

DENSE_BATCHES_MAX: Final = 16
TYPES_MAX: Final = 1024
DENSE_BATCH_BYTES_MAX: Final = 4096

SPANS_MESSAGE_BYTES_MAX: Final = 0xFF00
"""In a longer schema message 0xFFFF bytes on could be within it (`_differ_only_there`)."""

_LENGTH_BYTES: Final = 4
_OTHERS: Final = (b"\xff", b"\0")

Columns: TypeAlias = tuple[int, ...]
"""The types of columns, as numbers that a `SchemaCache` gives."""

Span: TypeAlias = tuple[bytes, int, int]
"""A metadata key, and begin and end of its value in the schema message."""

_Schemas: TypeAlias = "dict[int, list[tuple[tuple[Span, ...], dict[bytes, ChunkSchema]]]]"
"""Schemas by the size of their message, then by where it varies, then by the rest of it."""


@dataclass(frozen=True, slots=True)
class ChunkSchema:
    """What chunks of one schema share.

    Attributes:
        arrow: The schema of the chunks, without the metadata in which they differ.
        layout: What its columns are.
        columns: Their types, for comparing schemas of several entities; empty if there is a
            conversion, for such chunks are like no others.
        rules: What their types say of the field nodes of a record batch.
        spans: Where the values stand in which they differ; `None` if that could not be proven.
        conversion: What has to be done with the columns of a message to make them those of a
            chunk; `None` if they are read as they are.
        dense_batches: Record batch messages (without bodies) that are known to be sound and to
            have no validity bitmap on row ids and times, and what is known of them. The
            rows of one entity, logged one by one, all have the same.
    """

    arrow: pa.Schema
    layout: ChunkLayout
    columns: Columns
    rules: NodeRules
    spans: tuple[Span, ...] | None = None
    conversion: Conversion | None = None
    dense_batches: dict[bytes, DenseBatch] = field(default_factory=dict)

    def remember_dense(self, message: bytes, body_length: int) -> None:
        """Keep one, within bounds."""
        if len(message) <= DENSE_BATCH_BYTES_MAX:
            if len(self.dense_batches) >= DENSE_BATCHES_MAX:
                self.dense_batches.clear()
            self.dense_batches[message] = DenseBatch(body_length)


@dataclass(slots=True)
class DenseBatch:
    """What is known of a record batch message.

    Attributes:
        body_length: The length of its body.
        pattern: The last such chunk that was taken as the pattern of others.
        patterns_left: How many more chunks with it may be tried as the pattern of others.
    """

    body_length: int
    pattern: Pattern | None = None
    patterns_left: int = limits.ALIKE_PATTERNS_MAX


class SchemaCache:
    """Remembers schemas up to a bound, then starts afresh; not for several threads at once."""

    def __init__(self, structure: limits.StoreLimits = limits.STORE_LIMITS) -> None:
        """Remember nothing yet; refuse schemas that are over the limits of `structure`."""
        self._structure = structure
        self._known: _Schemas = {}
        self._kindred: _Schemas = {}
        self._types: dict[pa.DataType, int] = {}
        self._num_types = 0
        self._num_bytes = 0

    def read(self, message: memoryview) -> tuple[ChunkSchema, Mapping[bytes, bytes]]:
        """The schema of a schema message, and the values that are this chunk's own.

        Raises:
            InvalidChunkError: It is the schema of no chunk.
            LimitError: It has more than the limits allow.
            pa.ArrowException, ValueError: It is damaged.
        """
        if (known := _find(self._known, message)) is not None:
            schema, spans = known
            return schema, {key: bytes(message[begin:end]) for key, begin, end in spans}
        if (kin := _find(self._kindred, message)) is not None:
            return self._of_kin(kin[0], message, kin[1])
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
            self._remember(self._kindred, message, wider, known)
        return known, values

    def _of_kin(
        self, kin: ChunkSchema, message: memoryview, wider: tuple[Span, ...]
    ) -> tuple[ChunkSchema, Mapping[bytes, bytes]]:
        """The schema of a message that differs in its entity's path from one that is known."""
        values = {key: bytes(message[begin:end]) for key, begin, end in wider}
        path = values.pop(ENTITY_PATH)
        self._check_path(path)
        schema = ChunkSchema(
            kin.arrow.with_metadata({**(kin.arrow.metadata or {}), ENTITY_PATH: path}),
            self._within_limits(kin.layout.of_entity(path)),
            kin.columns,
            kin.rules,
            kin.spans,
        )
        if kin.spans is not None:
            self._remember(self._known, message, kin.spans, schema)
        return schema, values

    def _check_path(self, path: bytes) -> None:
        """Refuse a path that is too long, before it is read part by part."""
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
            self._types.clear()  # Numbers are not used again, so nothing is mistaken for another.
        columns = []
        for data_type in schema.types:
            if data_type not in self._types:  # Not `get`: see `_find`.
                self._num_types += 1
                self._types[data_type] = self._num_types
            columns.append(self._types[data_type])
        return tuple(columns)

    def _remember(
        self, there: _Schemas, message: memoryview, spans: tuple[Span, ...], schema: ChunkSchema
    ) -> None:
        size = len(message)
        if size > limits.SCHEMA_CACHE_BYTES_MAX // 16:
            return
        if self._num_bytes + size > limits.SCHEMA_CACHE_BYTES_MAX:
            self._known.clear()
            self._kindred.clear()
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


def _find(schemas: _Schemas, message: memoryview) -> tuple[ChunkSchema, tuple[Span, ...]] | None:
    """The schema that equals this message outside its spans, and the spans."""
    size = len(message)
    if size in schemas:
        # Not `get`: a decoder goes from thread to thread (see docs/free-threading.md).
        for spans, alike in schemas[size]:
            around = _around(message, spans)
            if around in alike:
                return alike[around], spans
    return None


def _around(message: memoryview, spans: tuple[Span, ...]) -> bytes:
    """The bytes of the message outside the spans, which are in ascending order."""
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
) -> tuple[Span, ...] | None:
    """Where values stand in a schema message, if it is sure that they are what stands there."""
    if len(message) > SPANS_MESSAGE_BYTES_MAX:
        return None
    spans = _variable_spans(bytes(message), values)
    if spans is None:
        return None
    metadata, fields = schema.metadata, schema.remove_metadata()
    is_proven = all(_differ_only_there(message, spans, metadata, fields, o) for o in _OTHERS)
    return spans if is_proven else None


def _variable_spans(message: bytes, values: Mapping[bytes, bytes]) -> tuple[Span, ...] | None:
    """Where the values stand, if each is one string of its own, in one place only."""
    spans = []
    for key, value in values.items():
        begin = message.find(value)
        if not value or begin < 0 or message.find(value, begin + 1) >= 0:
            return None
        end = begin + len(value)
        # Flatbuffers: a length at a multiple of four (of the flatbuffer, which begins at 8), the
        # bytes, a zero.
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
    spans: tuple[Span, ...],
    metadata: Mapping[bytes, bytes],
    fields: pa.Schema,
    other: bytes,
) -> bool:
    """Whether a message with `other` bytes in these places has other values and is else the same.

    Of all zeros and all ones, one at least shows if anything else is read from there: as an offset
    or a length 0xFFFF leads out of the message, and a flag has two values. (Not shown is an offset
    of one byte, the last of an odd number, that leads to a flag. What follows from it is only that
    a flag is taken from an earlier message: all that comes after goes by the schema taken.)
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
    """Refuse types that are too deep, and negative sizes.

    These pass pyarrow's own checks and crash what allocates them.
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
