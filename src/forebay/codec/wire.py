"""Decoding and encoding of protobuf.

Almost all traffic is `ArrowMsg`, almost always in the one form that Rerun's SDKs write. This form
is read here field by field, so that a payload is a view of its buffer and not a copy. Every other
form (unknown or repeated fields, long varints, groups) is left to protobuf. So this code never
decides a difficult case, and cannot disagree with protobuf.
"""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError, EncodeError

from forebay.codec.messages import (
    activation_of,
    arrow_msg_of,
    parse,
    set_store_info_of,
    store_id_of,
    to_proto,
)
from forebay.codec.proto import common_pb2, log_msg_pb2, sdk_comms_pb2
from forebay.errors import CorruptError
from forebay.model import (
    ArrowMsg,
    BlueprintActivationCommand,
    ChunkId,
    LogMsg,
    Payload,
    SetStoreInfo,
    StoreId,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_HEAD_BYTES: Final = 192
"""More than the bytes before a payload: a store id of at most 129 bytes, and numbers."""
_TAIL_BYTES: Final = frozenset((0, 2, 20, 22))
"""The lengths of the fields after a payload: a chunk id (20 bytes), a static flag (2 bytes)."""
_TAIL: Final = struct.Struct("<3sQBQBB")
"""The longest of these tails."""
_LENGTH_BYTES_MAX: Final = 5
"""Protobuf refuses a length that takes more, even if they say nothing."""
_TUID: Final = struct.Struct(">QQ")
_tuid: Final[Callable[[bytes], ChunkId]] = functools.partial(bytes.__new__, ChunkId)
"""`ChunkId` of bytes that are known to be 16."""
_STATIC: Final = (b"\x38\x00", b"\x38\x01")


def decode_log_msg(data: Payload, byte_offset: int | None = None) -> LogMsg:
    """Decode one `rerun.log_msg.v1alpha1.LogMsg`.

    Args:
        data: The bytes of the message. The payload of an `ArrowMsg` may be a view of them, so they
            must not change afterwards.
        byte_offset: The position of the message in its file, if known.

    Raises:
        CorruptError: The bytes are not such a message, or it names no store.
    """
    content = _only_field(data, 0x12)
    if content is not None:
        return decode_arrow_msg(content, byte_offset)
    message = parse(log_msg_pb2.LogMsg, data, byte_offset)
    match message.WhichOneof("msg"):
        case "set_store_info":
            return set_store_info_of(message.set_store_info, byte_offset)
        case "arrow_msg":
            return arrow_msg_of(message.arrow_msg, byte_offset)
        case "blueprint_activation_command":
            return activation_of(message.blueprint_activation_command, byte_offset)
        case _:
            msg = "the message is of an unknown kind; its sender may be newer"
            raise CorruptError(msg, byte_offset=byte_offset)


def decode_write_request(data: Payload) -> LogMsg:
    """Decode one `WriteMessagesRequest` (or `ReadMessagesResponse`, which has the same encoding).

    Args:
        data: The bytes of the message; see `decode_log_msg`.

    Raises:
        CorruptError: The bytes are not such a message, or it names no store.
    """
    content = _only_field(data, 0x0A)
    if content is None:
        request = parse(sdk_comms_pb2.WriteMessagesRequest, data, None)
        content = request.log_msg.SerializeToString()
    return decode_log_msg(content)


def decode_set_store_info(data: Payload, byte_offset: int | None = None) -> SetStoreInfo:
    """Decode one `SetStoreInfo`.

    Args:
        data: The bytes of the message.
        byte_offset: The position of the message in its file, if known.

    Raises:
        CorruptError: As for `decode_log_msg`.
    """
    return set_store_info_of(parse(log_msg_pb2.SetStoreInfo, data, byte_offset), byte_offset)


def decode_activation(data: Payload, byte_offset: int | None = None) -> BlueprintActivationCommand:
    """Decode one `BlueprintActivationCommand`.

    Args:
        data: The bytes of the message.
        byte_offset: The position of the message in its file, if known.

    Raises:
        CorruptError: As for `decode_log_msg`.
    """
    parsed = parse(log_msg_pb2.BlueprintActivationCommand, data, byte_offset)
    return activation_of(parsed, byte_offset)


def decode_arrow_msg(data: Payload, byte_offset: int | None = None) -> ArrowMsg:
    """Decode one `ArrowMsg`; its payload may be a view of `data`.

    Args:
        data: The bytes of the message.
        byte_offset: The position of the message in its file, if known.

    Raises:
        CorruptError: As for `decode_log_msg`.
    """
    scanned = scan_arrow_msg(data, byte_offset)
    if scanned is not None:
        return scanned
    return arrow_msg_of(parse(log_msg_pb2.ArrowMsg, data, byte_offset), byte_offset)


def encode_log_msg(msg: LogMsg) -> bytes:
    """Encode a message as `rerun.log_msg.v1alpha1.LogMsg`.

    Args:
        msg: The message.

    Raises:
        CorruptError: A field does not fit its protobuf type.
    """
    tag = 0x0A if isinstance(msg, SetStoreInfo) else 0x12 if isinstance(msg, ArrowMsg) else 0x1A
    return _enclosed(tag, encode_content(msg))


def encode_read_response(msg: LogMsg) -> bytes:
    """Encode a message as `ReadMessagesResponse` (or `WriteMessagesRequest`, the same encoding).

    Args:
        msg: The message.

    Raises:
        CorruptError: A field does not fit its protobuf type.
    """
    return _enclosed(0x0A, encode_log_msg(msg))


encode_write_request = encode_read_response
"""The same encoding as `encode_read_response`."""


def encode_content(msg: LogMsg) -> bytes:
    """Encode the content of a `LogMsg`, which also follows a message header in a file.

    Args:
        msg: The message.

    Raises:
        CorruptError: A field does not fit its protobuf type.
    """
    try:
        return to_proto(msg).SerializeToString()
    except (ValueError, TypeError, EncodeError) as error:
        msg_ = f"a message of {msg.store_id} cannot be written: {error}"
        raise CorruptError(msg_, store_id=msg.store_id) from error


def _enclosed(tag: int, content: bytes) -> bytes:
    size = len(content)
    head = bytearray([tag])
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + content


# --- the usual form, decoded without protobuf ---


def _only_field(data: Payload, tag: int) -> Payload | None:
    """Return the content of `data` if it is exactly one length-delimited field with `tag`."""
    size = len(data)
    if size < 2 or data[0] != tag:
        return None
    try:
        length, at = _varint(data, 1)
    except IndexError:
        return None
    if length != size - at or at - 1 > _LENGTH_BYTES_MAX:
        return None
    return memoryview(data)[at:]


def _varint(data: Payload, at: int) -> tuple[int, int]:
    """Return a varint below 2^63 and the position after it; IndexError if longer or truncated."""
    value = data[at]
    at += 1
    if value < 0x80:
        return value, at
    value &= 0x7F
    for shift in range(7, 63, 7):
        byte = data[at]
        at += 1
        if byte < 0x80:
            return value | byte << shift, at
        value |= (byte & 0x7F) << shift
    raise IndexError


def scan_arrow_msg(data: Payload, byte_offset: int | None) -> ArrowMsg | None:
    """Decode an `ArrowMsg` in the form that SDKs write; `None` for protobuf in any other case.

    In this form the fields are in the order of their numbers, each at most once. `None` does not
    mean that the message is invalid.

    Args:
        data: The bytes of the message.
        byte_offset: The position of the message in its file, if known.
    """
    view = memoryview(data)
    head = view[:_HEAD_BYTES].tobytes()
    try:
        size = head[1]
        if head[0] != 0x0A or size > 0x7F:
            return None
        at = size + 2
        store_id = _cached_store_id(head[2:at])
        compression = uncompressed_size = encoding = 0
        if head[at] == 0x10:
            compression = head[at + 1]
            at += 2
        if head[at] == 0x18:
            uncompressed_size, at = _varint(head, at + 1)
        if head[at] == 0x20:
            encoding = head[at + 1]
            at += 2
        if head[at] != 0x2A or compression > 0x7F or encoding > 0x7F:
            return None
        begin = at + 1
        size, at = _varint(head, begin)
        if at - begin > _LENGTH_BYTES_MAX:
            return None
    except (IndexError, DecodeError, ValueError):  # ValueError: pure-Python protobuf, bad UTF-8
        return None
    tail = _read_tail(view, at + size)
    if tail is None:
        return None
    chunk_id, is_static = tail
    return ArrowMsg(
        store_id,
        view[at : at + size],
        compression,
        uncompressed_size,
        chunk_id,
        is_static,
        encoding,
        byte_offset,
    )


def _read_tail(view: memoryview, at: int) -> tuple[ChunkId | None, bool | None] | None:
    """Return the fields after a payload; `None` if protobuf has to decode the message."""
    size = len(view) - at
    if size == _TAIL.size:
        mark, time_ns, mark_2, inc, mark_3, is_static = _TAIL.unpack_from(view, at)
        if mark == b"\x32\x12\x09" and mark_2 == 0x11 and mark_3 == 0x38 and is_static < 2:
            return _tuid(_TUID.pack(time_ns, inc)), is_static == 1
        return None
    if size not in _TAIL_BYTES:
        return None
    tail = view[at:].tobytes()
    chunk_id: ChunkId | None = None
    if tail[:3] == b"\x32\x12\x09" and tail[11] == 0x11:
        chunk_id = ChunkId(tail[10:2:-1] + tail[19:11:-1])
        tail = tail[20:]
    if tail in _STATIC:
        return chunk_id, tail == _STATIC[1]
    return None if tail else (chunk_id, None)


@functools.lru_cache(maxsize=4096)  # keys below 128 bytes: see `scan_arrow_msg`
def _cached_store_id(encoded: bytes) -> StoreId:
    return store_id_of(common_pb2.StoreId.FromString(encoded))
