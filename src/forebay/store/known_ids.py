"""`KnownIds`: every chunk id that a store has taken in, in some 18 bytes each."""

from __future__ import annotations

from typing import Final

ID_BYTES: Final = 16
BUCKET_BYTES_MEAN: Final = 32 * ID_BYTES


class KnownIds:
    """A set of 16-byte ids that costs little more than their bytes.

    A Python set would need a hundred bytes an id, as much as the row it came with. Here, ids lie
    packed in buckets; linear hashing splits one bucket at a time, so that there is never a
    pause. A bucket is an immutable `bytes`, so that copies share it.
    """

    __slots__ = ("_buckets", "_count", "_half", "_holders", "_split")

    def __init__(self) -> None:
        self._buckets: list[bytes] = [b""]
        self._count = 0
        self._half = 1  # buckets before the current round of splitting: a power of two
        self._split = 0  # the next bucket to split
        self._holders: dict[bytes, int] = {}  # of ids that are held more than once

    def __len__(self) -> int:
        return self._count

    def _bucket(self, one: bytes) -> int:
        # `hash` of a subclass of bytes is that of bytes, and kept by the object.
        key = hash(one)
        bucket = key & (self._half - 1)
        return bucket if bucket >= self._split else key & (2 * self._half - 1)

    def __contains__(self, one: bytes) -> bool:
        return _find(self._buckets[self._bucket(one)], one) >= 0

    def add(self, one: bytes) -> bool:
        """Add an id; whether it is new."""
        key = hash(one)  # as in `_bucket`; written out, for every chunk comes by
        bucket = key & (self._half - 1)
        if bucket < self._split:
            bucket = key & (2 * self._half - 1)
        there = self._buckets[bucket]
        if one in there and _find(there, one) >= 0:
            return False
        self._buckets[bucket] = there + one
        self._count += 1
        if self._count * ID_BYTES > len(self._buckets) * BUCKET_BYTES_MEAN:
            self._split_one()
        return True

    def hold(self, one: bytes, holders: int) -> None:
        """Let it take that many `discard`s until a known id is forgotten."""
        self._holders[one] = holders

    def discard(self, one: bytes) -> None:
        """Forget an id, if it is known and nothing else holds it."""
        if self._holders and (holders := self._holders.pop(one, 1)) > 1:
            self._holders[one] = holders - 1
            return
        bucket = self._bucket(one)
        there = self._buckets[bucket]
        at = _find(there, one)
        if at >= 0:
            self._buckets[bucket] = there[:at] + there[at + ID_BYTES :]
            self._count -= 1

    def discard_all(self, packed: bytes) -> None:
        """Forget ids that lie one after the other."""
        for start in range(0, len(packed), ID_BYTES):
            self.discard(packed[start : start + ID_BYTES])

    def copy(self) -> KnownIds:
        """An independent set of the same ids."""
        copied = KnownIds()
        copied._buckets = self._buckets.copy()
        copied._count, copied._half, copied._split = self._count, self._half, self._split
        copied._holders = self._holders.copy()
        return copied

    def _split_one(self) -> None:
        packed = self._buckets[self._split]
        stay: list[bytes] = []
        move: list[bytes] = []
        for start in range(0, len(packed), ID_BYTES):
            one = packed[start : start + ID_BYTES]
            (move if hash(one) & self._half else stay).append(one)
        self._buckets[self._split] = b"".join(stay)
        self._buckets.append(b"".join(move))
        self._split += 1
        if self._split == self._half:
            self._half *= 2
            self._split = 0


def _find(packed: bytes, one: bytes) -> int:
    """Where an id lies; -1 if nowhere. A match across two ids is none."""
    at = packed.find(one)
    while at >= 0 and at % ID_BYTES:
        at = packed.find(one, at + 1)
    return at
