"""The frame around a chunk: an Arrow IPC stream of one schema and one record batch.

Only the few numbers that bound the messages are read here; pyarrow reads the rest. Offsets come
from the sender, so each is read through `struct`, which refuses to leave the buffer.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from forebay.codec.chunks.flatbuffer import i64, pairs, slot, table, u8, u16
from forebay.limits import DICTIONARIES_MAX

CONTINUATION: Final = 0xFFFFFFFF
_PREFIX: Final = struct.Struct("<Ii")
_I64: Final = struct.Struct("<q")

SCHEMA: Final = 1
DICTIONARY_BATCH: Final = 2
RECORD_BATCH: Final = 3
# Slots of the flatbuffers tables, as offsets into their vtables (format/Message.fbs, Schema.fbs).
HEADER_TYPE: Final = 6
HEADER: Final = 8
BODY_LENGTH: Final = 10
BATCH_LENGTH: Final = 4
BATCH_NODES: Final = 6
BATCH_BUFFERS: Final = 8
BATCH_COMPRESSION: Final = 10
_DICTIONARY_DATA: Final = 6
_SCHEMA_ENDIANNESS: Final = 4
_NOT_COMPRESSED: Final = -1
"""What a buffer says that is as it is, though the others of its batch are compressed."""
_END_OF_STREAM: Final = (b"", b"\0\0\0\0", b"\xff\xff\xff\xff\0\0\0\0")


def message_extent(data: memoryview, at: int) -> tuple[int, int]:
    """Begin and end of the flatbuffer of the message that begins at `at`.

    Raises:
        ValueError: No message begins there.
    """
    begin = at + _PREFIX.size
    if begin > len(data):
        msg = "the Arrow stream ends where a message should begin"
        raise ValueError(msg)
    continuation, length = _PREFIX.unpack_from(data, at)
    if continuation != CONTINUATION or not 0 < length <= len(data) - begin:
        if at and bytes(data[at : at + 9]) in _END_OF_STREAM:
            msg = "the Arrow stream has a schema but no record batch"
        else:
            msg = f"no Arrow message begins at byte {at} of the payload"
        raise ValueError(msg)
    return begin, begin + length


def is_plain(data: memoryview, begin: int) -> bool:
    """Whether the flatbuffer at `begin` is that of a record batch without compressed buffers.

    Raises:
        ValueError: It is neither a record batch nor a dictionary.
        struct.error, IndexError: It leads out of the data.
    """
    message = table(data, begin)
    is_batch = _message_kind(data, message) == RECORD_BATCH
    return is_batch and not slot(data, _header(data, message), BATCH_COMPRESSION)


class BatchHeader(NamedTuple):
    """What the message of a record batch says of the body behind it; nothing of it is checked.

    Attributes:
        rows: How many.
        nodes: Values and nulls of each field, parents before their children.
        buffers: Offset in the body, and length, of each buffer.
        body_length: Bytes of the body.
        is_compressed: Whether the buffers are compressed one by one.
    """

    rows: int
    nodes: list[tuple[int, int]]
    buffers: list[tuple[int, int]]
    body_length: int
    is_compressed: bool


def read_batch_header(data: memoryview, begin: int) -> BatchHeader:
    """Read the flatbuffer at `begin`, which is that of a record batch (see `is_plain`).

    Raises:
        ValueError: It has no header.
        struct.error, IndexError: It leads out of the data.
    """
    message = table(data, begin)
    batch = _header(data, message)
    return BatchHeader(
        i64(data, slot(data, batch, BATCH_LENGTH)),
        pairs(data, slot(data, batch, BATCH_NODES)),
        pairs(data, slot(data, batch, BATCH_BUFFERS)),
        _body_length(data, message),
        bool(slot(data, batch, BATCH_COMPRESSION)),
    )


class BatchSizes(NamedTuple):
    """What stands behind the schema of a stream.

    Attributes:
        begin: Where the flatbuffer of the record batch begins.
        num_dictionaries: Dictionary batches before the record batch.
        claimed_bytes: What compressed buffers claim to become.
    """

    begin: int
    num_dictionaries: int
    claimed_bytes: int


def batch_sizes(data: memoryview, at: int) -> BatchSizes:
    """See that at `at` there is one record batch, with dictionaries before it, and nothing else.

    Nothing is decompressed: what compressed buffers become is what they say of themselves.

    Raises:
        ValueError: There is something else, a body is cut off, there are more dictionaries than
            `limits.DICTIONARIES_MAX`, or a buffer claims a size that none has.
    """
    claimed = 0
    for number in range(DICTIONARIES_MAX + 1):
        begin, end = message_extent(data, at)
        message = table(data, begin)
        kind = _message_kind(data, message)
        batch = _header(data, message)
        if kind == DICTIONARY_BATCH:
            position = slot(data, batch, _DICTIONARY_DATA)
            batch = table(data, position) if position else 0
        body_length = _body_length(data, message)
        if not 0 <= body_length <= len(data) - end:
            msg = f"a batch claims {body_length} bytes; there are {len(data) - end}"
            raise ValueError(msg)
        if batch and slot(data, batch, BATCH_COMPRESSION):
            claimed += _claimed_bytes(data, batch, end, body_length)
        at = end + body_length
        if kind == RECORD_BATCH:
            check_end(data, end, body_length)
            return BatchSizes(begin, number, claimed)
    msg = f"there are more than {DICTIONARIES_MAX} dictionaries (DICTIONARIES_MAX)"
    raise ValueError(msg)


def _claimed_bytes(data: memoryview, batch: int, body: int, body_length: int) -> int:
    """What the compressed buffers of a batch claim to become, together."""
    total = 0
    for offset, length in pairs(data, slot(data, batch, BATCH_BUFFERS)):
        if not 0 <= offset <= offset + length <= body_length or length < 0:
            msg = f"a buffer of {length} bytes at byte {offset} leaves the body of its batch"
            raise ValueError(msg)
        if not length:
            continue
        if length < _I64.size:
            msg = f"a compressed buffer has {length} bytes, which is too short for its size"
            raise ValueError(msg)
        (claimed,) = _I64.unpack_from(data, body + offset)
        if claimed < _NOT_COMPRESSED:
            msg = f"a compressed buffer claims to become {claimed} bytes"
            raise ValueError(msg)
        total += length if claimed == _NOT_COMPRESSED else claimed
    return total


def _message_kind(data: memoryview, message: int) -> int:
    kind = u8(data, slot(data, message, HEADER_TYPE))
    if kind not in (RECORD_BATCH, DICTIONARY_BATCH):
        msg = f"the Arrow stream has message {kind} where its record batch should be"
        raise ValueError(msg)
    return kind


def _header(data: memoryview, message: int) -> int:
    """The table of the batch that a message describes."""
    position = slot(data, message, HEADER)
    if not position:
        msg = "the record batch has no header"
        raise ValueError(msg)
    return table(data, position)


def _body_length(data: memoryview, message: int) -> int:
    return i64(data, slot(data, message, BODY_LENGTH))


def check_end(data: memoryview, batch_end: int, body_length: int) -> None:
    """See that the record batch's body is there, and that nothing follows.

    Raises:
        ValueError: It is cut off, or there is more than one batch.
    """
    body_end = batch_end + body_length
    if not batch_end <= body_end <= len(data):
        msg = f"the record batch claims {body_length} bytes; there are {len(data) - batch_end}"
        raise ValueError(msg)
    if bytes(data[body_end : body_end + 8]) not in _END_OF_STREAM:
        msg = "the Arrow stream goes on after its record batch; a chunk is exactly one"
        raise ValueError(msg)


def check_schema(data: memoryview) -> None:
    """See that the message is a schema of little-endian numbers.

    Raises:
        ValueError: It is not.
    """
    begin, _ = message_extent(data, 0)
    message = table(data, begin)
    if u8(data, slot(data, message, HEADER_TYPE)) != SCHEMA:
        msg = "the Arrow stream does not begin with a schema"
        raise ValueError(msg)
    header = slot(data, message, HEADER)
    endianness = slot(data, table(data, header), _SCHEMA_ENDIANNESS) if header else 0
    if u16(data, endianness):
        msg = "the chunk is big-endian; Rerun's are little-endian"
        raise ValueError(msg)
