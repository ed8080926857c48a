"""`Ledger`: the bytes that chunks hold, each buffer counted once, and what they cost beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from forebay.chunk import DamagedChunk, PackedChunk
from forebay.chunk.damage import DAMAGE, is_of_chunk
from forebay.limits import (
    CHUNK_COST_BYTES,
    COLUMN_COST_BYTES,
    COMPONENT_COST_BYTES,
    ENTITY_COST_BYTES,
    PACKED_CHUNK_COST_BYTES,
    PATH_PART_COST_BYTES,
    TEXT_BYTES_PER_CHAR,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from forebay.chunk import Chunk
    from forebay.model import EntityPath

_HOLDER: Final = 1 << 48
"""One chunk that refers to a buffer, in the number that also has the buffer's size."""


class Ledger:
    """Counts the buffers of the chunks in a store, by address, however many chunks share them.

    Opening all buffers of a chunk costs microseconds, and most small chunks are merged away
    before anybody asks: so they wait until the first question. A memory limit asks after each
    commit, but an upper bound (`held_bytes_max`) is enough for it until that is too much: those
    chunks are looked at once for their bound, and opened when the exact number matters.

    Attributes:
        index_bytes: What the index takes, chunks aside: paths, names, an object for each.
    """

    __slots__ = (
        "_bounded",
        "_bounds_bytes",
        "_bytes",
        "_cost_bytes",
        "_refs",
        "_waiting",
        "index_bytes",
    )

    def __init__(self) -> None:
        self.index_bytes = 0
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
        """About what a store takes of the process's memory: buffers, objects, paths and names."""
        return self.byte_size + self._cost_bytes + self.index_bytes

    @property
    def held_bytes_max(self) -> int:
        """An upper bound of `held_bytes` that opens no chunk; asked again, it costs nothing."""
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            for id_, chunk in waiting.items():
                bound = chunk.byte_size_max + cost_bytes(chunk)
                self._bounds_bytes += bound
                self._bounded[id_] = (chunk, bound)
        return self._bytes + self._cost_bytes + self._bounds_bytes + self.index_bytes

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


def entity_cost_bytes(path: EntityPath) -> int:
    """What an entity takes in the index beyond its chunks and components, about."""
    text = TEXT_BYTES_PER_CHAR * len(path)
    return ENTITY_COST_BYTES + PATH_PART_COST_BYTES * len(path.parts) + text


def components_cost_bytes(names: Collection[str]) -> int:
    """What components of an entity take in the index, about."""
    return COMPONENT_COST_BYTES * len(names) + TEXT_BYTES_PER_CHAR * sum(map(len, names))


def cost_bytes(chunk: Chunk) -> int:
    """What a chunk costs beyond its buffers, about: the objects of Python and Arrow around them.

    For chunks of a few rows that is most of what they cost; a limit that left it out would be
    exceeded several times over.
    """
    if type(chunk) is DamagedChunk:
        return cost_bytes(chunk.original)
    if type(chunk) is PackedChunk:
        return PACKED_CHUNK_COST_BYTES + chunk.layout.extra_bytes
    layout = chunk.layout
    num_columns = 1 + len(layout.indexes) + len(layout.components)
    return CHUNK_COST_BYTES + COLUMN_COST_BYTES * num_columns + layout.extra_bytes


def buffers(chunk: Chunk) -> Iterable[tuple[int, int]]:
    """Address and size of every distinct buffer that a chunk refers to.

    A slice refers to the whole buffer, for it keeps all of it alive. A chunk that cannot be opened
    has none that anything else could refer to.
    """
    if type(chunk) is DamagedChunk:
        return buffers(chunk.original)
    if type(chunk) is PackedChunk:
        # It is its own buffer, whatever Arrow makes of it for those who ask. No address is
        # negative.
        return [(-id(chunk), chunk.byte_size)]
    try:
        columns = chunk.batch.columns
    except DAMAGE as error:
        if not is_of_chunk(error):
            raise
        return []
    found: dict[int, int] = {}
    for column in columns:
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
