"""The Arrow IPC stream around a chunk: one schema message and one record batch message.

This module reads only the numbers that bound the messages; pyarrow reads everything else. Offsets
come from the sender, so each is checked when it is followed (`flatbuffer`).
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
# Slots of the flatbuffers tables: offsets into their vtables (format/Message.fbs, Schema.fbs).
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
"""The size that a buffer claims if it is not compressed although its batch is."""
_END_OF_STREAM: Final = (b"", b"\0\0\0\0", b"\xff\xff\xff\xff\0\0\0\0")


def message_extent(data: memoryview, at: int) -> tuple[int, int]:
    """Return begin and end of the flatbuffer of the message at `at`.

    Args:
        data: The stream.
        at: The position of the encapsulated message.

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
    """Return whether a flatbuffer is that of a record batch without compressed buffers.

    Args:
        data: The stream.
        begin: The position of the flatbuffer.

    Raises:
        ValueError: The message is neither a record batch nor a dictionary.
        struct.error, IndexError: An offset points outside the data.
    """
    message = table(data, begin)
    is_batch = _message_kind(data, message) == RECORD_BATCH
    return is_batch and not slot(data, _header(data, message), BATCH_COMPRESSION)


class BatchHeader(NamedTuple):
    """The header of a record batch message. Nothing in it is validated.

    Attributes:
        rows: The number of rows.
        nodes: The numbers of values and nulls of each field, parents before their children.
        buffers: Offset in the body and length of each buffer, in bytes.
        body_length: The length of the body in bytes.
        is_compressed: Whether the buffers are compressed individually.
    """

    rows: int
    nodes: list[tuple[int, int]]
    buffers: list[tuple[int, int]]
    body_length: int
    is_compressed: bool


def read_batch_header(data: memoryview, begin: int) -> BatchHeader:
    """Read the header of a record batch message.

    Args:
        data: The stream.
        begin: The position of the flatbuffer, which is that of a record batch (see `is_plain`).

    Raises:
        ValueError: The message has no header.
        struct.error, IndexError: An offset points outside the data.
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
    """The sizes of the messages after the schema of a stream.

    Attributes:
        begin: The position of the record batch's flatbuffer.
        num_dictionaries: The number of dictionary batches before the record batch.
        claimed_bytes: The claimed size of all compressed buffers after decompression, in bytes.
    """

    begin: int
    num_dictionaries: int
    claimed_bytes: int


def batch_sizes(data: memoryview, at: int) -> BatchSizes:
    """Check that dictionaries, one record batch and nothing else follow at `at`.

    Nothing is decompressed: sizes after decompression are those that the buffers claim.

    Args:
        data: The stream.
        at: The position of the first message after the schema.

    Raises:
        ValueError: There is another message, a body is truncated, there are more dictionaries than
            `limits.DICTIONARIES_MAX`, or a buffer claims an impossible size.
        struct.error, IndexError: An offset points outside the data.
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
    """Return the total size that the compressed buffers of a batch claim."""
    total = 0
    for offset, length in pairs(data, slot(data, batch, BATCH_BUFFERS)):
        if not 0 <= offset <= offset + length <= body_length or length < 0:
            msg = f"a buffer of {length} bytes at byte {offset} is outside the body of its batch"
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
    """Return the position of the batch table of a message."""
    position = slot(data, message, HEADER)
    if not position:
        msg = "the record batch has no header"
        raise ValueError(msg)
    return table(data, position)


def _body_length(data: memoryview, message: int) -> int:
    return i64(data, slot(data, message, BODY_LENGTH))


def check_end(data: memoryview, batch_end: int, body_length: int) -> None:
    """Check that the record batch's body is complete and that nothing follows it.

    Args:
        data: The stream.
        batch_end: The position at which the body begins.
        body_length: The length of the body in bytes.

    Raises:
        ValueError: The body is truncated, or there is more than one batch.
    """
    body_end = batch_end + body_length
    if not batch_end <= body_end <= len(data):
        msg = f"the record batch claims {body_length} bytes; there are {len(data) - batch_end}"
        raise ValueError(msg)
    if bytes(data[body_end : body_end + 8]) not in _END_OF_STREAM:
        msg = "the Arrow stream goes on after its record batch; a chunk is exactly one"
        raise ValueError(msg)


def check_schema(data: memoryview) -> None:
    """Check that a message is a schema of little-endian numbers.

    Args:
        data: The schema message.

    Raises:
        ValueError: It is another message, or big-endian.
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
