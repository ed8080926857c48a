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

from forebay.limits import (
    HUB_BUDGET_BYTES,
    RELAY_BUDGET_BYTES,
    SERVER_STORES_PER_PEER_MAX,
    SERVER_STREAMS_MAX,
    SERVER_STREAMS_PER_PEER_MAX,
    WIRE_MESSAGE_BYTES_MAX,
)
from forebay.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

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
        Policy,
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
    from forebay.model.sizes import Size
    from forebay.server import Server
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


def serve(
    address: str = "127.0.0.1:9876",
    *,
    data_dir: str | Path | None = None,
    hub: StoreHub | None = None,
    memory_limit: Size | None = None,
    policy: str | Policy = "block",
    hub_budget: Size = HUB_BUDGET_BYTES,
    message_bytes_max: Size = WIRE_MESSAGE_BYTES_MAX,
    relay_budget_bytes: Size = RELAY_BUDGET_BYTES,
    streams_max: int = SERVER_STREAMS_MAX,
    streams_per_peer_max: int = SERVER_STREAMS_PER_PEER_MAX,
    stores_per_peer_max: int = SERVER_STORES_PER_PEER_MAX,
) -> Server:
    """Serve Rerun SDKs: returns a running server with `.hub`, `.url` and `.stop()`.

    A context manager; leaving it stops the server once open streams have ended. See
    `forebay.server.serve`, which this calls and which says what each limit means; it is imported
    only now because its libraries are an extra (`pip install 'forebay[server]'`).

    Raises:
        MissingExtraError: The extra is not installed.
        ServerError: The address cannot be bound.
        ValueError: A limit is no size or no number above zero; or `memory_limit`, `policy` or
            `hub_budget` were given together with a `hub`, which has its own.
    """
    from forebay.server import serve as serve_  # noqa: PLC0415

    return serve_(
        address,
        data_dir=data_dir,
        hub=hub,
        memory_limit=memory_limit,
        policy=policy,
        hub_budget=hub_budget,
        message_bytes_max=message_bytes_max,
        relay_budget_bytes=relay_budget_bytes,
        streams_max=streams_max,
        streams_per_peer_max=streams_per_peer_max,
        stores_per_peer_max=stores_per_peer_max,
    )
