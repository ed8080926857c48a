"""Decoding of payloads to chunks, and encoding of chunks to payloads.

Memory safety does not depend on the sender: sizes are checked before memory is allocated, a record
batch is fully validated before it is read, and pyarrow checks offsets.
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
from forebay.chunk.damage import DAMAGE, is_of_chunk
from forebay.chunk.layout import CHUNK_ID
from forebay.codec.chunks.alike import AlikeDecoder
from forebay.codec.chunks.batch_patterns import BatchPatterns
from forebay.codec.chunks.conversion import Converted
from forebay.codec.chunks.ipc import (
    CONTINUATION,
    batch_sizes,
    check_end,
    is_plain,
    message_extent,
    read_batch_header,
)
from forebay.codec.chunks.lz4 import Lz4Decompressor
from forebay.codec.chunks.migration import OLD_CHUNK_ID
from forebay.codec.chunks.outgoing import outgoing_batch
from forebay.codec.chunks.plain_types import Gate, Room, UnreadableColumnError
from forebay.codec.chunks.schemas import (
    SDK_GRPC_SINK,
    SDK_IPC_ENCODED,
    ChunkSchema,
    DenseBatch,
    SchemaCache,
)
from forebay.codec.chunks.soundness import ALIGNMENT, check_header, check_nulls, check_offsets
from forebay.errors import InvalidChunkError, LimitError
from forebay.model import ArrowMsg, ChunkId, Compression, Encoding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forebay.codec.chunks.lz4 import FreshMemory
    from forebay.limits import StoreLimits
    from forebay.model import Payload, StoreId

_PREFIX: Final = struct.Struct("<II")

_HELD_FACTOR_MAX: Final = 2
"""A chunk may keep at most this many times the memory that it uses."""

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
"""Exceptions that pyarrow may raise over invalid bytes."""


@dataclass(frozen=True, slots=True)
class DecodedChunk:
    """A chunk with the times that its SDK recorded, in nanoseconds since the Unix epoch.

    Attributes:
        chunk: The chunk.
        sdk_ipc_encoded_ns: When the SDK encoded it, if recorded.
        sdk_grpc_sink_ns: When the SDK passed it to its gRPC connection, if recorded.
    """

    chunk: Chunk
    sdk_ipc_encoded_ns: int | None
    sdk_grpc_sink_ns: int | None


class ChunkDecoder:
    """Decodes messages to chunks. It caches schemas and patterns, so use one decoder per worker.

    Not thread-safe; it may move between threads.
    """

    def __init__(
        self,
        memory: FreshMemory | None = None,
        structure: StoreLimits = limits.STORE_LIMITS,
        gate: Gate | None = None,
    ) -> None:
        """Make a decoder with empty caches.

        Args:
            memory: The allocator for large payloads; the default is that of the C library.
            structure: Limits of what a chunk may consist of.
            gate: Asked before a message becomes larger than it came; the default allows it.
        """
        self._gate = gate
        self._lz4 = Lz4Decompressor(memory)
        self._schemas = SchemaCache(structure)
        self._alike = AlikeDecoder(self._lz4)
        self._batches = BatchPatterns()

    def decode_alike(self, msgs: Sequence[ArrowMsg]) -> list[Chunk | None]:
        """Decode the messages that match a pattern; this costs a fraction of `decode`.

        Args:
            msgs: The messages of one turn.

        Returns:
            A chunk per message, or `None` where `decode` is needed.
        """
        return self._alike.decode(msgs)

    def decode(self, msg: ArrowMsg) -> Chunk:
        """Decode a message to a chunk, sorted by row id.

        Args:
            msg: The message.

        Raises:
            InvalidChunkError: The payload is not a valid chunk. The error has the store, the
                chunk's id and the byte offset as far as they are known.
            LimitError: The chunk exceeds a limit (a subclass of the above).
        """
        return self._decode(msg)[0]

    def decode_timed(self, msg: ArrowMsg) -> DecodedChunk:
        """Decode like `decode`, and also return the times that the SDK recorded.

        Args:
            msg: The message.

        Raises:
            InvalidChunkError: As for `decode`.
        """
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
            data = memoryview(buffer).cast("B")  # pyarrow exports signed bytes
            _, at = message_extent(data, 0)
            schema, values = self._schemas.read(data[:at])
            chunk_id = _chunk_id(values)
            return self._chunk(chunk_id, schema, buffer, data, at), values
        except LimitError as error:
            error.store_id, error.chunk_id = msg.store_id, chunk_id
            error.byte_offset = msg.byte_offset
            raise
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
        # Rows must not keep a schema alive that is much larger than they are: they get memory of
        # their own, and are nothing to learn a pattern from.
        is_apart = at > len(data) - at + limits.SCHEMA_HELD_BYTES_MAX
        form = None if is_apart else self._batches.match(schema, data, at)
        if form is not None:
            return EncodedChunk(chunk_id, form, buffer)
        begin, end = message_extent(data, at)
        message = data[at:end].tobytes()
        batches = schema.dense_batches
        known = batches[message] if message in batches and not is_apart else None
        if known is not None and known.pattern is not None:
            packed = known.pattern.packed(data)
            if packed is not None:
                return PackedChunk(chunk_id, known.pattern.form, packed)
        if known is not None:
            body_length, has_doubtful_nulls, is_hollow = known.body_length, False, False
        elif schema.conversion is None and is_plain(data, begin):
            body_length, has_doubtful_nulls, is_hollow = _checked_header(schema, data, begin)
        else:
            return self._converted(chunk_id, schema, buffer, data, at)
        check_end(data, end, body_length)
        whole = buffer.slice(at)
        if is_apart or (buffer.address + end) % ALIGNMENT:
            whole = _aligned(data, begin, end)
        batch = pa.ipc.read_record_batch(whole, schema.arrow)
        if is_hollow:
            _validate(batch)
            check_offsets(batch)
            batch = _anew(batch)
        chunk = Chunk.validated(
            chunk_id, schema.layout, batch, known_dense=known is not None, owns_buffers=True
        )
        if has_doubtful_nulls or is_hollow:
            check_nulls(batch)
        elif known is not None:
            self._learn_pattern(schema, known, chunk, data, at=at, end=end)
        elif not is_apart and _is_dense(chunk):
            schema.remember_dense(message, body_length)
            if chunk.num_rows > 1 and self._batches.is_second(schema, message):
                self._batches.learn(schema, chunk, data, at, end)
        return chunk

    def _learn_pattern(
        self,
        schema: ChunkSchema,
        known: DenseBatch,
        chunk: Chunk,
        data: memoryview,
        *,
        at: int,
        end: int,
    ) -> None:
        """Learn a message as a pattern; the number of attempts is bounded."""
        if not known.patterns_left or schema.spans is None:
            return
        known.patterns_left -= 1
        known.pattern = self._alike.learn(chunk, schema.spans, data, end)
        if known.pattern is None and not self._batches.learn(schema, chunk, data, at, end):
            known.patterns_left = 0

    def _converted(
        self,
        chunk_id: ChunkId,
        schema: ChunkSchema,
        buffer: pa.Buffer,
        data: memoryview,
        at: int,
    ) -> Chunk:
        """Decode a message with compressed buffers, or with columns that need conversion.

        Its columns are not stored in the message in their final form, so no pattern can be learned.
        """
        room = Room(len(data), self._gate)
        sizes = batch_sizes(data, at)
        try:
            room.take(sizes.claimed_bytes)
        except UnreadableColumnError as error:
            msg = f"the compressed buffers are too large: {error}"
            raise InvalidChunkError(msg) from error
        header = read_batch_header(data, sizes.begin)
        check_header(header, schema.rules, max(header.body_length, sizes.claimed_bytes))
        conversion = schema.conversion
        options = pa.ipc.IpcReadOptions(
            use_threads=False, included_fields=None if conversion is None else [*conversion.read]
        )
        with pa.ipc.open_stream(buffer, options=options) as reader:
            raw = reader.read_next_batch()
        _validate(raw)
        is_hollow = schema.rules.is_hollow(header)
        if is_hollow:
            check_offsets(raw)
        check_nulls(raw)
        if conversion is None:
            batch, unread = Converted(_retyped(raw, schema.arrow), ())
        else:
            batch, unread = conversion.convert(raw, room, schema.arrow)
        if is_hollow or len(data) > _HELD_FACTOR_MAX * batch.nbytes:
            # Do not keep a large message in memory for a small part of it.
            batch = _anew(batch)
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
        if not Compression.is_none(msg.compression):
            text = f"compression {msg.compression} of a payload is unknown; its sender may be newer"
            raise InvalidChunkError(text)
        if _is_small_part(msg.payload):
            return pa.py_buffer(bytes(msg.payload))
        buffer = pa.py_buffer(msg.payload)
        # A payload that was cut out of a file has any address; Arrow buffers should be aligned.
        return pa.py_buffer(bytes(msg.payload)) if buffer.address % ALIGNMENT else buffer


def _anew(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows in memory of their own, with offsets and type ids that Arrow has written."""
    return batch.take(positions(np.arange(batch.num_rows)))


