"""Changes of bytes: at random, or as a number where numbers stand."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

NUMBERS = (
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    9,
    15,
    16,
    31,
    32,
    63,
    64,
    100,
    127,
    128,
    255,
    256,
    1000,
    4096,
    65535,
)
LARGE = (1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 62), (1 << 63) - 1, 1 << 63)
"""Where sums and products leave their type."""


def number(rng: random.Random, near: int = 0) -> int:
    """A number that is worth trying: small, a border, or close to the one that stands there."""
    match rng.randrange(6):
        case 0 | 1:
            return near + rng.choice((-9, -8, -4, -2, -1, 1, 2, 4, 8, 9, 64))
        case 2 | 3:
            return rng.choice(NUMBERS)
        case 4:
            return -rng.choice(NUMBERS) - 1
        case _:
            return rng.choice(LARGE) - rng.randrange(3)


def packed(value: int, size: int) -> bytes:
    """The lowest bytes of a number, little-endian."""
    return (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")


def change_bytes(data: bytes, rng: random.Random) -> bytes:
    """One small change anywhere."""
    if not data:
        return bytes([rng.randrange(256)])
    out = bytearray(data)
    at = rng.randrange(len(out))
    match rng.randrange(9):
        case 0 | 1:
            out[at] ^= 1 << rng.randrange(8)
        case 2:
            out[at] = rng.randrange(256)
        case 3:
            size = rng.choice((1, 2, 4, 8))
            at -= at % size
            old = int.from_bytes(out[at : at + size], "little")
            out[at : at + size] = packed(number(rng, old), size)
        case 4:
            del out[at : at + rng.choice((1, 2, 4, 8, 16, 64))]
        case 5:
            out[at:at] = rng.randbytes(rng.choice((1, 2, 4, 8, 16)))
        case 6:
            size = rng.choice((1, 4, 8, 16, 64))
            other = rng.randrange(len(out))
            out[at : at + size] = data[other : other + size]
        case 7:
            size = rng.choice((4, 8, 16, 64, 256))
            other = rng.randrange(len(out))
            out[at:at] = data[other : other + size]
        case _:
            del out[at:]
    return bytes(out)


def one_of(*ways: tuple[int, Callable[[bytes, random.Random], bytes]]) -> Callable[..., bytes]:
    """A mutator that draws one of several, each as often as the number with it says."""
    weighted = [way for weight, way in ways for _ in range(weight)]

    def mutate(data: bytes, rng: random.Random) -> bytes:
        return rng.choice(weighted)(data, rng)

    return mutate


class Recipe:
    """Choices read from bytes: what a structured input is made from.

    Behind the end of the bytes every choice is the first one, so each input is a whole recipe,
    and cutting one off makes it simpler.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_over(self) -> bool:
        """Whether all bytes are read."""
        return self._at >= len(self._data)

    def byte(self) -> int:
        """A number below 256."""
        at = self._at
        self._at = at + 1
        return self._data[at] if at < len(self._data) else 0

    def below(self, bound: int) -> int:
        """A number below `bound`, which is at most 256."""
        return self.byte() % bound

    def pick(self, choices: Sequence[object]) -> object:
        """One of the choices."""
        return choices[self.byte() % len(choices)]

    def take(self, size: int) -> bytes:
        """The next bytes, fewer at the end."""
        at = self._at
        self._at = at + size
        return self._data[at : at + size]

    def rest(self) -> bytes:
        """All bytes that are left."""
        return self.take(len(self._data))


def parts_of(data: bytes) -> list[bytes]:
    """The parts of an input that holds several, each behind its length of two bytes."""
    parts = []
    at = 0
    while at + 2 <= len(data):
        size = int.from_bytes(data[at : at + 2], "little")
        parts.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    return parts


def joined(parts: Sequence[bytes]) -> bytes:
    """An input of several parts."""
    return b"".join(len(part[:65535]).to_bytes(2, "little") + part[:65535] for part in parts)


def change_parts(mutate: Callable[[bytes, random.Random], bytes]) -> Callable[..., bytes]:
    """A mutator of inputs of several parts: changes one, or their order and number."""

    def change(data: bytes, rng: random.Random) -> bytes:
        parts = parts_of(data)
        if not parts:
            return joined([mutate(data, rng)])
        at = rng.randrange(len(parts))
        match rng.randrange(12):
            case 0:
                parts.insert(rng.randrange(len(parts) + 1), parts[at])
            case 1:
                parts.append(parts.pop(at))
            case 2 if len(parts) > 1:
                del parts[at]
            case _:
                parts[at] = mutate(parts[at], rng)
        return joined(parts)

    return change
