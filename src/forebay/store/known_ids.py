"""`KnownIds`: every chunk id that a store has taken in, in some 17 bytes each."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

ID_BYTES: Final = 16
BLOCK_BYTES: Final = 256 * ID_BYTES


class KnownIds:
    """A set of 16-byte ids that costs little more than their bytes.

    A Python set would need a hundred bytes an id, as much as the row it came with. Here, ids lie
    packed and in order, in blocks of some hundred. An id begins with the time at which it was made,
    so most new ones are greater than all before: that they are new is one comparison, and they go
    to the end.
    """

    __slots__ = ("_blocks", "_count", "_firsts", "_greatest", "_holders")

    def __init__(self) -> None:
        # No block is empty, but for one that is alone; `_firsts` are what they begin with.
        self._blocks: list[bytearray] = [bytearray()]
        self._firsts: list[bytes] = [b""]
        self._greatest = b""  # at least as great as any id here
        self._count = 0
        self._holders: dict[bytes, int] = {}  # of ids that are held more than once

    def __len__(self) -> int:
        return self._count

    def __contains__(self, one: bytes) -> bool:
        block = self._blocks[self._number(one)]
        at = _position(block, one)
        return block[at : at + ID_BYTES] == one

    def _number(self, one: bytes) -> int:
        """The block that an id is in, if it is here at all, or belongs into."""
        return max(0, bisect_right(self._firsts, one) - 1)

    def add(self, one: bytes) -> bool:
        """Add an id; whether it is new."""
        if one > self._greatest:
            block = self._blocks[-1]
            if not block:
                self._firsts[-1] = bytes(one)
            if len(block) < BLOCK_BYTES:
                block += one
            else:
                self._blocks.append(bytearray(one))
                self._firsts.append(bytes(one))
            self._greatest = one
        elif not self._insert(one):
            return False
        self._count += 1
        return True

    def _insert(self, one: bytes) -> bool:
        number = self._number(one)
        block = self._blocks[number]
        at = _position(block, one)
        if block[at : at + ID_BYTES] == one:
            return False
        block[at:at] = one
        if not at:
            self._firsts[number] = bytes(one)
        if len(block) > 2 * BLOCK_BYTES:
            self._blocks[number : number + 1] = [block[:BLOCK_BYTES], block[BLOCK_BYTES:]]
            self._firsts.insert(number + 1, bytes(block[BLOCK_BYTES : BLOCK_BYTES + ID_BYTES]))
        return True

    def hold(self, one: bytes, holders: int) -> None:
        """Let it take that many `discard`s until a known id is forgotten."""
        self._holders[one] = holders

    def discard(self, one: bytes) -> None:
        """Forget an id, if it is known and nothing else holds it."""
        if self._holders and (holders := self._holders.pop(one, 1)) > 1:
            self._holders[one] = holders - 1
            return
        number = self._number(one)
        block = self._blocks[number]
        at = _position(block, one)
        if block[at : at + ID_BYTES] != one:
            return
        del block[at : at + ID_BYTES]
        self._count -= 1
        if block:
            self._firsts[number] = bytes(block[:ID_BYTES])
        elif len(self._blocks) > 1:
            del self._blocks[number], self._firsts[number]

    def discard_all(self, packed: bytes) -> None:
        """Forget ids that lie one after the other."""
        for start in range(0, len(packed), ID_BYTES):
            self.discard(packed[start : start + ID_BYTES])

    def copy(self) -> KnownIds:
        """An independent set of the same ids."""
        copied = KnownIds()
        copied._blocks = [block.copy() for block in self._blocks]
        copied._firsts = self._firsts.copy()
        copied._greatest = self._greatest
        copied._count = self._count
        copied._holders = self._holders.copy()
        return copied


def _position(block: bytearray, one: bytes) -> int:
    """Where the first id begins that is not below `one`."""
    low, high = 0, len(block) // ID_BYTES
    while low < high:
        middle = (low + high) // 2
        if block[middle * ID_BYTES : middle * ID_BYTES + ID_BYTES] < one:
            low = middle + 1
        else:
            high = middle
    return low * ID_BYTES
