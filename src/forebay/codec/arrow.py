"""Payloads to chunks, and chunks to payloads.

Memory safety never depends on the sender: sizes are checked before anything is allocated, a
record batch is fully validated before anything looks into it, and offsets are checked by pyarrow.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from forebay import limits
from forebay.chunk import Chunk, ChunkLayout, ConvertedChunk, EncodedChunk, PackedChunk
from forebay.chunk.arrays import positions
from forebay.chunk.layout import CHUNK_ID, SORBET_VERSION
from forebay.codec.alike import AlikeDecoder
from forebay.codec.batch_patterns import BatchPatterns
from forebay.codec.conversion import Converted
from forebay.codec.ipc import batch_sizes, check_end, message_extent, plain_body_length
from forebay.codec.lz4 import Lz4Decompressor
from forebay.codec.migration import CURRENT_VERSION, OLD_CHUNK_ID
from forebay.codec.plain_types import Room, UnreadableColumnError
from forebay.codec.schemas import (
    SDK_GRPC_SINK,
    SDK_IPC_ENCODED,
    ChunkSchema,
    SchemaCache,
)
from forebay.errors import InvalidChunkError
from forebay.model import ArrowMsg, ChunkId, Compression, Encoding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forebay.codec.lz4 import FreshMemory
    from forebay.model import Payload, StoreId

ALIGNMENT: Final = 8

_HELD_FACTOR_MAX: Final = 2
"""How many times what a chunk uses it may keep alive."""

_DAMAGED: Final = (
    pa.ArrowException,
    struct.error,
    ArithmeticError,
    LookupError,
    MemoryError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What pyarrow may raise over bytes that it cannot make sense of."""


@dataclass(frozen=True, slots=True)
class DecodedChunk:
    """A chunk, and when the SDK that sent it did what, in nanoseconds since the Unix epoch.

    Attributes:
        chunk: The chunk.
        sdk_ipc_encoded_ns: When the SDK encoded it, if it said so.
        sdk_grpc_sink_ns: When the SDK handed it to its gRPC connection, if it said so.
    """

    chunk: Chunk
    sdk_ipc_encoded_ns: int | None
    sdk_grpc_sink_ns: int | None


