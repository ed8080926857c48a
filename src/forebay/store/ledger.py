"""`Ledger`: the bytes that chunks hold, each buffer counted once, and what they cost beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from forebay.chunk import PackedChunk
from forebay.limits import CHUNK_COST_BYTES, COLUMN_COST_BYTES, PACKED_CHUNK_COST_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forebay.chunk import Chunk

_HOLDER: Final = 1 << 48
"""One chunk that refers to a buffer, in the number that also has the buffer's size."""


class Ledger:
    """Counts the buffers of the chunks in a store, by address, however many chunks share them.

    Opening all buffers of a chunk costs microseconds, and most small chunks are merged away
    before anybody asks: so they wait until the first question. A memory limit asks after each
    commit, but an upper bound (`held_bytes_max`) is enough for it until that is too much: those
    chunks are looked at once for their bound, and opened when the exact number matters.
    """

    __slots__ = ("_bounded", "_bounds_bytes", "_bytes", "_cost_bytes", "_refs", "_waiting")

    def __init__(self) -> None:
        self._bytes = 0
        self._cost_bytes = 0
        # Address -> size, and a `_HOLDER` for each chunk that refers to it. There are several
        # buffers for each chunk, so an object less for each is worth it.
        self._refs: dict[int, int] = {}
        self._waiting: dict[bytes, Chunk] = {}
        # Chunks that are not counted yet, with the bound of each, and the sum of these.
        self._bounded: dict[bytes, tuple[Chunk, int]] = {}
        self._bounds_bytes = 0

    def add(self, chunk: Chunk) -> None:
        """A chunk came in."""
        self._waiting[chunk.id] = chunk

    def add_all(self, chunks: Iterable[Chunk]) -> None:
        """Chunks came in."""
        self._waiting.update([(chunk.id, chunk) for chunk in chunks])

    def remove(self, chunk: Chunk) -> None:
        """A chunk that was added went out."""
        if self._waiting.pop(chunk.id, None) is not None:
            return
        if chunk.id in self._bounded:
            self._bounds_bytes -= self._bounded.pop(chunk.id)[1]
            return
        self._release(chunk)

    @property
    def byte_size(self) -> int:
        """Bytes of all buffers that the chunks refer to, each counted once."""
        if self._bounded:
            bounded, self._bounded, self._bounds_bytes = self._bounded, {}, 0
            self._count([chunk for chunk, _ in bounded.values()])
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            self._count(waiting.values())
        return self._bytes

    def _count(self, chunks: Iterable[Chunk]) -> None:
        refs = self._refs
        for chunk in chunks:
            self._cost_bytes += cost_bytes(chunk)
            for address, size in buffers(chunk):
                if address in refs:  # Not `get`: see docs/free-threading.md.
                    refs[address] += _HOLDER
                else:
                    refs[address] = _HOLDER | size
                    self._bytes += size

    @property
    def held_bytes(self) -> int:
        """About what the chunks take of the process's memory: their buffers and their objects."""
        return self.byte_size + self._cost_bytes

    @property
    def held_bytes_max(self) -> int:
        """An upper bound of `held_bytes` that opens no chunk; asked again, it costs nothing."""
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            for id_, chunk in waiting.items():
                bound = chunk.byte_size_max + cost_bytes(chunk)
                self._bounds_bytes += bound
                self._bounded[id_] = (chunk, bound)
        return self._bytes + self._cost_bytes + self._bounds_bytes

    @property
    def is_counted(self) -> bool:
        """Whether `held_bytes` opens no chunk, so that it is what `held_bytes_max` says."""
        return not (self._waiting or self._bounded)

    def _release(self, chunk: Chunk) -> None:
        self._cost_bytes -= cost_bytes(chunk)
        refs = self._refs
        for address, _ in buffers(chunk):
            left = refs[address] - _HOLDER
            if left < _HOLDER:
                self._bytes -= left
                del refs[address]
            else:
                refs[address] = left

    def copy(self) -> Ledger:
        """An independent ledger of the same chunks."""
        copied = Ledger()
        copied._bytes = self._bytes
        copied._cost_bytes = self._cost_bytes
        copied._refs = self._refs.copy()
        copied._waiting = self._waiting.copy()
        copied._bounded = self._bounded.copy()
        copied._bounds_bytes = self._bounds_bytes
        return copied


def cost_bytes(chunk: Chunk) -> int:
    """What a chunk costs beyond its buffers, about: the objects of Python and Arrow around them.

    For chunks of a few rows that is most of what they cost; a limit that left it out would be
    exceeded several times over.
    """
    if type(chunk) is PackedChunk:
        return PACKED_CHUNK_COST_BYTES
    layout = chunk.layout
    num_columns = 1 + len(layout.indexes) + len(layout.components)
    return CHUNK_COST_BYTES + COLUMN_COST_BYTES * num_columns


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
