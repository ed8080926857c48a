"""Value types of Forebay: ids, entity paths, timelines, messages and store events."""

from forebay.model.application_id import canonical_application_id
from forebay.model.contents import ContentFilter, Contents
from forebay.model.events import (
    ChunkAddition,
    ChunkCompaction,
    ChunkDeletion,
    ChunkStoreDiff,
    ChunkStoreEvent,
    DeletionReason,
)
from forebay.model.ids import ChunkId, RowId, StoreId, StoreKind, Tuid
from forebay.model.messages import (
    ArrowMsg,
    BlueprintActivationCommand,
    Compression,
    Encoding,
    LogMsg,
    Payload,
    SetStoreInfo,
    StoreInfo,
    StoreSource,
    StoreSourceKind,
)
from forebay.model.paths import EntityPath
from forebay.model.timelines import TimeLike, Timeline, TimeType, to_index_value

__all__ = [
    "ArrowMsg",
    "BlueprintActivationCommand",
    "ChunkAddition",
    "ChunkCompaction",
    "ChunkDeletion",
    "ChunkId",
    "ChunkStoreDiff",
    "ChunkStoreEvent",
    "Compression",
    "ContentFilter",
    "Contents",
    "DeletionReason",
    "Encoding",
    "EntityPath",
    "LogMsg",
    "Payload",
    "RowId",
    "SetStoreInfo",
    "StoreId",
    "StoreInfo",
    "StoreKind",
    "StoreSource",
    "StoreSourceKind",
    "TimeLike",
    "TimeType",
    "Timeline",
    "Tuid",
    "canonical_application_id",
    "to_index_value",
]
