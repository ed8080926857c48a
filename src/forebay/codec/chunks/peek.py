"""The head of a chunk: its layout and number of rows, read without decompressing the data.

An `ArrowMsg` has an Arrow IPC stream: a schema message, then one record batch whose header has the
number of rows. Both are at the front, so only the front of a large payload is decompressed.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

import pyarrow as pa

from forebay.codec.chunks.flatbuffer import i64, slot, table, u8
from forebay.codec.chunks.ipc import (
    BATCH_COMPRESSION,
    BATCH_LENGTH,
    BODY_LENGTH,
    DICTIONARY_BATCH,
    HEADER,
    HEADER_TYPE,
    RECORD_BATCH,
)
from forebay.codec.chunks.lz4 import Lz4Decompressor
from forebay.codec.chunks.schemas import SchemaCache
from forebay.errors import InvalidChunkError
from forebay.limits import (
    DICTIONARIES_MAX,
    LZ4_RATIO_MAX,
    PEEK_WHOLE_BYTES_MAX,
)
from forebay.model import ArrowMsg, Compression, Encoding

if TYPE_CHECKING:
    from collections.abc import Callable

    from forebay.chunk import ChunkLayout
    from forebay.codec.chunks.schemas import ChunkSchema

_I32: Final = struct.Struct("<i")
_CONTINUATION: Final = b"\xff\xff\xff\xff"
_FRONT_BYTES: Final = 4096


class ChunkHead(NamedTuple):
    """The information in front of a chunk's data.

    Attributes:
        layout: The columns of the chunk.
        num_rows: The number of rows.
        batch: Begin and end of the record batch's header in the message, if its times follow in
            plain form; else `None`.
    """

    layout: ChunkLayout
    num_rows: int
    batch: tuple[int, int] | None = None


class ChunkPeeker:
    """Reads the heads of chunks; chunks with the same schema share one layout.

    Not thread-safe.
    """

    def __init__(self) -> None:
        self._schemas = SchemaCache()
        self._decompressor = Lz4Decompressor()

    def peek(self, msg: ArrowMsg) -> ChunkHead:
        """Read the head of one chunk.

        The data is not examined: a chunk with a valid head may still be rejected by a worker.

        Args:
            msg: The message.

        Raises:
            InvalidChunkError: The head is invalid. The error has the store and the byte offset.
        """
        try:
            return self._peek(msg)
        except InvalidChunkError as error:
            error.store_id = msg.store_id
            error.chunk_id = msg.chunk_id
            error.byte_offset = msg.byte_offset
            raise

    def _peek(self, msg: ArrowMsg) -> ChunkHead:
        if msg.encoding != Encoding.ARROW_IPC:
            text = f"the payload's encoding {msg.encoding} is not Arrow IPC (1)"
            raise InvalidChunkError(text)
        wanted = _FRONT_BYTES
        while True:
            front, is_whole = self._front(msg, wanted)
            head = self._parse(front)
            if head is not None:
                return head
            if is_whole:
                text = "the payload ends inside its own Arrow header"
                raise InvalidChunkError(text)
            wanted *= 4

    def _front(self, msg: ArrowMsg, wanted: int) -> tuple[bytes | memoryview, bool]:
        """Return at least `wanted` bytes of the payload if available, and whether that is all."""
        size = msg.uncompressed_size
        if Compression.is_none(msg.compression):
            return msg.payload, True
        if msg.compression != Compression.LZ4:
            text = f"the payload's compression {msg.compression} is neither none (1) nor LZ4 (2)"
            raise InvalidChunkError(text)
        if wanted <= PEEK_WHOLE_BYTES_MAX < size <= len(msg.payload) * LZ4_RATIO_MAX:
            return lz4_block_front(msg.payload, wanted), False
        try:
            whole = self._decompressor.decompress(msg.payload, size)
            return memoryview(whole), True
        except ValueError as error:
            text = f"the payload cannot be decompressed: {error}"
            raise InvalidChunkError(text) from error

    def _parse(self, front: bytes | memoryview) -> ChunkHead | None:
        """Return the head; `None` if the front is too short for it."""
        view = memoryview(front).cast("B")
        schema_end = _message_end(view, 0)
        if schema_end is None:
            return None
        begin = schema_end
        batch_end = _message_end(view, begin)
        num_dictionaries = 0
        while batch_end is not None and _kind(view[begin:batch_end]) == DICTIONARY_BATCH:
            num_dictionaries += 1
            if num_dictionaries > DICTIONARIES_MAX:
                text = f"there are more than {DICTIONARIES_MAX} dictionaries (DICTIONARIES_MAX)"
                raise InvalidChunkError(text)
            begin = batch_end + _body_length(view[begin:batch_end])
            batch_end = _message_end(view, begin)
        if batch_end is None:
            return None
        message = view[begin:batch_end]
        num_rows = _num_rows(message)
        schema = self._schema(view[:schema_end])
        is_plain = begin == schema_end and schema.conversion is None and not _is_compressed(message)
        return ChunkHead(schema.layout, num_rows, (begin, batch_end) if is_plain else None)

    def _schema(self, message: memoryview) -> ChunkSchema:
        try:
            return self._schemas.read(message)[0]
        except (pa.ArrowException, OSError, ValueError, struct.error, IndexError) as error:
            text = f"the payload's Arrow schema cannot be read: {error}"
            raise InvalidChunkError(text) from error


def lz4_block_front(block: bytes | memoryview, wanted: int) -> bytes:
    """Decompress the front of an LZ4 block.

    Args:
        block: The block.
        wanted: The number of bytes to decompress. The result may be a little longer, or shorter if
            the block contains less.

    Raises:
        InvalidChunkError: The block is invalid before that position.
    """
    source = memoryview(block).cast("B")
    out = bytearray()
    position = 0
    try:
        while len(out) < wanted and position < len(source):
            token = source[position]
            position += 1
            length = token >> 4
            if length == 15:
                length, position = _long_length(source, position, length)
            if length:
                # A run of literals can be as long as the chunk: copy only as much as wanted.
                out += source[position : position + min(length, wanted)]
                position += length
            if len(out) >= wanted or position >= len(source):
                break  # enough, or the last sequence, which has no match
            offset = source[position] | source[position + 1] << 8
            position += 2
            length = token & 15
            if length == 15:
                length, position = _long_length(source, position, length)
            length = min(length + 4, wanted)
            if offset > len(out):
                text = "the LZ4 payload refers to bytes before its beginning"
                raise InvalidChunkError(text)
            if not offset:
                out += bytes(length)  # As the LZ4 library does (see `lz4`).
            elif offset >= length:
                begin = len(out) - offset
                out += out[begin : begin + length]
            else:
                out += (out[-offset:] * (length // offset + 1))[:length]
    except IndexError as error:
        text = "the LZ4 payload ends inside a sequence"
        raise InvalidChunkError(text) from error
    return bytes(out)


def _long_length(source: memoryview, position: int, length: int) -> tuple[int, int]:
    while True:
        more = source[position]
        position += 1
        length += more
        if more != 255:
            return length, position


def _message_end(front: memoryview, position: int) -> int | None:
    """Return the end of the encapsulated Arrow message at `position`, without its body.

    Returns `None` if the front is too short.
    """
    if len(front) < position + 8:
        return None
    if bytes(front[position : position + 4]) == _CONTINUATION:
        position += 4
    (length,) = _I32.unpack_from(front, position)
    if length <= 0:
        text = "the payload is not an Arrow IPC stream of a schema and a record batch"
        raise InvalidChunkError(text)
    end = position + 4 + length
    return end if end <= len(front) else None


def _kind(message: memoryview) -> int:
    """Return the kind of a message; 0 if it has none."""
    return _read(message, lambda data, root: u8(data, slot(data, root, HEADER_TYPE)))


def _body_length(message: memoryview) -> int:
    size = _read(message, lambda data, root: i64(data, slot(data, root, BODY_LENGTH)))
    if size < 0:
        raise _damaged_header()
    return size


def _num_rows(message: memoryview) -> int:
    """Return the number of rows that the message of a record batch claims."""
    if _kind(message) != RECORD_BATCH:
        text = "the payload's second Arrow message is not a record batch"
        raise InvalidChunkError(text)
    num_rows = _read(message, lambda data, root: i64(data, _batch_slot(data, root, BATCH_LENGTH)))
    if num_rows < 0:
        text = f"the payload's record batch claims {num_rows} rows"
        raise InvalidChunkError(text)
    return num_rows


def _is_compressed(message: memoryview) -> bool:
    """Return whether the buffers of a record batch are compressed."""
    return bool(_read(message, lambda data, root: _batch_slot(data, root, BATCH_COMPRESSION)))


def _batch_slot(data: memoryview, root: int, wanted: int) -> int:
    """Return the position of a field of the record batch in a message; 0 if it is absent."""
    header = slot(data, root, HEADER)
    if not header:
        raise IndexError
    return slot(data, table(data, header), wanted)


def _read(message: memoryview, read: Callable[[memoryview, int], int]) -> int:
    """Apply `read` to the flatbuffer of a message and the position of its root table."""
    data = message[8 if bytes(message[:4]) == _CONTINUATION else 4 :]
    try:
        return read(data, table(data, 0))
    except (struct.error, IndexError) as error:
        raise _damaged_header() from error


def _damaged_header() -> InvalidChunkError:
    return InvalidChunkError("the payload's record batch header is damaged")
