"""What a store reports of every change to it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from forebay.model.ids import ChunkId, StoreId

ChunkT = TypeVar("ChunkT", covariant=True)
"""The chunk type; a parameter because `model` lies below `chunk`."""


class DeletionReason(enum.StrEnum):
    """Why data left a store."""

    OVERWRITTEN = "overwritten"
    """Static data that newer static data shadows entirely."""
    GARBAGE_COLLECTION = "garbage-collection"
    EXPLICIT_DROP = "explicit-drop"


@dataclass(frozen=True, slots=True)
class ChunkAddition(Generic[ChunkT]):
    """Data that the store never held before: the chunk as it was inserted, sorted by row id."""

    chunk: ChunkT


@dataclass(frozen=True, slots=True)
class ChunkDeletion(Generic[ChunkT]):
    """Data that left the store."""

    chunk: ChunkT
    reason: DeletionReason


@dataclass(frozen=True, slots=True)
class ChunkCompaction(Generic[ChunkT]):
    """The same rows in other chunks (split, or merged): no data came or went."""

    removed: tuple[ChunkId, ...]
    added: tuple[ChunkT, ...]


ChunkStoreDiff: TypeAlias = ChunkAddition[ChunkT] | ChunkDeletion[ChunkT] | ChunkCompaction[ChunkT]


@dataclass(frozen=True, slots=True)
class ChunkStoreEvent(Generic[ChunkT]):
    """One change of one store.

    Attributes:
        store_id: The store.
        event_id: Counts the store's events from 1, without gaps.
        generation: The store's generation once the change was in.
        diff: The change.
    """

    store_id: StoreId
    event_id: int
    generation: int
    diff: ChunkStoreDiff[ChunkT]
