"""Reading of flatbuffers: the few primitives that Arrow's IPC messages need.

Positions are byte offsets into the buffer that is passed along. All of them come from the sender,
so each value is read through `struct` or by index, which refuse to leave the buffer; a position in
front of the buffer is refused explicitly. A field that is absent has position 0 and its default
value, which is 0 for all fields read here (`flatbuffers.dev`, internals).

All functions raise `struct.error` or `IndexError` if a value is not within the buffer.
"""

from __future__ import annotations

import struct
from typing import Final

_U16: Final = struct.Struct("<H")
_I32: Final = struct.Struct("<i")
_U32: Final = struct.Struct("<I")
_I64: Final = struct.Struct("<q")
_PAIR: Final = struct.Struct("<qq")
_LENGTH_BYTES: Final = _U32.size


def table(data: memoryview, position: int) -> int:
    """Return the position of the table to which the offset at `position` points.

    The root table is the one to which the offset at the begin of the flatbuffer points.
    """
    return position + int(_U32.unpack_from(data, position)[0])


def slot(data: memoryview, at: int, field: int) -> int:
    """Return the position of a table's field; 0 if the table does not have the field.

    Args:
        data: The buffer.
        at: The position of the table.
        field: The offset of the field in the vtable in bytes: 4 + 2 * (number of the field).
    """
    vtable = at - _I32.unpack_from(data, at)[0]
    if vtable < 0:
        msg = "a vtable is in front of its flatbuffer"
        raise IndexError(msg)
    if field >= _U16.unpack_from(data, vtable)[0]:
        return 0
    offset: int = _U16.unpack_from(data, vtable + field)[0]
    return at + offset if offset else 0


def u8(data: memoryview, position: int) -> int:
    """Return the unsigned 8-bit integer at a position, or 0 if the field is absent."""
    return data[position] if position else 0


def u16(data: memoryview, position: int) -> int:
    """Return the unsigned 16-bit integer at a position, or 0 if the field is absent."""
    return int(_U16.unpack_from(data, position)[0]) if position else 0


def i64(data: memoryview, position: int) -> int:
    """Return the signed 64-bit integer at a position, or 0 if the field is absent."""
    return int(_I64.unpack_from(data, position)[0]) if position else 0


def pairs(data: memoryview, position: int) -> list[tuple[int, int]]:
    """Return a vector of structs of two signed 64-bit integers; empty if the field is absent.

    Args:
        data: The buffer.
        position: The position of the offset that points to the vector.
    """
    if not position:
        return []
    begin = table(data, position)
    end = begin + _LENGTH_BYTES + _PAIR.size * int(_U32.unpack_from(data, begin)[0])
    if end > len(data):
        msg = "a vector is not within its flatbuffer"
        raise IndexError(msg)
    return list(_PAIR.iter_unpack(data[begin + _LENGTH_BYTES : end]))
