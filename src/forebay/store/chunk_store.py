"""`ChunkStore`: the chunks of one store. (First form: simple and right; the index follows.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.chunk import Chunk
from forebay.model import ChunkAddition, ChunkId, ChunkStoreEvent, StoreId
from forebay.store.snapshot import StoreSnapshot

if TYPE_CHECKING:
    from forebay.model import ChunkStoreDiff, EntityPath


class ChunkStore:
    """The chunks of one store; whoever owns it locks it, except for the snapshots it gives."""

    def __init__(self, store_id: StoreId) -> None:
        self.store_id = store_id
        self.generation = 0
        self._events = 0
        self._known: set[ChunkId] = set()
        self._chunks: dict[EntityPath, list[Chunk]] = {}

    def insert(self, chunk: Chunk) -> list[ChunkStoreEvent[Chunk]]:
        """Add a chunk; nothing happens for an empty or a known one.

        Raises:
            StoreError: The chunk is refused.
        """
        if chunk.num_rows == 0 or not chunk.components or chunk.id in self._known:
            return []
        self._known.add(chunk.id)
        self._chunks.setdefault(chunk.entity_path, []).append(chunk)
        self.generation += 1
        return [self._event(ChunkAddition(chunk))]

    def _event(self, diff: ChunkStoreDiff[Chunk]) -> ChunkStoreEvent[Chunk]:
        self._events += 1
        return ChunkStoreEvent(self.store_id, self._events, self.generation, diff)

    def snapshot(self) -> StoreSnapshot:
        """All queries, frozen at this generation."""
        return StoreSnapshot(
            self.store_id, self.generation, {k: tuple(v) for k, v in self._chunks.items()}
        )

    def copy(self, store_id: StoreId) -> ChunkStore:
        """An independent store of the same chunks."""
        copied = ChunkStore(store_id)
        copied.generation = self.generation
        copied._known = set(self._known)
        copied._chunks = {k: list(v) for k, v in self._chunks.items()}
        return copied

    @property
    def is_empty(self) -> bool:
        """Whether there is no data."""
        return not self._chunks

    @property
    def num_chunks(self) -> int:
        """Chunks as they stand."""
        return sum(map(len, self._chunks.values()))

    @property
    def num_rows(self) -> int:
        """Rows of all chunks."""
        return sum(chunk.num_rows for chunks in self._chunks.values() for chunk in chunks)

    @property
    def byte_size(self) -> int:
        """Bytes of all chunks."""
        return sum(chunk.byte_size for chunks in self._chunks.values() for chunk in chunks)
