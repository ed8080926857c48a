"""`ChunkStore`: the chunks of one store, and every way to change them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from forebay.chunk import split
from forebay.limits import PROTECT_LATEST
from forebay.model import (
    ChunkAddition,
    ChunkCompaction,
    ChunkDeletion,
    ChunkStoreEvent,
    DeletionReason,
    to_index_value,
)
from forebay.store import removal, statics
from forebay.store.compaction import append, new_leaf
from forebay.store.entity import CLEAR, EntityIndex
from forebay.store.known_ids import KnownIds
from forebay.store.ledger import Ledger
from forebay.store.snapshot import StoreSnapshot
from forebay.store.unknown import find_entity, find_timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeAlias

    from forebay.chunk import Chunk, ChunkLayout
    from forebay.model import ChunkStoreDiff, EntityPath, StoreId, TimeLike, TimeType
    from forebay.store.leaf import Leaf

    Event: TypeAlias = ChunkStoreEvent[Chunk]


class ChunkStore:
    """The chunks of one store, and every way to change them.

    Changes and `snapshot`, `copy` and `byte_size` must not overlap: whoever owns the store locks
    it around them. Snapshots may be read from any thread, at any time, without a lock.

    State is copied on write: a snapshot takes the state as it is and starts a new epoch; the
    writer then clones whatever it is about to change that is of an older epoch, once. So a
    snapshot costs next to nothing, and an insert after one costs a clone of one entity's index
    and of the dict that it is in.

    Attributes:
        store_id: The recording or blueprint.
        generation: Counts the changes; every event names the one it belongs to.
    """

    def __init__(self, store_id: StoreId) -> None:
        self.store_id = store_id
        self.generation = 0
        self._num_events = 0
        self._epoch = 0
        self._entities: dict[EntityPath, EntityIndex] = {}
        self._entities_epoch = 0
        self._timelines: Mapping[str, TimeType] = {}
        self._clears: frozenset[EntityPath] = frozenset()
        self._known = KnownIds()
        self._ledger = Ledger()
        self._num_chunks = 0
        self._num_rows = 0
        self._snapshot: StoreSnapshot | None = None

    def insert(self, chunk: Chunk) -> list[Event]:
        """Add a chunk.

        Nothing happens (no event) if the chunk is empty, has no components, or is known by its
        id, also if its rows have long been merged into another chunk. Like Rerun, the store
        takes a component or timeline whose type differs from earlier data: the latest type is
        the one that queries give. Large chunks are split and small ones merged within Rerun's
        limits, which is reported as `ChunkCompaction` after the addition.

        Args:
            chunk: Sorted by row id, as `Chunk.validated` makes it.

        Returns:
            What changed, in order.
        """
        rows = chunk.num_rows
        layout = chunk.layout
        if not rows or not layout.components or not self._known.add(chunk.id):
            return []
        entity = self._owned(layout.entity_path)
        if layout is not entity.layout:
            self._register(entity, layout)
        self.generation += 1
        diffs: list[ChunkStoreDiff[Chunk]] = [ChunkAddition(chunk)]
        if layout.indexes:
            self._insert_temporal(entity, chunk, rows, diffs)
        else:
            self._ledger.add(chunk)
            self._count(entity, 1, rows)
            for gone in statics.insert(entity, chunk):
                self._known.discard(gone.id)
                self._ledger.remove(gone)
                diffs.append(ChunkDeletion(gone, DeletionReason.OVERWRITTEN))
                self._count(entity, -1, -gone.num_rows)
        return self._report(diffs)

    def _insert_temporal(
        self,
        entity: EntityIndex,
        chunk: Chunk,
        rows: int,
        diffs: list[ChunkStoreDiff[Chunk]],
    ) -> None:
        report = functools.partial(self._merged, entity, diffs)
        parts = [chunk] if rows == 1 else split(chunk)
        self._count(entity, len(parts), rows)
        if len(parts) == 1:
            self._ledger.add(chunk)
            append(entity, new_leaf(chunk, chunk.id), report)
            return
        diffs.append(ChunkCompaction((chunk.id,), tuple(parts)))
        self._known.hold(chunk.id, len(parts))
        for part in parts:
            self._ledger.add(part)
            self._known.add(part.id)
            append(entity, new_leaf(part, part.id + chunk.id, chunk.id), report)

    def _merged(
        self,
        entity: EntityIndex,
        diffs: list[ChunkStoreDiff[Chunk]],
        gone: list[Leaf],
        merged: Leaf,
    ) -> None:
        for leaf in gone:
            self._ledger.remove(leaf.chunk)
        self._ledger.add(merged.chunk)
        self._known.add(merged.chunk.id)
        self._count(entity, 1 - len(gone), 0)
        removed = tuple([leaf.chunk.id for leaf in gone])
        diffs.append(ChunkCompaction(removed, (merged.chunk,)))

    def _owned(self, path: EntityPath) -> EntityIndex:
        """The index of an entity, to be changed: no snapshot sees it."""
        epoch = self._epoch
        self._snapshot = None
        if self._entities_epoch != epoch:
            self._entities = self._entities.copy()
            self._entities_epoch = epoch
        entity = self._entities.get(path)
        if entity is None:
            entity = self._entities[path] = EntityIndex(path, epoch)
        elif entity.epoch != epoch:
            entity = self._entities[path] = entity.clone(epoch)
        else:
            entity.forget()
        return entity

    def _register(self, entity: EntityIndex, layout: ChunkLayout) -> None:
        """Learn what timelines and components there are; nothing is ever unlearnt."""
        entity.layout = layout
        entity.columns = {**entity.columns, **layout.components}
        entity.timelines |= layout.indexes.keys()
        for timeline in layout.timelines:
            if self._timelines.get(timeline.name) is not timeline.type:
                self._timelines = {**self._timelines, timeline.name: timeline.type}
        if CLEAR in layout.components:
            self._clears |= {entity.path}

    def _count(self, entity: EntityIndex, chunks: int, rows: int) -> None:
        entity.num_chunks += chunks
        entity.num_rows += rows
        self._num_chunks += chunks
        self._num_rows += rows

    def _report(self, diffs: Iterable[ChunkStoreDiff[Chunk]]) -> list[Event]:
        events = []
        for diff in diffs:
            self._num_events += 1
            events.append(ChunkStoreEvent(self.store_id, self._num_events, self.generation, diff))
        return events

    def snapshot(self) -> StoreSnapshot:
        """All queries, frozen at this generation; nearly free."""
        snapshot = self._snapshot
        if snapshot is None:
            self._epoch += 1
            snapshot = self._snapshot = StoreSnapshot(
                self.store_id,
                self.generation,
                self._entities,
                self._timelines,
                self._clears,
                self._num_chunks,
                self._num_rows,
            )
        return snapshot

    def copy(self, store_id: StoreId) -> ChunkStore:
        """A store of the same chunks under another id, independent from now on; data is shared."""
        copied = ChunkStore(store_id)
        copied.generation = self.generation
        copied._num_events = self._num_events
        copied._entities = {path: entity.detached() for path, entity in self._entities.items()}
        copied._timelines = self._timelines
        copied._clears = self._clears
        copied._known = self._known.copy()
        copied._ledger = self._ledger.copy()
        copied._num_chunks = self._num_chunks
        copied._num_rows = self._num_rows
        return copied

    @property
    def is_empty(self) -> bool:
        """Whether there is not a single chunk."""
        return not self._num_chunks

    @property
    def num_chunks(self) -> int:
        """Chunks as they stand, after splitting and merging."""
        return self._num_chunks

    @property
    def num_rows(self) -> int:
        """Rows of all chunks."""
        return self._num_rows

    @property
    def byte_size(self) -> int:
        """Bytes of all buffers that the chunks refer to, each counted once."""
        return self._ledger.byte_size

    def gc(
        self,
        bytes_to_free: int | None = None,
        *,
        protect_latest: int = PROTECT_LATEST,
        should_stop: Callable[[], bool] = bool,
    ) -> list[Event]:
        """Collect garbage: drop temporal chunks, those with the oldest row ids first.

        Static data stays, and so do for each entity, timeline and component the
        `protect_latest` chunks that hold its latest cells: a latest-at query after the end of
        the data gives the same answer as before.

        Args:
            bytes_to_free: Stop once that much is free; `None` drops all that is not protected.
                A buffer that another chunk of the store still refers to is not free.
            protect_latest: Chunks to keep.
            should_stop: Asked after each chunk whether to leave it at that (time is up).
        """
        candidates = removal.garbage(self._entities.values(), protect_latest)
        return self._collect(candidates, bytes_to_free, should_stop)

    def drop_entity(self, path: str) -> list[Event]:
        """Drop one entity, static data and all; what lies below it stays.

        Raises:
            UnknownEntityError: There is no such entity; the message names those there are.
        """
        entity = find_entity(self._entities, path, self.store_id)
        chunks = [*entity.static_chunks]
        for chunk in entity.static_chunks:
            self._known.discard(chunk.id)
        for leaf in entity.leaves():
            self._known.discard_all(leaf.sources)
            chunks.append(leaf.chunk)
        for chunk in chunks:
            self._ledger.remove(chunk)
        self._num_chunks -= entity.num_chunks
        self._num_rows -= entity.num_rows
        self._owned(entity.path)
        del self._entities[entity.path]
        self._clears -= {entity.path}
        self.generation += 1
        return self._report(ChunkDeletion(one, DeletionReason.EXPLICIT_DROP) for one in chunks)

    def drop_time_range(self, timeline: str, start: TimeLike, end: TimeLike) -> list[Event]:
        """Drop all rows with a time in `[start, end]` on a timeline, from all timelines.

        Static data stays. A chunk of which only some rows go is first cut in two, which is
        reported as a `ChunkCompaction`; its id stays known.

        Raises:
            UnknownTimelineError: There is no such timeline; the message names those there are.
            TimeTypeError: The bounds are no times of that timeline.
        """
        line = find_timeline(self._timelines, timeline, self.store_id)
        first, last = to_index_value(start, line), to_index_value(end, line)
        diffs: list[ChunkStoreDiff[Chunk]] = []
        for path in list(self._entities):
            cuts = list(removal.cuts(self._entities[path], timeline, first, last))
            if cuts:
                entity = self._owned(path)
                for cut in cuts:
                    self._cut(entity, cut, diffs)
                self._take_out(
                    entity,
                    {cut.leaf.chunk.id: cut.leaf for cut in cuts},
                    kept={cut.leaf.chunk.id: cut.kept for cut in cuts if cut.kept is not None},
                )
        if diffs:
            self.generation += 1
        return self._report(diffs)

    def _cut(
        self, entity: EntityIndex, cut: removal.Cut, diffs: list[ChunkStoreDiff[Chunk]]
    ) -> None:
        chunk = cut.leaf.chunk
        self._ledger.remove(chunk)
        if cut.kept is None:
            self._known.discard_all(cut.leaf.sources)
            self._count(entity, -1, -cut.leaf.rows)
        else:
            self._ledger.add(cut.kept.chunk)
            self._known.add(cut.kept.chunk.id)
            self._count(entity, 0, cut.kept.rows - cut.leaf.rows)
            diffs.append(ChunkCompaction((chunk.id,), (cut.dropped, cut.kept.chunk)))
        diffs.append(ChunkDeletion(cut.dropped, DeletionReason.EXPLICIT_DROP))

    def _collect(
        self,
        candidates: Iterable[tuple[EntityIndex, Leaf]],
        bytes_to_free: int | None,
        should_stop: Callable[[], bool],
    ) -> list[Event]:
        size = self.byte_size
        freed = 0
        gone: dict[EntityPath, dict[bytes, Leaf]] = {}
        diffs: list[ChunkStoreDiff[Chunk]] = []
        for seen, leaf in candidates:
            if bytes_to_free is not None and freed + size - self.byte_size >= bytes_to_free:
                break
            entity = self._owned(seen.path)
            gone.setdefault(entity.path, {})[leaf.chunk.id] = leaf
            before = self.byte_size
            self._ledger.remove(leaf.chunk)
            if leaf.whole is not None:
                # The other parts still hold its buffers, but `_take_out` lets go of them.
                freed += leaf.size_bytes - (before - self.byte_size)
            self._known.discard_all(leaf.sources)
            self._count(entity, -1, -leaf.rows)
            diffs.append(ChunkDeletion(leaf.chunk, DeletionReason.GARBAGE_COLLECTION))
            if should_stop():
                break
        for path, leaves in gone.items():
            self._take_out(self._entities[path], leaves, {})
        if diffs:
            self.generation += 1
        return self._report(diffs)

    def _take_out(
        self, entity: EntityIndex, gone: Mapping[bytes, Leaf], kept: Mapping[bytes, Leaf]
    ) -> None:
        """Take chunks out of the index, and give those that shared buffers with them their own.

        Without that, one part that stays of a split chunk would keep the memory of all of it.
        """
        wholes = {leaf.whole for leaf in gone.values()} - {None}
        replaced = dict(kept)
        if wholes:
            for leaf in entity.leaves():
                if leaf.whole in wholes and leaf.chunk.id not in gone:
                    alone = replaced[leaf.chunk.id] = leaf.on_its_own()
                    self._ledger.remove(leaf.chunk)
                    self._ledger.add(alone.chunk)
        removal.without(entity, gone.keys() | replaced.keys(), replaced)
