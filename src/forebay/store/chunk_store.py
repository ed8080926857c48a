"""`ChunkStore`: the chunks of one store, and all operations that change them."""

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
from forebay.store import removal
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
    """The chunks of one store, and all operations that change them.

    Not thread-safe: the owner must hold a lock around changes and around `snapshot`, `copy` and
    `byte_size`. Snapshots are thread-safe and need no lock.

    Attributes:
        store_id: The recording or blueprint.
        generation: The number of changes so far; each event names the generation it belongs to.
    """

    def __init__(self, store_id: StoreId, limits: StoreLimits = STORE_LIMITS) -> None:
        """Make an empty store.

        Args:
            store_id: The recording or blueprint.
            limits: How many entities, timelines and components the store may hold.
        """
        self.store_id = store_id
        self.generation = 0
        self._num_events = 0
        self._state = StoreState(limits)

    def insert(self, chunk: Chunk) -> list[Event]:
        """Add a chunk.

        Nothing changes (no event) if the chunk is empty, has no components, or its id is known
        already, even if its rows were merged into another chunk since. As in Rerun, a component or
        timeline may have another type than in earlier data: queries use the latest type of a
        timeline, and for a component a type that represents all cells (`chunk.unify`). Large chunks
        are split and small ones merged within Rerun's limits; this is reported as `ChunkCompaction`
        after the addition.

        Args:
            chunk: Rows sorted by row id, as `Chunk.validated` makes them.

        Returns:
            The changes, in order.

        Raises:
            LimitError: The chunk has an entity, timelines or components beyond the limits of the
                store.
            ValueError, pa.ArrowException, TypeError, …: The chunk is static and cannot be opened
                (`forebay.chunk.damage.DAMAGE`); the store is unchanged. A temporal chunk that
                cannot be opened does not raise: it is put aside, now or when it is first read.
        """
        diffs: list[ChunkStoreDiff[Chunk]] = []
        return self._report(diffs) if self._insert(chunk, diffs) else []

    def insert_unheard(self, chunks: Iterable[Chunk]) -> None:
        """Insert chunks like `insert`, without making events.

        For callers without subscribers. Generations and event numbers advance as if the events had
        been made. If a chunk is rejected, the chunks before it remain inserted.

        Args:
            chunks: The next chunk is requested after the previous one is inserted.

        Raises:
            LimitError: As for `insert`.
        """
        for chunk in chunks:
            diffs: list[ChunkStoreDiff[Chunk]] = []
            if self._insert(chunk, diffs, is_told=False):
                self._num_events += 1 + len(diffs)

    def insert_rows_unheard(self, chunks: Iterable[PackedChunk]) -> None:
        """Insert packed rows like `insert_unheard`, grouped by entity, which costs less.

        If it raises, the caller may call it again with the same rows: no row is inserted twice.

        Args:
            chunks: Chunks of one row each.

        Raises:
            LimitError: As for `insert`.
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
        is_temporal = bool(layout.indexes)
        parts = self._opened(chunk, is_temporal) if rows > 1 or not is_temporal else ()
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
        if is_temporal:
            if rows == 1:
                state.count(entity, 1, 1)
                state.ledger.add(chunk)
                if put(entity, _leaf(chunk, 1)):
                    merge(entity, functools.partial(self._merged, entity, diffs))
            else:
                self._insert_temporal(entity, chunk, rows, parts, diffs)
            return True
        state.ledger.add(chunk)
        state.count(entity, 1, rows)
        for gone in entity.insert_static(chunk):
            state.known.discard(gone.id)
            state.ledger.remove(gone)
            diffs.append(ChunkDeletion(gone, DeletionReason.OVERWRITTEN))
            state.count(entity, -1, -gone.num_rows)
        return True

    def _insert_temporal(
        self,
        entity: EntityIndex,
        chunk: Chunk,
        rows: int,
        parts: Sequence[Chunk],
        diffs: list[ChunkStoreDiff[Chunk]],
    ) -> None:
        report = functools.partial(self._merged, entity, diffs)
        self._state.count(entity, len(parts), rows)
        if len(parts) == 1:
            self._state.ledger.add(chunk)
            append(entity, _leaf(chunk, rows), report)
            return
        diffs.append(ChunkCompaction((chunk.id,), tuple(parts)))
        self._state.known.hold(chunk.id, len(parts))
        for part in parts:
            self._state.ledger.add(part)
            self._state.known.add(part.id)
            append(entity, Leaf(part, part.num_rows, part.id + chunk.id, chunk.id), report)

    def _opened(self, chunk: Chunk, is_temporal: bool) -> Sequence[Chunk]:
        """Open a new chunk and return the parts into which it is split.

        A damaged temporal chunk is not split. A static chunk cannot be put aside: if it is damaged,
        the store rejects it and forgets its id.
        """
        try:
            if is_temporal:
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
        """Return an immutable view of this generation for queries; cheap, no data is copied."""
        return self._state.snapshot(self.store_id, self.generation)

    def copy(self, store_id: StoreId) -> ChunkStore:
        """Return an independent store with the same chunks under another id; buffers are shared.

        Args:
            store_id: The id of the copy.
        """
        copied = ChunkStore(store_id)
        copied.generation = self.generation
        copied._state = self._state.copy()
        return copied

    @property
    def is_empty(self) -> bool:
        """Whether the store has no chunks."""
        return not self._state.num_chunks

    @property
    def num_chunks(self) -> int:
        """The number of chunks after splitting and merging."""
        return self._state.num_chunks

    @property
    def num_rows(self) -> int:
        """The number of rows of all chunks."""
        return self._state.num_rows

    @property
    def byte_size(self) -> int:
        """The bytes of all buffers that the chunks refer to; each buffer is counted once."""
        return self._state.held[0]

    @property
    def held_bytes(self) -> int:
        """An estimate of the memory that the store uses: buffers, objects, paths and names."""
        return self._state.held[1]

    @property
    def held_bytes_max(self) -> int:
        """An upper bound of `held_bytes`; opens no chunk."""
        return self._state.ledger.held_bytes_max

    @property
    def is_counted(self) -> bool:
        """Whether `held_bytes_max` equals `held_bytes`."""
        return self._state.ledger.is_counted

    def gc(
        self,
        bytes_to_free: int | None = None,
        *,
        held_bytes_max: int | None = None,
        protect_latest: int = PROTECT_LATEST,
        should_stop: Callable[[], bool] = bool,
    ) -> list[Event]:
        """Collect garbage: drop temporal chunks, those with the oldest row ids first.

        Static data is kept. For each entity, timeline and component the `protect_latest` chunks
        with its latest cells are kept too, so a latest-at query after the end of the data returns
        the same as before.

        Args:
            bytes_to_free: Stop when that many bytes are free; `None` drops every chunk that is not
                protected. A buffer that another chunk of the store refers to does not count as
                free.
            held_bytes_max: Also stop when `held_bytes` is at most this.
            protect_latest: The number of chunks to keep per entity, timeline and component.
            should_stop: Called after each chunk; true stops the collection, for example because its
                time is up. It takes effect only after a small share of the garbage is dropped
                (`limits.GC_SHARE_MIN`), because finding the garbage examines all chunks.

        Returns:
            The deletions, in order.
        """
        candidates = removal.garbage(self._state.entities.values(), protect_latest)
        return self._collect(candidates, bytes_to_free, held_bytes_max, should_stop)

    def drop_entity(self, path: str) -> list[Event]:
        """Drop one entity with its static data; its descendants are kept.

        Args:
            path: The entity's path in any form.

        Raises:
            UnknownEntityError: There is no such entity; the message lists known ones.
        """
        entity = find_entity(self._state.entities, path, self.store_id)
        chunks = [*entity.static_chunks, *(leaf.chunk for leaf in entity.leaves())]
        self._state.drop(entity)
        self.generation += 1
        return self._report(ChunkDeletion(one, DeletionReason.EXPLICIT_DROP) for one in chunks)

    def drop_time_range(self, timeline: str, start: TimeLike, end: TimeLike) -> list[Event]:
        """Drop all rows with a time in `[start, end]` on a timeline, from all timelines.

        Static data is kept. If only some rows of a chunk are dropped, it is first split in two,
        reported as a `ChunkCompaction`; its id remains known.

        Args:
            timeline: The name of the timeline.
            start: The first time to drop, inclusive.
            end: The last time to drop, inclusive.

        Raises:
            UnknownTimelineError: There is no such timeline; the message lists known ones.
            TimeTypeError: A bound is not a time of that timeline.
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
                # The other parts still refer to its buffers; `take_out` copies them out.
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


def _leaf(chunk: Chunk, rows: int) -> Leaf:
    """Return the leaf of a new chunk; checks the chunk now if that was not done before."""
    leaf = Leaf(chunk, rows, chunk.id)
    if not chunk.is_checked:
        leaf.is_sound()
    return leaf
