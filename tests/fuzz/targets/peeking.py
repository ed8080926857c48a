"""Heads of chunks that are read without their data, against the whole chunks."""

from __future__ import annotations

import zlib

from forebay.chunk import Chunk
from forebay.codec import ChunkDecoder
from forebay.codec.chunks.peek import ChunkPeeker
from forebay.codec.chunks.peek_times import peek_time_ranges
from forebay.errors import InvalidChunkError
from forebay.model import ArrowMsg
from tests.fuzz import samples
from tests.fuzz.target import Target
from tests.fuzz.targets.payloads import CHANGES, outcome_of

PADDING = 300_000
"""Zeros behind a stream: more than is decompressed to read a head."""


def run(data: bytes) -> str:
    """Read the head of a payload as it is, compressed, and as that of a bulky chunk."""
    outcome = ""
    for msg in (
        samples.message(data, lz4=False),
        samples.message(data),
        samples.message(data + bytes(PADDING)) if zlib.crc32(data) % 16 == 0 else None,
    ):
        if msg is not None:
            outcome = compare(msg)
    return outcome


def compare(msg: ArrowMsg) -> str:
    """What is told of a chunk's head is true of the chunk, if it is one."""
    chunk = whole(msg)
    peeker = ChunkPeeker()
    try:
        head = peeker.peek(msg)
    except InvalidChunkError as error:
        assert chunk is None, f"a sound chunk has no head: {error}"
        return outcome_of(str(error))
    try:
        ranges = peek_time_ranges(peeker, msg)
    except InvalidChunkError as error:
        assert chunk is None, f"a sound chunk has no times: {error}"
        return outcome_of(str(error))
    if chunk is None:
        return "head of no chunk"
    assert head.num_rows == chunk.num_rows
    assert head.layout.is_same_as(chunk.layout)
    for name, (first, last) in ranges.items():
        times = chunk.times(name)
        assert (first, last) == (int(times.min()), int(times.max())), f"other times on {name}"
    return f"head, {len(ranges)} timelines"


def whole(msg: ArrowMsg) -> Chunk | None:
    try:
        return ChunkDecoder().decode(msg)
    except InvalidChunkError:
        return None


def seeds() -> list[bytes]:
    return list(samples.payloads())


TARGET = Target(run, seeds, CHANGES, bytes_max=16384, weight=10)
