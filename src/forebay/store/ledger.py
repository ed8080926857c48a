"""`Ledger`: the bytes that chunks hold, each buffer counted once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.chunk import PackedChunk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forebay.chunk import Chunk


class Ledger:
    """Counts the buffers of the chunks in a store, by address, however many chunks share them.

    Opening all buffers of a chunk costs microseconds, and most small chunks are merged away
    before anybody asks: so they wait until the first question.
    """

    __slots__ = ("_bytes", "_refs", "_waiting")

    def __init__(self) -> None:
        self._bytes = 0
        self._refs: dict[int, list[int]] = {}  # address -> [chunks that refer to it, size]
        self._waiting: dict[bytes, Chunk] = {}

    def add(self, chunk: Chunk) -> None:
        """A chunk came in."""
        self._waiting[chunk.id] = chunk

    def remove(self, chunk: Chunk) -> None:
        """A chunk that was added went out."""
        if self._waiting.pop(chunk.id, None) is None:
            self._release(chunk)

    @property
    def byte_size(self) -> int:
        """Bytes of all buffers that the chunks refer to, each counted once."""
        if self._waiting:
            for chunk in self._waiting.values():
                for address, size in buffers(chunk):
                    if address in self._refs:
                        self._refs[address][0] += 1
                    else:
                        self._refs[address] = [1, size]
                        self._bytes += size
            self._waiting = {}
        return self._bytes

    def _release(self, chunk: Chunk) -> None:
        for address, _ in buffers(chunk):
            held = self._refs[address]
            held[0] -= 1
            if not held[0]:
                self._bytes -= held[1]
                del self._refs[address]

    def copy(self) -> Ledger:
        """An independent ledger of the same chunks."""
        copied = Ledger()
        copied._bytes = self._bytes
        copied._refs = {address: held.copy() for address, held in self._refs.items()}
        copied._waiting = self._waiting.copy()
        return copied


def buffers(chunk: Chunk) -> Iterable[tuple[int, int]]:
    """Address and size of every distinct buffer that a chunk refers to.

    A slice refers to the whole buffer, for it keeps all of it alive.
    """
    if type(chunk) is PackedChunk:
        # It is its own buffer, whatever Arrow makes of it for those who ask. No address is
        # negative.
        return [(-id(chunk), chunk.byte_size)]
    found: dict[int, int] = {}
    for column in chunk.batch.columns:
        for buffer in column.buffers():
            if buffer is not None and buffer.size:
                address = buffer.address
                found[address] = max(buffer.size, found.get(address, 0))
    return found.items()


def byte_size_of(chunks: Iterable[Chunk]) -> int:
    """Bytes of all buffers that some chunks refer to, each counted once."""
    found: dict[int, int] = {}
    for chunk in chunks:
        found.update(buffers(chunk))
    return sum(found.values())
