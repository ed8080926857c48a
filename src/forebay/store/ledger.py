"""`Ledger`: the memory of a store's chunks: buffers, each counted once, and overhead."""

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
"""Added once per chunk that refers to a buffer, to the integer that also has the buffer's size."""


class Ledger:
    """Counts the buffers of a store's chunks by address; a buffer shared by chunks counts once.

    Reading all buffers of a chunk takes microseconds, and most small chunks are merged before the
    sizes are needed. So new chunks wait until the first request. A memory limit is checked after
    each commit, but the upper bound `held_bytes_max` is enough until it exceeds the limit: waiting
    chunks are examined once for their bound, and opened only when the exact number is needed.

    Not thread-safe.

    Attributes:
        index_bytes: The memory of the index without chunks: paths, names, objects.
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
        # Address -> size, plus one `_HOLDER` for each chunk that refers to it. A chunk has several
        # buffers, so one object less per buffer saves much memory.
        self._refs: dict[int, int] = {}
        self._waiting: dict[bytes, Chunk] = {}
        # Chunks that are not counted yet with the bound of each, and the sum of the bounds.
        self._bounded: dict[bytes, tuple[Chunk, int]] = {}
        self._bounds_bytes = 0

    def add(self, chunk: Chunk) -> None:
        """Record that a chunk was added."""
        self._waiting[chunk.id] = chunk

    def add_all(self, chunks: Iterable[Chunk]) -> None:
        """Record that chunks were added."""
        self._waiting.update([(chunk.id, chunk) for chunk in chunks])

    def remove(self, chunk: Chunk) -> None:
        """Record that a chunk, added before, was removed."""
        if self._waiting.pop(chunk.id, None) is not None:
            return
        if chunk.id in self._bounded:
            self._bounds_bytes -= self._bounded.pop(chunk.id)[1]
            return
        self._release(chunk)

    @property
    def byte_size(self) -> int:
        """The bytes of all buffers that the chunks refer to, each counted once.

        Reading it counts the waiting chunks, which may open them.
        """
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
                if address in refs:  # Not `get` (docs/free-threading.md).
                    refs[address] += _HOLDER
                else:
                    refs[address] = _HOLDER | size
                    self._bytes += size

    @property
    def held_bytes(self) -> int:
        """An estimate of the memory that the store uses: buffers, objects, paths and names."""
        return self.byte_size + self._cost_bytes + self.index_bytes

    @property
    def held_bytes_max(self) -> int:
        """An upper bound of `held_bytes` that opens no chunk; a repeated request costs nothing."""
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            for id_, chunk in waiting.items():
                bound = chunk.byte_size_max + cost_bytes(chunk)
                self._bounds_bytes += bound
                self._bounded[id_] = (chunk, bound)
        return self._bytes + self._cost_bytes + self._bounds_bytes + self.index_bytes

    @property
    def is_counted(self) -> bool:
        """Whether `held_bytes` needs to open no chunk, so that it equals `held_bytes_max`."""
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
    """Return the estimated memory of an entity in the index, without chunks and components.

    Args:
        path: The entity.
    """
    text = TEXT_BYTES_PER_CHAR * len(path)
    return ENTITY_COST_BYTES + PATH_PART_COST_BYTES * len(path.parts) + text


def components_cost_bytes(names: Collection[str]) -> int:
    """Return the estimated memory of components of an entity in the index.

    Args:
        names: The identifiers of the components.
    """
    return COMPONENT_COST_BYTES * len(names) + TEXT_BYTES_PER_CHAR * sum(map(len, names))


def cost_bytes(chunk: Chunk) -> int:
    """Return the estimated overhead of a chunk in bytes: its Python and Arrow objects.

    For chunks of a few rows the overhead is larger than the data. A memory limit without it would
    be exceeded several times over.

    Args:
        chunk: The chunk; it is not opened.
    """
    if type(chunk) is DamagedChunk:
        return cost_bytes(chunk.original)
    if type(chunk) is PackedChunk:
        return PACKED_CHUNK_COST_BYTES + chunk.layout.extra_bytes
    layout = chunk.layout
    num_columns = 1 + len(layout.indexes) + len(layout.components)
    return CHUNK_COST_BYTES + COLUMN_COST_BYTES * num_columns + layout.extra_bytes


def buffers(chunk: Chunk) -> Iterable[tuple[int, int]]:
    """Return address and size of every distinct buffer that a chunk refers to.

    A slice counts as the whole buffer, because it keeps the whole buffer in memory. A chunk that
    cannot be opened has no buffer that another chunk could share.

    Args:
        chunk: The chunk; it is opened, unless it is a packed row.
    """
    if type(chunk) is DamagedChunk:
        return buffers(chunk.original)
    if type(chunk) is PackedChunk:
        # A packed row counts as a buffer of its own, independent of Arrow arrays built from it. No
        # address is negative.
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
    """Return the bytes of all buffers that some chunks refer to, each counted once.

    Args:
        chunks: The chunks; they are opened.
    """
    found: dict[int, int] = {}
    for chunk in chunks:
        found.update(buffers(chunk))
    return sum(found.values())
