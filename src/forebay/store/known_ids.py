"""`KnownIds`: the set of all chunk ids that a store has accepted, about 17 bytes per id."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

ID_BYTES: Final = 16
BLOCK_BYTES: Final = 256 * ID_BYTES


class KnownIds:
    """A set of 16-byte ids that uses little more memory than the ids themselves.

    A Python set would use about 100 bytes per id, as much as the row that came with it. Here the
    ids are packed in sorted blocks of some hundred ids. An id begins with the time at which it was
    made, so most new ids are greater than all earlier ones: one comparison shows that they are new,
    and they are appended.

    Not thread-safe.
    """

    __slots__ = ("_blocks", "_count", "_firsts", "_greatest", "_holders")

    def __init__(self) -> None:
        # No block is empty, unless it is the only one. `_firsts` has the first id of each block.
        self._blocks: list[bytearray] = [bytearray()]
        self._firsts: list[bytes] = [b""]
        self._greatest = b""  # an upper bound of all ids in the set
        self._count = 0
        self._holders: dict[bytes, int] = {}  # of ids that are held more than once

    def __len__(self) -> int:
        return self._count

    def __contains__(self, one: bytes) -> bool:
        block = self._blocks[self._number(one)]
        at = _position(block, one)
        return block[at : at + ID_BYTES] == one

    def _number(self, one: bytes) -> int:
        """Return the number of the block that contains an id or would contain it."""
        return max(0, bisect_right(self._firsts, one) - 1)

    def add(self, one: bytes) -> bool:
        """Add an id; return whether it is new.

        Args:
            one: The id, 16 bytes.
        """
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
        """Require several `discard` calls before a known id is removed.

        Args:
            one: The id, 16 bytes.
            holders: The number of calls.
        """
        self._holders[one] = holders

    def discard(self, one: bytes) -> None:
        """Remove an id if it is known and has no other holder.

        Args:
            one: The id, 16 bytes.
        """
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
        """Discard several ids.

        Args:
            packed: The concatenated ids, 16 bytes each.
        """
        for start in range(0, len(packed), ID_BYTES):
            self.discard(packed[start : start + ID_BYTES])

    def copy(self) -> KnownIds:
        """Return an independent set of the same ids."""
        copied = KnownIds()
        copied._blocks = [block.copy() for block in self._blocks]
        copied._firsts = self._firsts.copy()
        copied._greatest = self._greatest
        copied._count = self._count
        copied._holders = self._holders.copy()
        return copied


def _position(block: bytearray, one: bytes) -> int:
    """Return the byte position of the first id in a block that is not less than `one`."""
    low, high = 0, len(block) // ID_BYTES
    while low < high:
        middle = (low + high) // 2
        if block[middle * ID_BYTES : middle * ID_BYTES + ID_BYTES] < one:
            low = middle + 1
        else:
            high = middle
    return low * ID_BYTES
