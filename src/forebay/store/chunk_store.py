"""`ChunkStore`: the chunks of one store, and every way to change them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from forebay.chunk import split
from forebay.chunk.damage import is_sound, open_fully
from forebay.errors import LimitError
from forebay.limits import GC_SHARE_MIN, PROTECT_LATEST, STORE_LIMITS
from forebay.model import (
    ChunkAddition,
    ChunkCompaction,
    ChunkDeletion,
    ChunkStoreEvent,
    DeletionReason,
    to_index_value,
)
from forebay.store import removal, statics
from forebay.store.compaction import append, merge, put, put_rows
from forebay.store.leaf import Leaf
from forebay.store.state import StoreState
from forebay.store.unknown import find_entity, find_timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeAlias

    from forebay.chunk import Chunk, PackedChunk
    from forebay.limits import StoreLimits
    from forebay.model import ChunkStoreDiff, EntityPath, StoreId, TimeLike
    from forebay.store.entity import EntityIndex
    from forebay.store.snapshot import StoreSnapshot

    Event: TypeAlias = ChunkStoreEvent[Chunk]


class ChunkStore:
    """The chunks of one store, and every way to change them.

    Changes and `snapshot`, `copy` and `byte_size` must not overlap: whoever owns the store locks
    it around them. Snapshots may be read from any thread, at any time, without a lock.

    Attributes:
        store_id: The recording or blueprint.
        generation: Counts the changes; every event names the one it belongs to.
    """

    def __init__(self, store_id: StoreId, limits: StoreLimits = STORE_LIMITS) -> None:
        """Make an empty store; `limits` say how much structure it may hold."""
        self.store_id = store_id
        self.generation = 0
        self._num_events = 0
        self._state = StoreState(limits)

    def insert(self, chunk: Chunk) -> list[Event]:
        """Add a chunk.

        Nothing happens (no event) if the chunk is empty, has no components, or is known by its
        id, also if its rows have long been merged into another chunk. Like Rerun, the store
        takes a component or timeline whose type differs from earlier data: of a timeline queries
        give the latest type, of a component one that holds all cells (`chunk.unify`). Large
        chunks are split and small ones merged within Rerun's limits, which is reported as
        `ChunkCompaction` after the addition.

        Args:
            chunk: Sorted by row id, as `Chunk.validated` makes it.

        Returns:
            What changed, in order.

        Raises:
            LimitError: It has an entity, timelines or components too many for the store.
            ValueError, pa.ArrowException, TypeError, …: It is static and cannot be opened
                (`forebay.chunk.damage.DAMAGE`); the store is as it was before. What is temporal
                and cannot be opened is put aside, now or when that is found out.
        """
        diffs: list[ChunkStoreDiff[Chunk]] = []
        return self._report(diffs) if self._insert(chunk, diffs) else []

    def insert_unheard(self, chunks: Iterable[Chunk]) -> None:
        """As `insert` for each, for when nobody wants to know what changed.

        Generations and the numbers of events go on as if the events had been told. If a chunk is
        refused, those before it are in.

        Args:
            chunks: Asked for the next one when the one before is in.
        """
        for chunk in chunks:
            diffs: list[ChunkStoreDiff[Chunk]] = []
            if self._insert(chunk, diffs, is_told=False):
                self._num_events += 1 + len(diffs)

    def insert_rows_unheard(self, chunks: Iterable[PackedChunk]) -> None:
        """As `insert_unheard`, for packed rows: entity by entity, which costs less.

        If it raises, it can be called again with the same rows: none is in twice.
        """
        known = self._state.known
        groups: dict[EntityPath, list[PackedChunk]] = {}
        try:
            for chunk in chunks:
                if known.add(chunk.id):
                    path = chunk.layout.entity_path
                    group = groups.get(path)
                    if group is None:
                        groups[path] = [chunk]
                    else:
                        group.append(chunk)
            while groups:
                path = next(iter(groups))
                self._insert_rows(path, groups.pop(path))
        except BaseException:
            for group in groups.values():
                for chunk in group:
                    known.discard(chunk.id)
            raise

    def _insert_rows(self, path: EntityPath, chunks: list[PackedChunk]) -> None:
        state = self._state
        try:
            entity = state.owned(path)
            for chunk in chunks:
                if chunk.layout is not entity.layout:
                    state.register(entity, chunk.layout)
        except LimitError:
            for chunk in chunks:
                state.known.discard(chunk.id)
            raise
        count = len(chunks)
        self.generation += count
        state.count(entity, count, count)
        state.ledger.add_all(chunks)
        diffs: list[ChunkStoreDiff[Chunk]] = []
        put_rows(entity, chunks, functools.partial(self._merged, entity, diffs))
        self._num_events += count + len(diffs)

    def _insert(
        self, chunk: Chunk, diffs: list[ChunkStoreDiff[Chunk]], *, is_told: bool = True
    ) -> bool:
        state = self._state
        rows = chunk.num_rows
        layout = chunk.layout
        if not rows or not layout.components or not state.known.add(chunk.id):
            return False
        parts = self._opened(chunk) if rows > 1 or not layout.indexes else ()
        try:
            entity = state.owned(layout.entity_path)
            if layout is not entity.layout:
                state.register(entity, layout)
        except LimitError:
            state.known.discard(chunk.id)
            raise
        self.generation += 1
        if is_told:
            diffs.append(ChunkAddition(chunk))
        if layout.indexes:
            if rows == 1:
                state.count(entity, 1, 1)
                state.ledger.add(chunk)
                if put(entity, _leaf(chunk)):
                    merge(entity, functools.partial(self._merged, entity, diffs))
            else:
                self._insert_temporal(entity, chunk, parts, diffs)
            return True
        state.ledger.add(chunk)
        state.count(entity, 1, rows)
        for gone in statics.insert(entity, chunk):
            state.known.discard(gone.id)
            state.ledger.remove(gone)
            diffs.append(ChunkDeletion(gone, DeletionReason.OVERWRITTEN))
            state.count(entity, -1, -gone.num_rows)
        return True

    def _insert_temporal(
        self,
        entity: EntityIndex,
        chunk: Chunk,
        parts: Sequence[Chunk],
        diffs: list[ChunkStoreDiff[Chunk]],
    ) -> None:
        report = functools.partial(self._merged, entity, diffs)
        rows = chunk.num_rows
        self._state.count(entity, len(parts), rows)
        if len(parts) == 1:
            self._state.ledger.add(chunk)
            append(entity, _leaf(chunk), report)
            return
        diffs.append(ChunkCompaction((chunk.id,), tuple(parts)))
        self._state.known.hold(chunk.id, len(parts))
        for part in parts:
            self._state.ledger.add(part)
            self._state.known.add(part.id)
            append(entity, Leaf(part, part.num_rows, part.id + chunk.id, chunk.id), report)

    def _opened(self, chunk: Chunk) -> Sequence[Chunk]:
        """The parts of a new chunk, which has to be opened to find them.

        A temporal one that is damaged stays whole. There is no putting aside what is static: if
        it is damaged, the store does not take it, and does not know it.
        """
        try:
            if not chunk.is_static:
                return split(chunk) if chunk.is_checked or is_sound(chunk) else (chunk,)
            open_fully(chunk, values=not chunk.is_checked)
            return (chunk,)
        except BaseException:
            self._state.known.discard(chunk.id)
            raise

    def _merged(
        self,
        entity: EntityIndex,
        diffs: list[ChunkStoreDiff[Chunk]],
        gone: list[Leaf],
        merged: Leaf,
    ) -> None:
        for leaf in gone:
            self._state.ledger.remove(leaf.chunk)
        self._state.ledger.add(merged.chunk)
        self._state.known.add(merged.chunk.id)
        self._state.count(entity, 1 - len(gone), 0)
        removed = tuple([leaf.chunk.id for leaf in gone])
        diffs.append(ChunkCompaction(removed, (merged.chunk,)))

    def _report(self, diffs: Iterable[ChunkStoreDiff[Chunk]]) -> list[Event]:
        events = []
        for diff in diffs:
            self._num_events += 1
            events.append(ChunkStoreEvent(self.store_id, self._num_events, self.generation, diff))
        return events

    def snapshot(self) -> StoreSnapshot:
        """All queries, frozen at this generation; nearly free."""
        return self._state.snapshot(self.store_id, self.generation)

    def copy(self, store_id: StoreId) -> ChunkStore:
        """A store of the same chunks under another id, independent from now on; data is shared."""
        copied = ChunkStore(store_id)
        copied.generation = self.generation
        copied._state = self._state.copy()
        return copied

    @property
    def is_empty(self) -> bool:
        """Whether there is not a single chunk."""
        return not self._state.num_chunks

    @property
    def num_chunks(self) -> int:
        """Chunks as they stand, after splitting and merging."""
        return self._state.num_chunks

    @property
    def num_rows(self) -> int:
        """Rows of all chunks."""
        return self._state.num_rows

    @property
    def byte_size(self) -> int:
        """Bytes of all buffers that the chunks refer to, each counted once."""
        return self._state.held[0]

    @property
    def held_bytes(self) -> int:
        """About what the store takes of the process's memory: buffers, objects, paths, names."""
        return self._state.held[1]

    def gc(
        self,
        bytes_to_free: int | None = None,
        *,
        held_bytes_max: int | None = None,
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
            held_bytes_max: Stop also once `held_bytes` is no more than that.
            protect_latest: Chunks to keep.
            should_stop: Asked after each chunk whether to leave it at that (time is up). It has
                its way once a small part of the garbage is gone (`limits.GC_SHARE_MIN`), for to
                find it all chunks were looked at.
        """
        candidates = removal.garbage(self._state.entities.values(), protect_latest)
        return self._collect(candidates, bytes_to_free, held_bytes_max, should_stop)

    def drop_entity(self, path: str) -> list[Event]:
        """Drop one entity, static data and all; what lies below it stays.

        Raises:
            UnknownEntityError: There is no such entity; the message names those there are.
        """
        entity = find_entity(self._state.entities, path, self.store_id)
        chunks = [*entity.static_chunks, *(leaf.chunk for leaf in entity.leaves())]
        self._state.drop(entity)
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
        line = find_timeline(self._state.timelines, timeline, self.store_id)
        first, last = to_index_value(start, line), to_index_value(end, line)
        diffs: list[ChunkStoreDiff[Chunk]] = []
        for path in list(self._state.entities):
            cuts = list(removal.cuts(self._state.entities[path], timeline, first, last))
            if cuts:
                entity = self._state.owned(path)
                for cut in cuts:
                    self._cut(entity, cut, diffs)
                self._state.take_out(
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
        self._state.ledger.remove(chunk)
        if cut.kept is None:
            self._state.known.discard_all(cut.leaf.sources)
            self._state.count(entity, -1, -cut.leaf.rows)
        else:
            self._state.ledger.add(cut.kept.chunk)
            self._state.known.add(cut.kept.chunk.id)
            self._state.count(entity, 0, cut.kept.rows - cut.leaf.rows)
            diffs.append(ChunkCompaction((chunk.id,), (cut.dropped, cut.kept.chunk)))
        diffs.append(ChunkDeletion(cut.dropped, DeletionReason.EXPLICIT_DROP))

    def _collect(
        self,
        candidates: Sequence[tuple[EntityIndex, Leaf]],
        bytes_to_free: int | None,
        held_bytes_max: int | None,
        should_stop: Callable[[], bool],
    ) -> list[Event]:
        size = self.byte_size
        freed = 0
        gone: dict[EntityPath, dict[bytes, Leaf]] = {}
        diffs: list[ChunkStoreDiff[Chunk]] = []
        num_least = len(candidates) // GC_SHARE_MIN
        for number, (seen, leaf) in enumerate(candidates):
            if bytes_to_free is not None and freed + size - self.byte_size >= bytes_to_free:
                break
            if held_bytes_max is not None and self.held_bytes - freed <= held_bytes_max:
                break
            entity = self._state.owned(seen.path)
            gone.setdefault(entity.path, {})[leaf.chunk.id] = leaf
            before = self.byte_size
            self._state.ledger.remove(leaf.chunk)
            if leaf.whole is not None:
                # The other parts still hold its buffers, but `take_out` lets go of them.
                freed += leaf.size_bytes - (before - self.byte_size)
            self._state.known.discard_all(leaf.sources)
            self._state.count(entity, -1, -leaf.rows)
            diffs.append(ChunkDeletion(leaf.chunk, DeletionReason.GARBAGE_COLLECTION))
            if number >= num_least and should_stop():
                break
        for path, leaves in gone.items():
            self._state.take_out(self._state.entities[path], leaves, {})
        if diffs:
            self.generation += 1
        return self._report(diffs)


def _leaf(chunk: Chunk) -> Leaf:
    """A new chunk in the index; looked at once if it was not when it was made."""
    leaf = Leaf(chunk, chunk.num_rows, chunk.id)
    if not chunk.is_checked:
        leaf.is_sound()
    return leaf
