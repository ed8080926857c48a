"""RRF2, the format of RRD streams: its headers, and the variants that Forebay reads.

```
stream  = header message* [END [payload]] [stream footer]        streams may follow one another
header  = "RRF2" version[4] compression serializer 0 0
message = kind:u64 length:u64 payload                            little-endian
stream footer = (start:u64 length:u64 crc:u32)* "RRF2" "FOOT" count:u32
```
"""

from __future__ import annotations

import struct
from typing import Final

from forebay.errors import CorruptError, NotAnRrdError, UnsupportedRrdError
from forebay.limits import MESSAGE_SIZE_BYTES_MAX, SCAN_MSGS_MAX

MAGIC: Final = b"RRF2"
FOOT: Final = b"FOOT"
OLD_MAGICS: Final = (b"RRF0", b"RRF1", b"RRIO")
STREAM_HEADER: Final = struct.Struct("<4s4sBBH")
MESSAGE_HEADER: Final = struct.Struct("<QQ")
STREAM_TRAILER: Final = struct.Struct("<4s4sI")
FOOTER_ENTRY_SIZE: Final = 20
SERIALIZER_MSGPACK: Final = 1
SERIALIZER_PROTOBUF: Final = 2
COMPRESSIONS: Final = (0, 1)

END: Final = 0
SET_STORE_INFO: Final = 1
ARROW_MSG: Final = 2
BLUEPRINT_ACTIVATION_COMMAND: Final = 3

_MIGRATE: Final = "convert it with `rerun rrd migrate FILE` of rerun-sdk 0.23, the last to read it"


def check_stream_header(item: memoryview, at: int) -> bytes:
    """Validate the header of a stream, and return its four version bytes.

    Args:
        item: The header.
        at: Its position in the file, in bytes.

    Raises:
        NotAnRrdError: The file is not a Rerun recording.
        UnsupportedRrdError: The stream has a form that another reader may support.
        CorruptError: There is no stream header at this position.
    """
    magic, version, compression, serializer, reserved = STREAM_HEADER.unpack(item)
    if magic in OLD_MAGICS:
        msg = f"a recording of an old format ({magic.decode()}); {_MIGRATE}"
        raise UnsupportedRrdError(msg, byte_offset=at)
    if magic != MAGIC:
        if at == 0:
            msg = f"this is not a Rerun recording: it begins with {bytes(item)!r}"
            raise NotAnRrdError(msg, byte_offset=0)
        msg = f"neither a message nor a stream begins at byte {at}"
        raise CorruptError(msg, byte_offset=at)
    if serializer == SERIALIZER_MSGPACK:
        msg = f"a recording serialized with MessagePack, as old versions did; {_MIGRATE}"
        raise UnsupportedRrdError(msg, byte_offset=at)
    if serializer != SERIALIZER_PROTOBUF or compression not in COMPRESSIONS or reserved:
        msg = (
            f"the stream at byte {at} asks for compression {compression}, "
            f"serializer {serializer} and options {reserved}, which Forebay does not know; "
            "its writer may be newer, or the header is damaged"
        )
        raise UnsupportedRrdError(msg, byte_offset=at)
    found: bytes = version
    return found


def arrow_msg_extents(view: memoryview, at: int) -> tuple[list[int], list[int]]:
    """Return begins and ends of the next complete `ArrowMsg`s in a block, without their headers.

    Args:
        view: The block.
        at: The position of the first message header.

    Returns:
        Two lists of equal length; at most `limits.SCAN_MSGS_MAX` messages.
    """
    unpack = MESSAGE_HEADER.unpack_from
    size = len(view)
    last = size - MESSAGE_HEADER.size
    begins: list[int] = []
    ends: list[int] = []
    for _ in range(SCAN_MSGS_MAX):
        if at >= last:
            break
        kind, length = unpack(view, at)
        begin = at + MESSAGE_HEADER.size
        at = begin + length
        if kind != ARROW_MSG or at > size or not 0 < length <= MESSAGE_SIZE_BYTES_MAX:
            break
        begins.append(begin)
        ends.append(at)
    return begins, ends
