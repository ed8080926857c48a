"""The 32-bit xxHash checksum of stream footers (github.com/Cyan4973/xxHash, doc/)."""

from __future__ import annotations

import struct
from typing import Final

_MASK: Final = 0xFFFFFFFF
_PRIME_1: Final = 2654435761
_PRIME_2: Final = 2246822519
_PRIME_3: Final = 3266489917
_PRIME_4: Final = 668265263
_PRIME_5: Final = 374761393


def xxh32(data: bytes, seed: int) -> int:
    """Return the 32-bit xxHash checksum of `data`.

    It takes about 0.1 s per MiB, which is sufficient because footers are small.

    Args:
        data: Bytes of any length.
        seed: The seed, unsigned 32-bit.
    """
    size = len(data)
    striped = size & ~15
    if striped:
        lanes = _lanes(data, striped, seed)
        total = sum(_rotated(lane, by) for lane, by in zip(lanes, (1, 7, 12, 18), strict=True))
    else:
        total = seed + _PRIME_5
    total = (total + size) & _MASK
    at = striped
    while at + 4 <= size:
        (word,) = struct.unpack_from("<I", data, at)
        total = _rotated((total + word * _PRIME_3) & _MASK, 17) * _PRIME_4 & _MASK
        at += 4
    for byte in data[at:]:
        total = _rotated((total + byte * _PRIME_5) & _MASK, 11) * _PRIME_1 & _MASK
    total = (total ^ total >> 15) * _PRIME_2 & _MASK
    total = (total ^ total >> 13) * _PRIME_3 & _MASK
    return total ^ total >> 16


def _lanes(data: bytes, end: int, seed: int) -> tuple[int, int, int, int]:
    a = (seed + _PRIME_1 + _PRIME_2) & _MASK
    b = (seed + _PRIME_2) & _MASK
    c = seed
    d = (seed - _PRIME_1) & _MASK
    for word_a, word_b, word_c, word_d in struct.iter_unpack("<4I", memoryview(data)[:end]):
        # Inlined: a function call per lane would double the time.
        a = (a + word_a * _PRIME_2) & _MASK
        a = ((a << 13 | a >> 19) & _MASK) * _PRIME_1 & _MASK
        b = (b + word_b * _PRIME_2) & _MASK
        b = ((b << 13 | b >> 19) & _MASK) * _PRIME_1 & _MASK
        c = (c + word_c * _PRIME_2) & _MASK
        c = ((c << 13 | c >> 19) & _MASK) * _PRIME_1 & _MASK
        d = (d + word_d * _PRIME_2) & _MASK
        d = ((d << 13 | d >> 19) & _MASK) * _PRIME_1 & _MASK
    return a, b, c, d


def _rotated(value: int, by: int) -> int:
    return (value << by | value >> (32 - by)) & _MASK
