"""`StoreState`: the data of a `ChunkStore`, changed by copy-on-write."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from forebay.errors import LimitError
from forebay.limits import STORE_LIMITS
from forebay.store import removal
from forebay.store.entity import CLEAR, EntityIndex
from forebay.store.entity_map import EntityMap
from forebay.store.known_ids import ID_BYTES, KnownIds
from forebay.store.ledger import Ledger, components_cost_bytes, entity_cost_bytes
from forebay.store.snapshot import StoreSnapshot

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from forebay.chunk import Chunk, ChunkLayout
    from forebay.limits import StoreLimits
    from forebay.model import EntityPath, StoreId, TimeType
    from forebay.store.leaf import Leaf


class StoreState:
    """The data of a store.

    Copy-on-write by epochs: a snapshot shares the state and starts a new epoch. The writer then
    clones each object of an older epoch once, before it changes it. So a snapshot costs almost
    nothing, and a change after a snapshot clones the index of one entity and a small part of the
    map that contains it.

    A copy of the whole state works in the same way: it shares the indexes and clones what it
    changes. Data that only a writer needs (`known`, `ledger`) is recomputed at the first change;
    copies of blueprints, for example, are never changed.

    Attributes:
        epoch: The number of snapshots; no snapshot has seen objects made in the current epoch.
        entities: The index of each entity.
        entities_epoch: The epoch in which the map `entities` was made.
        timelines: The latest type of every timeline so far.
        num_cleared: The number of entities that ever had a `Clear`.
        known: The ids of all chunks whose rows are in the store, even if they were merged or split.
        ledger: The memory of all chunks.
        num_chunks: The number of chunks, temporal and static.
        num_rows: The number of rows of all chunks.
    """

    __slots__ = (
        "_first_epoch",
        "_held",
        "_limits",
        "_snapshot",
        "entities",
        "entities_epoch",
        "epoch",
        "known",
        "ledger",
        "num_chunks",
        "num_cleared",
        "num_rows",
        "timelines",
    )

    known: KnownIds
    ledger: Ledger

    def __init__(self, limits: StoreLimits = STORE_LIMITS) -> None:
        self.epoch = 0
        self.entities = EntityMap()
        self.entities_epoch = 0
        self.timelines: Mapping[str, TimeType] = {}
        self.num_cleared = 0
        self.known = KnownIds()
        self.ledger = Ledger()
        self.num_chunks = 0
        self.num_rows = 0
        self._limits = limits
        self._first_epoch = 0
        self._snapshot: StoreSnapshot | None = None
        self._held: tuple[int, int] | None = None

    def copy(self) -> StoreState:
        """Return an independent state with the same chunks.

        The cost does not depend on the number of chunks.
        """
        self.epoch += 1
        copied = StoreState(self._limits)
        del copied.known, copied.ledger  # computed on first access, see `__getattr__`
        copied.epoch = copied._first_epoch = self.epoch
        copied.entities = self.entities
        copied.entities_epoch = self.entities_epoch
        copied.timelines = self.timelines
        copied.num_cleared = self.num_cleared
        copied.num_chunks = self.num_chunks
        copied.num_rows = self.num_rows
        copied._held = self.held
        return copied

    def __getattr__(self, name: str) -> object:
        # Called for empty slots: those of a copy, until it is first changed.
        value: object
        if name == "known":
            self.known = value = self._known_anew()
        elif name == "ledger":
            self.ledger = value = self._ledger_anew()
        else:
            msg = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(msg)
        self._held = None
        return value

    def _known_anew(self) -> KnownIds:
        known = KnownIds()
        held: Counter[bytes] = Counter()
        for entity in self.entities.values():
            held.update(map(bytes, entity.statics.chunks))
            for leaf in entity.leaves():
                sources = leaf.sources
                held.update(sources[at : at + ID_BYTES] for at in range(0, len(sources), ID_BYTES))
        for one in sorted(held):
            known.add(one)
            if held[one] > 1:
                known.hold(one, held[one])
        return known

    def _ledger_anew(self) -> Ledger:
        ledger = Ledger()
        ledger.add_all(self._chunks())
        for entity in self.entities.values():
            ledger.index_bytes += entity_cost_bytes(entity.path)
            ledger.index_bytes += components_cost_bytes(entity.columns)
        return ledger

    def _chunks(self) -> Iterator[Chunk]:
        for entity in self.entities.values():
            yield from entity.statics.chunks.values()
            for leaf in entity.leaves():
                yield leaf.chunk

    @property
    def held(self) -> tuple[int, int]:
        """The bytes of all buffers, and the memory that the whole state uses, in bytes."""
        held = self._held
        return (self.ledger.byte_size, self.ledger.held_bytes) if held is None else held

    def snapshot(self, store_id: StoreId, generation: int) -> StoreSnapshot:
        """Return a snapshot of the state; the same object again if nothing changed since.

        Args:
            store_id: The store.
            generation: Its generation.
        """
        snapshot = self._snapshot
        if snapshot is None:
            self.epoch += 1
            snapshot = self._snapshot = StoreSnapshot(
                store_id,
                generation,
                self.entities,
                self.timelines,
                self.num_cleared > 0,
                self.num_chunks,
                self.num_rows,
            )
        return snapshot

    def owned(self, path: EntityPath) -> EntityIndex:
        """Return the index of an entity for a change: no snapshot refers to it.

        Args:
            path: The entity; it is created if it is unknown.

        Raises:
            LimitError: There would be too many entities.
        """
        epoch = self.epoch
        self._snapshot = None
        if self.entities_epoch != epoch:
            self.entities = self.entities.clone()
            self.entities_epoch = epoch
        entities = self.entities
        try:
            entity = entities.recent[path]
        except KeyError:
            return self._added(path)
        if entity.epoch != epoch:
            is_mine = entity.epoch >= self._first_epoch
            entity = entity.clone(epoch) if is_mine else entity.detached(epoch)
            entities.replace(path, entity)
        else:
            entity.forget()
        return entity

    def _added(self, path: EntityPath) -> EntityIndex:
        entities_max = self._limits.store_entities_max
        if len(self.entities) >= entities_max:
            raise LimitError.over("store_entities_max", entities_max, "one more entity")
        self.ledger.index_bytes += entity_cost_bytes(path)
        entity = EntityIndex(path, self.epoch)
        self.entities.add(path, entity)
        return entity

    def register(self, entity: EntityIndex, layout: ChunkLayout) -> None:
        """Add the timelines and components of a layout to the known ones; none is ever removed.

        The cost depends on the number of columns of the layout, not on the number known already.

        Args:
            entity: The index, owned by the writer.
            layout: The layout of a new chunk.

        Raises:
            LimitError: There would be too many timelines or components; nothing is added then.
        """
        columns = entity.columns
        new = [name for name in layout.components if name not in columns]
        lines = {
            line.name: line.type
            for line in layout.timelines
            if line.name not in self.timelines or self.timelines[line.name] is not line.type
        }
        try:
            self._check(len(columns) + len(new), self.timelines.keys() | lines.keys())
        except LimitError:
            if entity.layout is None:
                self.drop(entity)
            raise
        entity.layout = layout
        if not layout.indexes.keys() <= entity.timelines:
            entity.timelines |= layout.indexes.keys()
        if lines:
            self.timelines = {**self.timelines, **lines}
        if CLEAR in layout.components and CLEAR not in columns:
            self.num_cleared += 1
        if new:
            self.ledger.index_bytes += components_cost_bytes(new)
        if entity.columns_epoch != entity.epoch:
            columns = entity.columns = columns.copy()
            entity.columns_epoch = entity.epoch
        columns.update(layout.components)

    def _check(self, num_components: int, timelines: Collection[str]) -> None:
        limits = self._limits
        if num_components > limits.entity_components_max:
            what = f"an entity with {num_components:,} components"
            raise LimitError.over("entity_components_max", limits.entity_components_max, what)
        if len(timelines) > limits.store_timelines_max:
            what = f"a store with {len(timelines):,} timelines"
            raise LimitError.over("store_timelines_max", limits.store_timelines_max, what)

    def count(self, entity: EntityIndex, chunks: int, rows: int) -> None:
        """Change the numbers of chunks and rows of an entity and of the store.

        Args:
            entity: The index, owned by the writer.
            chunks: The difference in chunks, maybe negative.
            rows: The difference in rows, maybe negative.
        """
        entity.num_chunks += chunks
        entity.num_rows += rows
        self.num_chunks += chunks
        self.num_rows += rows

    def take_out(
        self, entity: EntityIndex, gone: Mapping[bytes, Leaf], kept: Mapping[bytes, Leaf]
    ) -> None:
        """Remove chunks from the index, and copy chunks that shared buffers with them.

        Without the copy, one remaining part of a split chunk would keep the memory of the whole
        chunk.

        Args:
            entity: The index, owned by the writer.
            gone: The chunks to remove, by id.
            kept: Replacements for some of them, by the id of the removed chunk.
        """
        wholes = {leaf.whole for leaf in gone.values()} - {None}
        replaced = dict(kept)
        if wholes:
            for leaf in entity.leaves():
                if leaf.whole in wholes and leaf.chunk.id not in gone:
                    alone = replaced[leaf.chunk.id] = leaf.on_its_own()
                    self.ledger.remove(leaf.chunk)
                    self.ledger.add(alone.chunk)
        removal.without(entity, gone.keys() | replaced.keys(), replaced)

    def drop(self, entity: EntityIndex) -> None:
        """Remove an entity with all its data.

        Args:
            entity: The index.
        """
        for chunk in entity.static_chunks:
            self.known.discard(chunk.id)
            self.ledger.remove(chunk)
        for leaf in entity.leaves():
            self.known.discard_all(leaf.sources)
            self.ledger.remove(leaf.chunk)
        self.num_chunks -= entity.num_chunks
        self.num_rows -= entity.num_rows
        self.ledger.index_bytes -= entity_cost_bytes(entity.path)
        self.ledger.index_bytes -= components_cost_bytes(entity.columns)
        if CLEAR in entity.columns:
            self.num_cleared -= 1
        self.owned(entity.path)
        self.entities = self.entities.removed(entity.path)
