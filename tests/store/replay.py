"""A store rebuilt from nothing but its events: what a subscriber can know."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from forebay.chunk import Chunk
from forebay.model import ChunkAddition, ChunkCompaction, ChunkDeletion, ChunkId, ChunkStoreEvent
from forebay.store import ChunkStore
from tests.store.model import Row, as_bag
from tests.store.rows import chunks_held, rows_of


class Replay:
    """Follows one store and knows at any time which chunks it must hold."""

    def __init__(self) -> None:
        self.chunks: dict[ChunkId, Chunk] = {}
        self.last_event_id = 0
        self.last_generation = 0

    def follow(self, events: Iterable[ChunkStoreEvent[Chunk]]) -> None:
        for event in events:
            assert event.event_id == self.last_event_id + 1, "event ids have a gap"
            assert event.generation >= self.last_generation, "generations go backwards"
            self.last_event_id = event.event_id
            self.last_generation = event.generation
            self._apply(event)

    def _apply(self, event: ChunkStoreEvent[Chunk]) -> None:
        match event.diff:
            case ChunkAddition(chunk):
                assert chunk.id not in self.chunks, "added twice"
                self.chunks[chunk.id] = chunk
            case ChunkDeletion(chunk, _reason):
                gone = self.chunks.pop(chunk.id)
                assert as_bag(rows_of(gone)) == as_bag(rows_of(chunk))
            case ChunkCompaction(removed, added):
                before = [row for id_ in removed for row in rows_of(self.chunks.pop(id_))]
                after = [row for chunk in added for row in rows_of(chunk)]
                assert as_bag(before) == as_bag(after), "a compaction changed rows"
                for chunk in added:
                    assert chunk.id not in self.chunks
                    self.chunks[chunk.id] = chunk
            case _ as unknown:
                assert_never(unknown)

    def rows(self) -> list[Row]:
        return [row for chunk in self.chunks.values() for row in rows_of(chunk)]

    def assert_matches(self, store: ChunkStore) -> None:
        """The store holds exactly what its events said."""
        snapshot = store.snapshot()
        held = chunks_held(snapshot)
        assert sorted(chunk.id for chunk in held) == sorted(self.chunks)
        assert as_bag(row for chunk in held for row in rows_of(chunk)) == as_bag(self.rows())
        assert snapshot.num_chunks == store.num_chunks == len(self.chunks)
        rows = sum(chunk.num_rows for chunk in self.chunks.values())
        assert snapshot.num_rows == store.num_rows == rows
