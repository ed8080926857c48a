"""Protobuf: what is cut by hand out of the wire, against the generated code."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError

from forebay.codec.messages import arrow_msg_of
from forebay.codec.proto import log_msg_pb2
from forebay.codec.rrd.rrf2 import ARROW_MSG
from forebay.codec.rrd.scan import ArrowMsgScanner
from forebay.codec.wire import (
    decode_activation,
    decode_arrow_msg,
    decode_log_msg,
    decode_set_store_info,
    decode_write_request,
    encode_content,
    encode_log_msg,
    scan_arrow_msg,
)
from forebay.errors import CorruptError
from forebay.model import ArrowMsg, LogMsg
from tests.fuzz import samples
from tests.fuzz.mutators import change_bytes, one_of
from tests.fuzz.protobuf import change_message, message_of, varint
from tests.fuzz.target import Target

TOGETHER = 66
"""Copies of a message in one block: enough that they are cut out together."""


def run(data: bytes) -> str:
    """Read the bytes as each kind of message, by each way there is."""
    arrow = by_hand(data)
    generated = by_protobuf(data)
    if arrow is None or generated is None:
        assert arrow is generated, f"by hand {arrow!r:.200}, by protobuf {generated!r:.200}"
    else:
        assert plain(arrow) == plain(generated)
        if data[:1] == b"\x0a" and len(data) % 8 == 0:
            together(data, arrow)
    found = [
        attempt(decode_log_msg, data),
        attempt(decode_write_request, data),
        attempt(decode_set_store_info, data),
        attempt(decode_activation, data),
    ]
    inner = b"\x12" + varint(len(data)) + data
    enclosed = attempt(decode_log_msg, inner)
    assert (enclosed is None) == (arrow is None)
    requested = attempt(decode_write_request, b"\x0a" + varint(len(inner)) + inner)
    assert (requested is None) == (arrow is None)
    for msg in (arrow, *found):
        if msg is not None:
            again(msg)
    scanned = scan(data)
    return f"{scanned is not None} {[type(m).__name__ for m in (arrow, *found)]}"


def by_hand(data: bytes) -> ArrowMsg | None:
    try:
        return decode_arrow_msg(data)
    except CorruptError as error:
        assert str(error)
        return None


def scan(data: bytes) -> ArrowMsg | None:
    return scan_arrow_msg(data, None)


def by_protobuf(data: bytes) -> ArrowMsg | None:
    message = log_msg_pb2.ArrowMsg()
    try:
        message.MergeFromString(data)
        return arrow_msg_of(message, None)
    except (DecodeError, CorruptError, ValueError):
        return None


def plain(msg: ArrowMsg) -> tuple[Any, ...]:
    return tuple(msg._replace(payload=bytes(msg.payload)))


def attempt(decode: Any, data: bytes) -> LogMsg | None:
    try:
        msg: LogMsg = decode(data)
    except CorruptError as error:
        assert str(error)
        return None
    return msg


def again(msg: LogMsg) -> None:
    """What was read can be written, and is then the same."""
    back = decode_log_msg(encode_log_msg(msg))
    if isinstance(msg, ArrowMsg):
        assert isinstance(back, ArrowMsg)
        assert plain(back) == plain(msg)
    else:
        assert back == msg
    encode_content(msg)


def together(data: bytes, arrow: ArrowMsg) -> None:
    """Many of them in one block are what each is by itself."""
    size = 16 + len(data)
    header = ARROW_MSG.to_bytes(8, "little") + len(data).to_bytes(8, "little")
    block = (header + data) * TOGETHER
    scanner = ArrowMsgScanner()
    first = scanner.scan(memoryview(block)[16:size], 0)
    begins = [16 + size * number for number in range(TOGETHER)]
    found = scanner.scan_together(
        block, begins, [begin + len(data) for begin in begins], [begin - 16 for begin in begins]
    )
    if first is None:
        assert not found
    for number, msg in enumerate(found):
        assert plain(msg._replace(byte_offset=None)) == plain(arrow)
        assert msg.byte_offset == size * number


def seeds() -> list[bytes]:
    small = [one for one in samples.contents() if len(one) < 1600]
    bare = message_of([(1, 2, message_of([(1, 0, b"\1"), (2, 2, b"r")])), (5, 2, b"payload")])
    named = message_of([(3, 2, message_of([(1, 2, b"app")])), (1, 0, b"\1"), (2, 2, b"rec")])
    usual = [
        (1, 2, named),
        (2, 0, b"\2"),
        (3, 0, b"\x80\x01"),
        (4, 0, b"\1"),
        (5, 2, bytes(40)),
        (6, 2, b"\x09" + bytes(8) + b"\x11" + bytes(8)),
        (7, 0, b"\1"),
    ]
    return [bare, message_of(usual), message_of(usual[:5]), *small]


TARGET = Target(
    run, seeds, one_of((4, change_message), (1, change_bytes)), bytes_max=2048, weight=400
)
