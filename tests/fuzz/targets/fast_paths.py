"""Fast decoding against full decoding: what a decoder learnt may not change an answer.

The first part of an input is a payload that a decoder is taught with, whatever it is; the others
are payloads that are then decoded by it and by one that knows nothing. Aimed: further payloads
are made from the first one, with other bytes where the pattern that was learnt allows them.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence

from forebay.chunk import Chunk
from forebay.codec import ChunkDecoder
from forebay.errors import InvalidChunkError
from forebay.model import ArrowMsg, ChunkId
from tests.fuzz import samples
from tests.fuzz.arrow_fields import (
    change_body,
    change_descriptors,
    change_stream,
    edit_descriptors,
    stream_of,
)
from tests.fuzz.comparing import same_batches
from tests.fuzz.mutators import change_bytes, change_parts, joined, one_of, parts_of
from tests.fuzz.target import Target
from tests.fuzz.targets.payloads import look_at

TAUGHT = 3
AIMED = 3


def run(data: bytes) -> str:
    """Teach a decoder and compare."""
    parts = parts_of(data)[:4]
    if not parts:
        return "nothing"
    taught, known = ChunkDecoder(), ChunkDecoder()
    rng = random.Random(zlib.crc32(data))
    lessons = [with_id(parts[0], number) for number in range(TAUGHT)]
    compare(taught, lessons[0])
    for lesson in lessons[1:]:
        attempt(taught, samples.message(lesson, lz4=False))
    for lesson in lessons:
        attempt(known, samples.message(lesson, lz4=False))
    probes = [with_id(part, 50 + number) for number, part in enumerate(parts[1:])]
    bodies = stream_of(parts[0]).bodies
    probes += [with_id(aimed(parts[0], bodies, rng), 100 + number) for number in range(AIMED)]
    outcomes = [compare(taught, probe) for probe in probes]
    together(known, [*lessons, *probes])
    return " ".join(sorted(set(outcomes)))


def compare(taught: ChunkDecoder, payload: bytes) -> str:
    """Decode by a decoder that was taught, and by one that was not."""
    msg = samples.message(payload, lz4=False)
    fast, full = attempt(taught, msg), attempt(ChunkDecoder(), msg)
    check(fast, full)
    return "refused" if full is None else type(fast).__name__


def together(taught: ChunkDecoder, payloads: list[bytes]) -> None:
    """Decode as a worker does: those that are alike first."""
    msgs = [samples.message(payload) for payload in payloads]
    for msg, fast in zip(msgs, taught.decode_alike(msgs), strict=True):
        if fast is not None:
            full = attempt(ChunkDecoder(), msg)
            assert full is not None, "taken together, refused alone"
            check(fast, full)


def check(fast: Chunk | None, full: Chunk | None) -> None:
    assert (fast is None) == (full is None), f"fast {fast!r}, full {full!r}"
    if fast is None or full is None:
        return
    assert fast.num_rows == full.num_rows
    assert fast.id == full.id
    assert fast.entity_path == full.entity_path
    if type(fast) is Chunk and type(full) is Chunk and fast.batch.equals(full.batch):
        return
    look_at(fast)
    assert same_batches(fast.batch, full.batch), "other cells on the fast path"


def attempt(decoder: ChunkDecoder, msg: ArrowMsg) -> Chunk | None:
    try:
        return decoder.decode(msg)
    except InvalidChunkError:
        return None


_ID = str(ChunkId.from_parts(1, 1)).encode()


def with_id(payload: bytes, number: int) -> bytes:
    """The payload of another chunk."""
    return payload.replace(_ID, str(ChunkId.from_parts(1, number + 1)).encode(), 1)


def aimed(payload: bytes, bodies: Sequence[tuple[int, int]], rng: random.Random) -> bytes:
    """Other bytes in one place of the body, where they are most likely numbers."""
    out = bytearray(payload)
    for begin, end in bodies:
        if end - begin >= 8:
            at = begin + rng.randrange((end - begin) // 8) * 8
            size = rng.choice((1, 4, 8))
            out[at : at + size] = rng.choice((rng.randbytes(size), b"\xff" * size, bytes(size)))
    return bytes(out)


def change_probe(data: bytes, rng: random.Random) -> bytes:
    """Make a probe out of the lesson, by changing where its buffers lie."""
    parts = parts_of(data)
    if not parts:
        return data
    changed = change_descriptors(parts[0], rng)
    return joined([*parts[:2], changed][-3:] if rng.random() < 0.5 else [changed, *parts[1:3]])


def seeds() -> list[bytes]:
    sound = samples.payloads()
    numbers = ["S:scalars", "P:positions", "P:bytes", "P:halves", "P:ids"]
    more = [
        samples.stream(samples.batch([name], rows=rows, lines=lines))
        for name in numbers
        for rows, lines in (([1], ["frame"]), ([1, 2], ["frame"]), ([3, 1, 2], ["frame", "when"]))
    ]
    return [joined([one]) for one in (*more, *sound[:8])]


TARGET = Target(
    run,
    seeds,
    one_of(
        (2, change_parts(change_descriptors)),
        (3, change_parts(edit_descriptors)),
        (2, change_parts(change_body)),
        (2, change_parts(change_stream)),
        (3, change_probe),
        (1, change_parts(change_bytes)),
    ),
    bytes_max=8192,
    weight=8,
)
