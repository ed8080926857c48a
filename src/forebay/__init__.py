"""Forebay: a Python-native, Rerun-compatible live store.

Many recordings stream in at once; each is ingested by a worker of its own, and you query any of
them while it is still being logged.

    import forebay

    hub = forebay.load("a.rrd", "b.rrd")
    db = hub.recording("run-42")
    db.latest_at("frame", 42, "/world/points")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from forebay.version import __version__

if TYPE_CHECKING:
    from forebay.chunk import Chunk
    from forebay.errors import ForebayError
    from forebay.hub import (
        App,
        EntityDb,
        LoadProgress,
        StoreHub,
        WorkerOutput,
        read_messages,
        write_messages,
    )
    from forebay.hub.loading import load
    from forebay.ingest import (
        IngestionStats,
        IngestionWorker,
        ProcessedChunk,
        RejectedColumn,
        RejectedMsg,
    )
    from forebay.model import (
        ArrowMsg,
        BlueprintActivationCommand,
        ChunkAddition,
        ChunkCompaction,
        ChunkDeletion,
        ChunkId,
        ChunkStoreEvent,
        EntityPath,
        LogMsg,
        RowId,
        SetStoreInfo,
        StoreId,
        StoreInfo,
        StoreKind,
        Timeline,
        TimeType,
    )
    from forebay.server import serve
    from forebay.store import Cell, ChunkStore, StoreSnapshot

__all__ = [
    "App",
    "ArrowMsg",
    "BlueprintActivationCommand",
    "Cell",
    "Chunk",
    "ChunkAddition",
    "ChunkCompaction",
    "ChunkDeletion",
    "ChunkId",
    "ChunkStore",
    "ChunkStoreEvent",
    "EntityDb",
    "EntityPath",
    "ForebayError",
    "IngestionStats",
    "IngestionWorker",
    "LoadProgress",
    "LogMsg",
    "ProcessedChunk",
    "RejectedColumn",
    "RejectedMsg",
    "RowId",
    "SetStoreInfo",
    "StoreHub",
    "StoreId",
    "StoreInfo",
    "StoreKind",
    "StoreSnapshot",
    "TimeType",
    "Timeline",
    "WorkerOutput",
    "__version__",
    "load",
    "read_messages",
    "serve",
    "write_messages",
]


_NAMES_BY_MODULE: Final = {
    "chunk": "Chunk",
    "errors": "ForebayError",
    "hub": ("App EntityDb LoadProgress StoreHub WorkerOutput load read_messages write_messages"),
    "ingest": "IngestionStats IngestionWorker ProcessedChunk RejectedColumn RejectedMsg",
    "model": (
        "ArrowMsg BlueprintActivationCommand ChunkAddition ChunkCompaction ChunkDeletion ChunkId "
        "ChunkStoreEvent EntityPath LogMsg RowId SetStoreInfo StoreId StoreInfo StoreKind Timeline "
        "TimeType"
    ),
    "server": "serve",
    "store": "Cell ChunkStore StoreSnapshot",
}
_MODULE_OF: Final = {
    name: f"forebay.{module}"
    for module, names in _NAMES_BY_MODULE.items()
    for name in names.split()
}


def __getattr__(name: str) -> Any:
    """Import the module of a public name when the name is first used (PEP 562).

    `import forebay` alone then costs next to nothing, so commands such as `forebay --version` do
    not wait for pyarrow.

    Raises:
        AttributeError: There is no such name.
        MissingExtraError: The name belongs to an extra that is not installed (`serve`).
    """
    if name not in _MODULE_OF:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """All names, also those that are not imported yet."""
    return sorted({*globals(), *__all__})
