"""The frame around a chunk: an Arrow IPC stream of one schema and one record batch.

Only the few numbers that bound the messages are read here; pyarrow reads the rest. Offsets come
from the sender, so each is read through `struct`, which refuses to leave the buffer.
"""

from __future__ import annotations

import struct
from typing import Final

CONTINUATION: Final = 0xFFFFFFFF
_PREFIX: Final = struct.Struct("<Ii")
_U16: Final = struct.Struct("<H")
_I32: Final = struct.Struct("<i")
_U32: Final = struct.Struct("<I")
_I64: Final = struct.Struct("<q")

_SCHEMA: Final = 1
_DICTIONARY_BATCH: Final = 2
_RECORD_BATCH: Final = 3
# Slots of the flatbuffers tables, as offsets into their vtables (format/Message.fbs, Schema.fbs).
_HEADER_TYPE: Final = 6
_HEADER: Final = 8
_BODY_LENGTH: Final = 10
_BATCH_COMPRESSION: Final = 10
_SCHEMA_ENDIANNESS: Final = 4
_END_OF_STREAM: Final = (b"", b"\0\0\0\0", b"\xff\xff\xff\xff\0\0\0\0")


def schema_end(data: memoryview) -> int:
    """Where the schema message ends and the record batch begins.

    Raises:
        ValueError: No schema message is there.
    """
    begin, end = _metadata(data, 0)
    if _header_type(data, begin) != _SCHEMA:
        msg = "the Arrow stream does not begin with a schema"
        raise ValueError(msg)
    return end


def check_record_batch(data: memoryview, at: int) -> None:
    """See that there is one record batch, uncompressed, and nothing else.

    Raises:
        ValueError: There is none, there are more, or it is encoded as no chunk is.
    """
    if data[at:] in _END_OF_STREAM:
        msg = "the Arrow stream has a schema but no record batch"
        raise ValueError(msg)
    begin, end = _metadata(data, at)
    header_type = _header_type(data, begin)
    if header_type != _RECORD_BATCH:
        what = "a dictionary" if header_type == _DICTIONARY_BATCH else f"message {header_type}"
        msg = f"the Arrow stream has {what} where its record batch should be"
        raise ValueError(msg)
    message = _table(data, begin)
    header = _slot(data, message, _HEADER)
    if not header or _slot(data, header + _U32.unpack_from(data, header)[0], _BATCH_COMPRESSION):
        # Its buffers would claim sizes of their own, which nothing bounds.
        msg = "the record batch has compressed buffers; only the message may be compressed"
        raise ValueError(msg)
    body_length = _slot(data, message, _BODY_LENGTH)
    body_end = end + (_I64.unpack_from(data, body_length)[0] if body_length else 0)
    if not end <= body_end <= len(data):
        msg = f"the record batch claims {body_end - end} bytes; there are {len(data) - end}"
        raise ValueError(msg)
    if data[body_end : body_end + 8] not in _END_OF_STREAM:
        msg = "the Arrow stream goes on after its record batch; a chunk is exactly one"
        raise ValueError(msg)


def is_big_endian(data: memoryview) -> bool:
    """Whether the schema announces numbers in big-endian order."""
    begin, _ = _metadata(data, 0)
    header = _slot(data, _table(data, begin), _HEADER)
    if not header:
        return False
    schema = header + _U32.unpack_from(data, header)[0]
    endianness = _slot(data, schema, _SCHEMA_ENDIANNESS)
    return bool(endianness) and _U16.unpack_from(data, endianness)[0] != 0


def _metadata(data: memoryview, at: int) -> tuple[int, int]:
    """Begin and end of the flatbuffer of the message that begins at `at`."""
    if len(data) - at < _PREFIX.size:
        msg = "the Arrow stream ends where a message should begin"
        raise ValueError(msg)
    continuation, length = _PREFIX.unpack_from(data, at)
    begin = at + _PREFIX.size
    if continuation != CONTINUATION or not 0 < length <= len(data) - begin:
        msg = f"no Arrow message begins at byte {at} of the payload"
        raise ValueError(msg)
    return begin, begin + int(length)


def _header_type(data: memoryview, begin: int) -> int:
    position = _slot(data, _table(data, begin), _HEADER_TYPE)
    return data[position] if position else 0


def _table(data: memoryview, begin: int) -> int:
    return begin + int(_U32.unpack_from(data, begin)[0])


def _slot(data: memoryview, table: int, slot: int) -> int:
    """Position of a table's field; 0 if it has none."""
    vtable = table - _I32.unpack_from(data, table)[0]
    if vtable < 0 or slot >= _U16.unpack_from(data, vtable)[0]:
        return 0
    offset: int = _U16.unpack_from(data, vtable + slot)[0]
    return table + offset if offset else 0
