"""LZ4 blocks: both decompressors and the reader of fronts, against a plain one by the book."""

from __future__ import annotations

import random

import pyarrow as pa

from forebay.codec.chunks.lz4 import Lz4Decompressor
from forebay.codec.chunks.peek import lz4_block_front
from forebay.errors import InvalidChunkError
from tests.fuzz.mutators import NUMBERS, change_bytes, one_of
from tests.fuzz.target import Target

_BOUND = Lz4Decompressor()
_SEALED = Lz4Decompressor(bound=None)
SIZE_MAX = 1 << 20


def run(data: bytes) -> str:
    """An input is the claimed size in three bytes, and the block."""
    size, block = int.from_bytes(data[:3], "little"), data[3:]
    if size > SIZE_MAX:
        return "too large"
    expected = by_the_book(block)
    right = expected if expected is not None and len(expected) == size and size else None
    bound, sealed = attempt(_BOUND, block, size), attempt(_SEALED, block, size)
    alike = together(_BOUND, block, size)
    assert alike == bound, "one by one and together differ"
    if right is not None:
        assert bound in (None, right), "other bytes than the format says (cramjam)"
        assert sealed in (None, right), "other bytes than the format says (pyarrow)"
    else:
        assert bound is None, "a block that the format forbids is taken (cramjam)"
        assert sealed is None, "a block that the format forbids is taken (pyarrow)"
    if bound is not None:
        assert sealed == bound, "taken by cramjam alone"
    elif sealed is not None:
        assert not ends_well(block), "taken by pyarrow alone"
    if right is not None and ends_well(block):
        assert bound == right, "a block that is sound is refused"
    if right is not None:
        assert lz4_block_front(block, size) == right
    front = front_of(block, min(size, 4096))
    if front is not None and expected is not None:
        assert expected[: len(front)] == front, "another front"
    return f"{bound is not None} {sealed is not None} {right is not None} {front is not None}"


def attempt(decompressor: Lz4Decompressor, block: bytes, size: int) -> bytes | None:
    try:
        return bytes(decompressor.decompress(block, size))
    except ValueError:
        return None


def together(decompressor: Lz4Decompressor, block: bytes, size: int) -> bytes | None:
    if not size or not block:
        return None
    try:
        whole = bytes(decompressor.decompress_alike([block, block], size))
    except ValueError:
        return None
    assert whole[:size] == whole[size:]
    return whole[:size]


def front_of(block: bytes, wanted: int) -> bytes | None:
    try:
        return lz4_block_front(block, wanted)
    except InvalidChunkError:
        return None


def by_the_book(block: bytes) -> bytes | None:
    """What a block holds (lz4_Block_format.md); `None` if it is none.

    The format forbids a match of offset 0; the LZ4 library makes zeros of it, and so do we. How
    blocks have to end is said for those who write them: the library takes some that end otherwise.
    """
    out = bytearray()
    at = 0
    try:
        while True:
            token = block[at]
            literals, at = run_of(block, at + 1, token >> 4)
            if at + literals > len(block):
                return None
            out += block[at : at + literals]
            at += literals
            if at == len(block):
                return bytes(out)
            offset = block[at] | block[at + 1] << 8
            matched, at = run_of(block, at + 2, token & 15)
            if offset > len(out) or len(out) + matched > SIZE_MAX + 4:
                return None
            matched += 4
            if not offset:
                out += bytes(matched)
                continue
            while matched > 0:
                piece = out[-offset:][:matched]
                out += piece
                matched -= len(piece)
    except IndexError:
        return None


def run_of(block: bytes, at: int, length: int) -> tuple[int, int]:
    if length < 15:
        return length, at
    while True:
        length += block[at]
        at += 1
        if block[at - 1] != 255:
            return length, at


def ends_well(block: bytes) -> bool:
    """Whether a block ends as those of a library do: literals after a match that began before."""
    sequences = sequences_of(block)
    if sequences is None:
        return False
    *matches, (last, _, _) = sequences
    return not matches or (len(last) >= 5 and matches[-1][2] + len(last) >= 12)


