"""`StoreState`: what a `ChunkStore` is made of, and how it is changed without anybody seeing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.store import removal
from forebay.store.entity import CLEAR, EntityIndex
from forebay.store.known_ids import KnownIds
from forebay.store.ledger import Ledger
from forebay.store.snapshot import StoreSnapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forebay.chunk import ChunkLayout
    from forebay.model import EntityPath, StoreId, TimeType
    from forebay.store.leaf import Leaf


class StoreState:
    """What a store is made of.

    It is copied on write: a snapshot takes the state as it is and starts a new epoch; the writer
    then clones whatever it is about to change that is of an older epoch, once. So a snapshot
    costs next to nothing, and a change after one costs a clone of one entity's index and of the
    dict that it is in.

    Attributes:
        epoch: Counts the snapshots; what was made in the current epoch nobody else has seen.
        entities: The index of each entity.
        entities_epoch: When the dict `entities` was made.
        timelines: The latest type of every timeline ever seen.
        clears: The entities that ever had a `Clear`.
        known: The ids of all chunks whose rows are in the store, whatever became of the chunks.
        ledger: The bytes of all chunks.
        num_chunks: Temporal and static.
        num_rows: Of all chunks.
    """

    __slots__ = (
        "_snapshot",
        "clears",
        "entities",
        "entities_epoch",
        "epoch",
        "known",
        "ledger",
        "num_chunks",
        "num_rows",
        "timelines",
    )

    def __init__(self) -> None:
        self.epoch = 0
        self.entities: dict[EntityPath, EntityIndex] = {}
        self.entities_epoch = 0
        self.timelines: Mapping[str, TimeType] = {}
        self.clears: frozenset[EntityPath] = frozenset()
        self.known = KnownIds()
        self.ledger = Ledger()
        self.num_chunks = 0
        self.num_rows = 0
        self._snapshot: StoreSnapshot | None = None

    def copy(self) -> StoreState:
        """The same chunks in a state of their own."""
        copied = StoreState()
        copied.entities = {path: entity.detached() for path, entity in self.entities.items()}
        copied.timelines = self.timelines
        copied.clears = self.clears
        copied.known = self.known.copy()
        copied.ledger = self.ledger.copy()
        copied.num_chunks = self.num_chunks
        copied.num_rows = self.num_rows
        return copied

    def snapshot(self, store_id: StoreId, generation: int) -> StoreSnapshot:
        """Freeze the state; the same snapshot again if nothing changed since."""
        snapshot = self._snapshot
        if snapshot is None:
            self.epoch += 1
            snapshot = self._snapshot = StoreSnapshot(
                store_id,
                generation,
                self.entities,
                self.timelines,
                self.clears,
                self.num_chunks,
                self.num_rows,
            )
        return snapshot

    def owned(self, path: EntityPath) -> EntityIndex:
        """The index of an entity, to be changed: no snapshot sees it."""
        epoch = self.epoch
        self._snapshot = None
        if self.entities_epoch != epoch:
            self.entities = self.entities.copy()
            self.entities_epoch = epoch
        entities = self.entities
        if path not in entities:
            entity = entities[path] = EntityIndex(path, epoch)
            return entity
        entity = entities[path]
        if entity.epoch != epoch:
            entity = entities[path] = entity.clone(epoch)
        else:
            entity.forget()
        return entity

    def register(self, entity: EntityIndex, layout: ChunkLayout) -> None:
        """Learn what timelines and components there are; nothing is ever unlearnt."""
        entity.layout = layout
        entity.columns = {**entity.columns, **layout.components}
        entity.timelines |= layout.indexes.keys()
        for timeline in layout.timelines:
            if self.timelines.get(timeline.name) is not timeline.type:
                self.timelines = {**self.timelines, timeline.name: timeline.type}
        if CLEAR in layout.components:
            self.clears |= {entity.path}

    def count(self, entity: EntityIndex, chunks: int, rows: int) -> None:
        """So many chunks and rows more, or less."""
        entity.num_chunks += chunks
        entity.num_rows += rows
        self.num_chunks += chunks
        self.num_rows += rows

    def take_out(
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
                    self.ledger.remove(leaf.chunk)
                    self.ledger.add(alone.chunk)
        removal.without(entity, gone.keys() | replaced.keys(), replaced)

    def drop(self, entity: EntityIndex) -> None:
        """Take out an entity with everything in it."""
        for chunk in entity.static_chunks:
            self.known.discard(chunk.id)
            self.ledger.remove(chunk)
        for leaf in entity.leaves():
            self.known.discard_all(leaf.sources)
            self.ledger.remove(leaf.chunk)
        self.num_chunks -= entity.num_chunks
        self.num_rows -= entity.num_rows
        self.owned(entity.path)
        del self.entities[entity.path]
        self.clears -= {entity.path}
