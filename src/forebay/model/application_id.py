"""The canonical form of an application id.

Since SDK 0.36 an application id must also be valid as a catalog name: ASCII letters, digits, `_`,
`-`, space, `[`, `]` and `:`, at most 180 characters. Rerun rewrites every id that breaks this rule
(`re_log_types`, `ApplicationId`). Recordings of older SDKs, their blueprints and messages from a
current viewer therefore all refer to the rewritten id.
"""

from __future__ import annotations

import re
import struct
from typing import Final

_LENGTH_MAX: Final = 180
_HASH_DIGITS: Final = 4
_PLAIN: Final = re.compile(rf"[0-9A-Za-z_\- \[\]:]{{0,{_LENGTH_MAX}}}")
_OTHER: Final = re.compile(r"[^0-9A-Za-z_\- \[\]:]")


def canonical_application_id(text: str) -> str:
    """Return an application id in the form in which Rerun stores it.

    An id that follows the rule comes back unchanged (the same object). In any other id each
    forbidden character becomes a dash, the text is cut to 176 characters, and four hexadecimal
    digits of a hash are appended. The hash is of the original id, so different ids remain different
    after the rewrite.

    Args:
        text: The id in any form.
    """
    if _PLAIN.fullmatch(text):
        return text
    digest = xxh64(text.encode("utf-8", "surrogatepass")) & 0xFFFF
    prefix = _OTHER.sub("-", text[: _LENGTH_MAX - _HASH_DIGITS])
    return f"{prefix}{digest:0{_HASH_DIGITS}x}"


# --- xxHash's 64-bit checksum with seed 0 (github.com/Cyan4973/xxHash, doc/) ---

_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
_PRIME_1: Final = 11400714785074694791
_PRIME_2: Final = 14029467366897019727
_PRIME_3: Final = 1609587929392839161
_PRIME_4: Final = 9650029242287828579
_PRIME_5: Final = 2870177450012600261
_ROTATIONS: Final = (1, 7, 12, 18)


def xxh64(data: bytes) -> int:
    """Return the 64-bit xxHash of `data` with seed 0; takes about 10 µs for an application id.

    Source: `github.com/Cyan4973/xxHash`, `doc/xxhash_spec.md`.

    Args:
        data: Bytes of any length.
    """
    size = len(data)
    at = size & ~31
    if at:
        lanes = [(_PRIME_1 + _PRIME_2) & _MASK, _PRIME_2, 0, -_PRIME_1 & _MASK]
        for words in struct.iter_unpack("<4Q", data[:at]):
            lanes = [_round(lane, word) for lane, word in zip(lanes, words, strict=True)]
        total = sum(_rotated(lane, by) for lane, by in zip(lanes, _ROTATIONS, strict=True))
        for lane in lanes:
            total = ((total ^ _round(0, lane)) * _PRIME_1 + _PRIME_4) & _MASK
    else:
        total = _PRIME_5
    total = (total + size) & _MASK
    while at + 8 <= size:
        (word,) = struct.unpack_from("<Q", data, at)
        total = (_rotated(total ^ _round(0, word), 27) * _PRIME_1 + _PRIME_4) & _MASK
        at += 8
    if at + 4 <= size:
        (word,) = struct.unpack_from("<I", data, at)
        total = (_rotated(total ^ word * _PRIME_1 & _MASK, 23) * _PRIME_2 + _PRIME_3) & _MASK
        at += 4
    for byte in data[at:]:
        total = _rotated(total ^ byte * _PRIME_5 & _MASK, 11) * _PRIME_1 & _MASK
    total = (total ^ total >> 33) * _PRIME_2 & _MASK
    total = (total ^ total >> 29) * _PRIME_3 & _MASK
    return total ^ total >> 32


def _round(lane: int, word: int) -> int:
    return _rotated((lane + word * _PRIME_2) & _MASK, 31) * _PRIME_1 & _MASK


def _rotated(value: int, by: int) -> int:
    return (value << by | value >> (64 - by)) & _MASK