class ChunkDecoder:
    """Decodes the chunks of one stream after the other; one per worker."""

    def __init__(self, memory: FreshMemory | None = None) -> None:
        """Decode into `memory` what is large; by default into that of the C library."""
        self._lz4 = Lz4Decompressor(memory)
        self._schemas = SchemaCache()
        self._alike = AlikeDecoder(self._lz4)
        self._batches = BatchPatterns()

    def decode_alike(self, msgs: Sequence[ArrowMsg]) -> list[Chunk | None]:
        """The chunks of those messages that are like earlier ones, for a fraction of the work.

        `None` stands for a message that `decode` has to look at.
        """
        return self._alike.decode(msgs)

    def decode(self, msg: ArrowMsg) -> Chunk:
        """The chunk in `msg`, sorted by row id.

        Raises:
            InvalidChunkError: There is none; with the store, the chunk's id and byte offset as
                far as they are known.
        """
        return self._decode(msg)[0]

    def decode_timed(self, msg: ArrowMsg) -> DecodedChunk:
        """As `decode`, with the times that the SDK noted on the way."""
        chunk, values = self._decode(msg)
        return DecodedChunk(
            chunk,
            _timestamp_ns(values.get(SDK_IPC_ENCODED)),
            _timestamp_ns(values.get(SDK_GRPC_SINK)),
        )

    def _decode(self, msg: ArrowMsg) -> tuple[Chunk, Mapping[bytes, bytes]]:
        chunk_id = msg.chunk_id
        try:
            buffer = self._uncompressed(msg)
            data = memoryview(buffer).cast("B")  # pyarrow says signed bytes
            _, at = message_extent(data, 0)
            schema, values = self._schemas.read(data[:at])
            chunk_id = _chunk_id(values)
            return self._chunk(chunk_id, schema, buffer, data, at), values
        except InvalidChunkError as error:
            raise _rejection(error.message, msg, chunk_id) from error
        except _DAMAGED as error:
            raise _rejection(f"the chunk's payload is damaged: {error}", msg, chunk_id) from error

    def _chunk(
        self,
        chunk_id: ChunkId,
        schema: ChunkSchema,
        buffer: pa.Buffer,
        data: memoryview,
        at: int,
    ) -> Chunk:
        form = self._batches.match(schema, data, at)
        if form is not None:
            return EncodedChunk(chunk_id, form, buffer)
        begin, end = message_extent(data, at)
        message = data[at:end].tobytes()
        batches = schema.dense_batches
        known = batches[message] if message in batches else None  # noqa: SIM401 - see `SchemaCache`
        if known is not None and known.pattern is not None:
            packed = known.pattern.packed(data)
            if packed is not None:
                return PackedChunk(chunk_id, known.pattern.form, packed)
        body_length = plain_body_length(data, begin) if known is None else known.body_length
        if body_length is None or schema.conversion is not None:
            return self._converted(chunk_id, schema, buffer, data, at)
        check_end(data, end, body_length)
        batch = pa.ipc.read_record_batch(buffer.slice(at), schema.arrow)
        chunk = Chunk.validated(
            chunk_id, schema.layout, batch, known_dense=known is not None, owns_buffers=True
        )
        if known is None:
            if _is_dense(chunk):
                schema.remember_dense(message, body_length)
                if chunk.num_rows > 1 and self._batches.is_second(schema, message):
                    self._batches.learn(schema, chunk, data, at, end)
        elif known.patterns_left and schema.spans is not None:
            known.patterns_left -= 1
            known.pattern = self._alike.learn(chunk, schema.spans, data)
            if known.pattern is None and not self._batches.learn(schema, chunk, data, at, end):
                known.patterns_left = 0
        return chunk

    def _converted(
        self,
        chunk_id: ChunkId,
        schema: ChunkSchema,
        buffer: pa.Buffer,
        data: memoryview,
        at: int,
    ) -> Chunk:
        """The chunk of a message whose buffers are compressed, or whose columns are converted.

        Its columns do not lie in the message, so it is nothing to learn a pattern from.
        """
        room = Room(len(data))
        try:
            room.take(batch_sizes(data, at).claimed_bytes)
        except UnreadableColumnError as error:
            msg = f"the compressed buffers are too large: {error}"
            raise InvalidChunkError(msg) from error
        conversion = schema.conversion
        options = pa.ipc.IpcReadOptions(
            use_threads=False, included_fields=None if conversion is None else [*conversion.read]
        )
        with pa.ipc.open_stream(buffer, options=options) as reader:
            raw = reader.read_next_batch()
        _validate(raw)
        if conversion is None:
            batch, unread = Converted(_retyped(raw, schema.arrow), ())
        else:
            batch, unread = conversion.convert(raw, room, schema.arrow)
        if len(data) > _HELD_FACTOR_MAX * batch.nbytes:
            # What is not used of the message must not be kept for what is.
            batch = batch.take(positions(np.arange(batch.num_rows)))
        is_whole = batch.num_columns == len(schema.arrow)
        layout = schema.layout if is_whole else ChunkLayout.from_schema(batch.schema)
        return ConvertedChunk.of(Chunk.validated(chunk_id, layout, batch), unread)

    def _uncompressed(self, msg: ArrowMsg) -> pa.Buffer:
        if msg.encoding != Encoding.ARROW_IPC:
            text = f"encoding {msg.encoding} of a payload is unknown; its sender may be newer"
            raise InvalidChunkError(text)
        if msg.uncompressed_size > limits.MESSAGE_SIZE_BYTES_MAX:
            text = f"{msg.uncompressed_size} bytes are claimed; that is more than a message holds"
            raise InvalidChunkError(text)
        if msg.compression == Compression.LZ4:
            return self._lz4.decompress(msg.payload, msg.uncompressed_size)
        if msg.compression not in (Compression.NONE, Compression.UNSPECIFIED):
            text = f"compression {msg.compression} of a payload is unknown; its sender may be newer"
            raise InvalidChunkError(text)
        if _is_small_part(msg.payload):
            return pa.py_buffer(bytes(msg.payload))
        buffer = pa.py_buffer(msg.payload)
        # Cut out of a file, a payload may stand anywhere; Arrow's buffers want to be aligned.
        return pa.py_buffer(bytes(msg.payload)) if buffer.address % ALIGNMENT else buffer


