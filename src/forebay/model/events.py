"""Events: how a store reports every change of its contents."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from forebay.model.ids import ChunkId, StoreId

ChunkT = TypeVar("ChunkT", covariant=True)
"""The chunk type. It is a parameter because `model` is the layer below `chunk`."""


class DeletionReason(enum.StrEnum):
    """The reason why data was removed from a store: overwritten, collected or dropped."""

    OVERWRITTEN = "overwritten"
    """Static data of which newer static data shadows every cell."""
    GARBAGE_COLLECTION = "garbage-collection"
    EXPLICIT_DROP = "explicit-drop"


@dataclass(frozen=True, slots=True)
class ChunkAddition(Generic[ChunkT]):
    """A chunk with new data was inserted.

    Attributes:
        chunk: The chunk as it was inserted, sorted by row id, before the store splits or merges it.
    """

    chunk: ChunkT


@dataclass(frozen=True, slots=True)
class ChunkDeletion(Generic[ChunkT]):
    """Data was removed from the store.

    Attributes:
        chunk: The removed rows.
        reason: Why they were removed.
    """

    chunk: ChunkT
    reason: DeletionReason


@dataclass(frozen=True, slots=True)
class ChunkCompaction(Generic[ChunkT]):
    """Rows moved to other chunks because chunks were split or merged; the data is unchanged.

    Attributes:
        removed: The ids of the chunks that held the rows before.
        added: The chunks that hold them now.
    """

    removed: tuple[ChunkId, ...]
    added: tuple[ChunkT, ...]


ChunkStoreDiff: TypeAlias = ChunkAddition[ChunkT] | ChunkDeletion[ChunkT] | ChunkCompaction[ChunkT]


@dataclass(frozen=True, slots=True)
class ChunkStoreEvent(Generic[ChunkT]):
    """One change of one store.

    Attributes:
        store_id: The store.
        event_id: The number of the event in this store, counted from 1 without gaps.
        generation: The generation of the store after the change.
        diff: The change.
    """

    store_id: StoreId
    event_id: int
    generation: int
    diff: ChunkStoreDiff[ChunkT]
