"""RRF2 streams: the same messages and the same damage however the bytes are cut."""

from __future__ import annotations

import functools
import random
import struct

from forebay.codec import StreamDecoder
from forebay.codec.rrd.rrf2 import FOOT, MESSAGE_HEADER
from forebay.errors import CodecError
from forebay.model import ArrowMsg, LogMsg
from tests.fuzz import samples
from tests.fuzz.mutators import Recipe, change_bytes, number, one_of
from tests.fuzz.protobuf import change_message
from tests.fuzz.target import Target

_HEADER = 12
_CUTS = 8
"""Bytes at the front of an input that say how it is cut."""


def run(data: bytes) -> str:
    """Read a stream whole, in pieces, cut short, and twice on end."""
    recipe, stream = Recipe(data[:_CUTS]), data[_CUTS:]
    whole, error = read([stream])
    pieces = cut(stream, recipe)
    assert (whole, error) == read(pieces), "another answer when it comes in pieces"
    end = recipe.byte() * len(stream) >> 8
    before, _ = read([stream[:end]])
    assert before == whole[: len(before)], "a prefix gives other messages"
    inside = [m for m in whole if isinstance(m, ArrowMsg) and end_of(stream, m) <= end]
    assert sum(isinstance(m, ArrowMsg) for m in before) >= len(inside), "whole messages are lost"
    if error is None and stream[4:8] != FOOT:  # a version that reads like a footer
        twice, again = read([stream, stream])
        assert again is None, f"one stream is sound, two are not: {again}"
        if all(m.store_id.application_id for m in whole):  # else the second may name more
            assert [strip(m) for m in twice] == [strip(m) for m in whole] * 2
    return "read" if error is None else f"{error[0]} {recipe.byte() % 2}"


def read(pieces: list[bytes]) -> tuple[list[LogMsg], tuple[str, str, int | None] | None]:
    """The messages, and the error in words that can be compared."""
    decoder = StreamDecoder()
    messages = [message for piece in pieces for message in decoder.feed(piece)]
    assert len(messages) == decoder.num_messages
    try:
        decoder.finish()
    except CodecError as error:
        assert str(error)
        size = sum(map(len, pieces))
        assert error.byte_offset is None or 0 <= error.byte_offset <= size
        return messages, (type(error).__name__, str(error), error.byte_offset)
    return messages, None


def cut(stream: bytes, recipe: Recipe) -> list[bytes]:
    pieces = []
    at = 0
    sizes = [recipe.byte() * recipe.byte() + 1 for _ in range(3)]
    while at < len(stream):
        size = sizes[len(pieces) % 3]
        pieces.append(stream[at : at + max(size, len(stream) // 400)])
        at += len(pieces[-1])
    return pieces


def end_of(stream: bytes, msg: ArrowMsg) -> int:
    at = msg.byte_offset or 0
    return at + MESSAGE_HEADER.size + struct.unpack_from("<Q", stream, at + 8)[0]


def strip(msg: LogMsg) -> LogMsg:
    """Without its place in the file."""
    return msg._replace(byte_offset=None) if isinstance(msg, ArrowMsg) else msg


def change_framing(data: bytes, rng: random.Random) -> bytes:
    """Change a header, or the content of a message (and its length), or the order."""
    cuts, stream = data[:_CUTS], data[_CUTS:]
    head, items = items_of(stream)
    if not items:
        return cuts + _whole()[: rng.randrange(20, 400)]
    at = rng.randrange(len(items))
    kind, content = items[at]
    match rng.randrange(10):
        case 0:
            items[at] = (number(rng, kind), content)
        case 1:
            items.insert(rng.randrange(len(items) + 1), items[at])
        case 2:
            del items[at]
        case 3:
            items[at] = (kind, b"")
        case 4:
            items.append((0, b""))
        case 5:
            joined = joined_items(head, items)
            lie = bytearray(joined)
            place = len(head) + sum(16 + len(c) for _, c in items[:at]) + 8
            lie[place : place + 8] = (number(rng, len(content)) & (1 << 64) - 1).to_bytes(
                8, "little"
            )
            return cuts + bytes(lie)
        case 6:
            return cuts + joined_items(head, items) + joined_items(head, items[:at])
        case _:
            items[at] = (kind, change_message(content, rng))
    return cuts + joined_items(head, items)


_whole = functools.cache(samples.file)


def items_of(stream: bytes) -> tuple[bytes, list[tuple[int, bytes]]]:
    head, at = stream[:_HEADER], _HEADER
    items = []
    while at + 16 <= len(stream):
        kind, size = struct.unpack_from("<QQ", stream, at)
        items.append((kind, stream[at + 16 : at + 16 + min(size, len(stream))]))
        at += 16 + size
    return head, items


def joined_items(head: bytes, items: list[tuple[int, bytes]]) -> bytes:
    parts = [head]
    for kind, content in items:
        parts.append(struct.pack("<QQ", kind & (1 << 64) - 1, len(content)) + content)
    return b"".join(parts)


def seeds() -> list[bytes]:
    cuts = bytes(range(1, 1 + _CUTS))
    small = [m for m in samples.messages() if not isinstance(m, ArrowMsg) or len(m.payload) < 700]
    many = [samples.message(samples.payloads()[0])] * 5
    return [
        cuts + samples.file(manifest=False, msgs=small),
        cuts + samples.file(msgs=small[:3]),
        cuts + samples.file(manifest=False, msgs=many),
        cuts + samples.file(manifest=False, msgs=[]),
        cuts + samples.file(manifest=False, msgs=small[:2]) + samples.file(msgs=small[2:4]),
    ]


TARGET = Target(
    run, seeds, one_of((3, change_framing), (1, change_bytes)), bytes_max=6144, weight=50
)