def _is_small_part(payload: Payload) -> bool:
    """Whether a chunk of this payload would keep much more memory alive than it uses.

    What can change is not kept at all: it is memory that its owner wants to use again.
    """
    if not isinstance(payload, memoryview):
        return False
    owner = payload.obj
    return not isinstance(owner, bytes | pa.Buffer) or len(owner) > _HELD_FACTOR_MAX * len(payload)


def encode_chunk(
    store_id: StoreId, chunk: Chunk, compression: Compression = Compression.LZ4
) -> ArrowMsg:
    """The message that carries `chunk` to Rerun or to us."""
    schema = chunk.batch.schema
    metadata = {SORBET_VERSION: CURRENT_VERSION, **(schema.metadata or {})}
    metadata[CHUNK_ID] = str(chunk.id).encode()
    batch = chunk.batch.replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    buffer = sink.getvalue()
    compressed = compression == Compression.LZ4
    return ArrowMsg(
        store_id,
        memoryview(pa.Codec("lz4_raw").compress(buffer)) if compressed else memoryview(buffer),
        Compression.LZ4 if compressed else Compression.NONE,
        buffer.size,
        chunk.id,
        chunk.is_static,
    )


def _retyped(raw: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The columns of a batch under a schema that names other types of the same layout."""
    columns = [
        array if array.type == column.type else array.view(column.type)
        for array, column in zip(raw.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _validate(raw: pa.RecordBatch) -> None:
    try:
        raw.validate(full=True)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        msg = f"the record batch contradicts itself: {error}"
        raise InvalidChunkError(msg) from error


def _is_dense(chunk: Chunk) -> bool:
    """Whether row ids and times have no validity bitmap.

    A matter of the record batch message alone, so what follows from it holds for all batches
    that have the same.
    """
    layout = chunk.layout
    positions = [layout.row_ids, *(index.position for index in layout.indexes.values())]
    return all(chunk.batch.column(position).buffers()[0] is None for position in positions)


def _chunk_id(values: Mapping[bytes, bytes]) -> ChunkId:
    text = values.get(CHUNK_ID) or values.get(OLD_CHUNK_ID)
    if text is None:
        msg = "the schema has no `rerun:id`: this record batch is not a Rerun chunk"
        raise InvalidChunkError(msg)
    try:
        return ChunkId.parse(text.decode())
    except ValueError as error:
        msg = f"`rerun:id` is {text!r}, which is not the id of a chunk"
        raise InvalidChunkError(msg) from error


def _timestamp_ns(text: bytes | None) -> int | None:
    """Nanoseconds from `secs.nnnnnnnnn`; `None` if it is anything else."""
    if text is None:
        return None
    seconds, point, nanoseconds = text.partition(b".")
    if not (point and seconds.isdigit() and nanoseconds.isdigit() and len(nanoseconds) <= 9):
        return None
    return int(seconds[:12]) * 1_000_000_000 + int(nanoseconds.ljust(9, b"0"))


def _rejection(message: str, msg: ArrowMsg, chunk_id: ChunkId | None) -> InvalidChunkError:
    return InvalidChunkError(
        message, store_id=msg.store_id, chunk_id=chunk_id, byte_offset=msg.byte_offset
    )