def sequences_of(block: bytes) -> list[tuple[bytes, int, int]] | None:
    """Literals, offset and length of the match of each sequence; the last has none (0, 0)."""
    found = []
    at = 0
    try:
        while True:
            token = block[at]
            literals, at = run_of(block, at + 1, token >> 4)
            text = block[at : at + literals]
            at += literals
            if at >= len(block):
                found.append((text, 0, 0))
                return found
            offset = block[at] | block[at + 1] << 8
            matched, at = run_of(block, at + 2, token & 15)
            found.append((text, offset, matched + 4))
    except IndexError:
        return None


def block_of(sequences: list[tuple[bytes, int, int]]) -> bytes:
    out = bytearray()
    for text, offset, matched in sequences:
        literals, rest = len(text), matched - 4
        token = min(literals, 15) << 4 | (min(max(rest, 0), 15) if offset or matched else 0)
        out.append(token)
        out += extended(literals) + text
        if offset or matched:
            out += (offset & 0xFFFF).to_bytes(2, "little") + extended(max(rest, 0))
    return bytes(out)


def extended(length: int) -> bytes:
    if length < 15:
        return b""
    length -= 15
    return b"\xff" * (length // 255) + bytes([length % 255])


def change_sequences(data: bytes, rng: random.Random) -> bytes:
    """Change a sequence and claim the size that the block then has, or nearly."""
    sequences = sequences_of(data[3:]) or [(b"literals", 0, 0)]
    at = rng.randrange(len(sequences))
    text, offset, matched = sequences[at]
    match rng.randrange(9):
        case 0:
            sequences.insert(at, (text, offset or 1, matched or 4))
        case 1:
            del sequences[at]
        case 2:
            offset = rng.choice((0, 1, 2, 3, 4, 7, 8, 16, 65535, offset + 1, max(offset - 1, 0)))
            sequences[at] = (text, offset, matched or 4)
        case 3:
            sequences[at] = (text, offset or 1, rng.choice((4, 5, 15, 18, 19, 20, 274, 275, 5000)))
        case 4:
            sequences[at] = (rng.randbytes(rng.choice(NUMBERS[:16])), offset, matched)
        case 5:
            sequences[-1] = (rng.randbytes(rng.randrange(16)), 0, 0)
        case 6:
            sequences.append((rng.randbytes(rng.randrange(14)), 0, 0))
        case _:
            sequences[at] = (text + rng.randbytes(1), offset, matched)
    if sequences and rng.random() < 0.5:  # only the last sequence has no match
        *others, last = sequences
        sequences = [*((t, o or 1, m or 4) for t, o, m in others), last]
    block = block_of(sequences)
    size = sum(len(t) + m for t, _, m in sequences) + rng.choice((0, 0, 0, 0, 0, 1, -1, 4, -4))
    return min(max(size, 0), (1 << 24) - 1).to_bytes(3, "little") + block


def change_size(data: bytes, rng: random.Random) -> bytes:
    """Claim the size that the block has."""
    held = by_the_book(data[3:])
    size = rng.choice(NUMBERS) if held is None else len(held)
    return min(size, SIZE_MAX).to_bytes(3, "little") + data[3:]


def seeds() -> list[bytes]:
    texts = (b"a", b"abcdefgh" * 9, bytes(300), bytes(range(256)) * 2, b"ab" * 40 + b"literals")
    blocks = [(len(t), pa.Codec("lz4_raw").compress(t, asbytes=True)) for t in texts]
    made = [(14, block_of([(b"a", 1, 8), (b"12345", 0, 0)])), (12, b"\xc0" + bytes(12))]
    return [size.to_bytes(3, "little") + block for size, block in (*blocks, *made)]


TARGET = Target(
    run,
    seeds,
    one_of((4, change_sequences), (1, change_size), (2, change_bytes)),
    bytes_max=1024,
    weight=400,
)