def _checked_header(schema: ChunkSchema, data: memoryview, begin: int) -> tuple[int, bool, bool]:
    """Validate a record batch header.

    Returns:
        The length of the body in bytes; whether a non-nullable field claims nulls; whether a list
        or union is hollow (see `NodeRules.hollow`).

    Raises:
        InvalidChunkError: What the header says of the body cannot be true.
    """
    header = read_batch_header(data, begin)
    check_header(header, schema.rules)
    rules = schema.rules
    return header.body_length, rules.has_nulls_where_none_may_be(header), rules.is_hollow(header)


def _aligned(data: memoryview, begin: int, end: int) -> pa.Buffer:
    """Copy a record batch message so that its body begins at a multiple of 8.

    Args:
        data: The stream.
        begin: The begin of the message's flatbuffer.
        end: The end of the flatbuffer, where the body begins.
    """
    length = end - begin
    padding = -length % ALIGNMENT
    prefix = _PREFIX.pack(CONTINUATION, length + padding)
    return pa.py_buffer(b"".join((prefix, data[begin:end], bytes(padding), data[end:])))


def _is_small_part(payload: Payload) -> bool:
    """Return whether a chunk of this payload would keep much more memory than it uses.

    Also true if the payload's memory is writable: its owner wants to reuse it.
    """
    if not isinstance(payload, memoryview):
        return False
    owner = payload.obj
    return not isinstance(owner, bytes | pa.Buffer) or len(owner) > _HELD_FACTOR_MAX * len(payload)


def encode_chunk(
    store_id: StoreId, chunk: Chunk, compression: Compression = Compression.LZ4
) -> ArrowMsg:
    """Encode a chunk as the message that carries it to Rerun or Forebay.

    The schema makes only claims that are true for the chunk's rows (see `outgoing`).

    Args:
        store_id: The store of the message.
        chunk: The chunk.
        compression: The compression of the payload.

    Raises:
        InvalidChunkError: The chunk cannot be opened.
    """
    try:
        batch = outgoing_batch(chunk)
    except DAMAGE as error:
        if not is_of_chunk(error):
            raise
        text = f"chunk {chunk.id} of {chunk.entity_path} cannot be written: {error}"
        raise InvalidChunkError(text, store_id=store_id, chunk_id=chunk.id) from error
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
    """Return the columns of a batch under a schema with other types of the same physical layout."""
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
    """Return whether row ids and times have no validity bitmap.

    This follows from the record batch message alone, so it holds for all batches with the same
    message.
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
    """Return nanoseconds from the text `secs.nnnnnnnnn`; `None` if it has another form."""
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
