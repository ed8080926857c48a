"""Forebay: a Python-native, Rerun-compatible live store.

Many recordings stream in at once; each is ingested by a worker of its own, and you query any of
them while it is still being logged.

    import forebay

    hub = forebay.load("a.rrd", "b.rrd")
    db = hub.recording("run-42")
    db.latest_at("frame", 42, "/world/points")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forebay.chunk import Chunk
from forebay.errors import ForebayError
from forebay.hub import (
    App,
    EntityDb,
    LoadProgress,
    StoreHub,
    WorkerOutput,
    load,
    read_messages,
    write_messages,
)
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
from forebay.store import Cell, ChunkStore, StoreSnapshot

if TYPE_CHECKING:
    from forebay.server import Server

__version__ = "0.1.0"

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
    "load",
    "read_messages",
    "serve",
    "write_messages",
]


def serve(bind: str = "127.0.0.1:9876", data_dir: str | None = None, **options: Any) -> Server:
    """Serve Rerun SDKs: returns a running server with `.hub`, `.url` and `.stop()`.

    A context manager; leaving it stops the server once open streams have ended. See
    `forebay.server.serve`, which this calls; it is imported only now because its libraries are an
    extra (`pip install 'forebay[server]'`).

    Raises:
        MissingExtraError: The extra is not installed.
        ServerError: The address cannot be bound.
    """
    from forebay.server import serve as serve_  # noqa: PLC0415

    return serve_(bind, data_dir=data_dir, **options)
