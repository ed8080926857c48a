"""What travels: the three kinds of `LogMsg`, with Arrow data still encoded."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from forebay.model.ids import ChunkId, RowId, StoreId

Payload: TypeAlias = bytes | memoryview
"""Bytes that a message refers to; a `memoryview` keeps the buffer it was cut from alive."""


class StoreSourceKind(enum.IntEnum):
    """Who made a recording (`rerun.log_msg.v1alpha1.StoreSourceKind`)."""

    UNSPECIFIED = 0
    C_SDK = 1
    PYTHON_SDK = 2
    RUST_SDK = 3
    FILE = 4
    VIEWER = 5
    OTHER = 6


@dataclass(frozen=True, slots=True)
class StoreSource:
    """Who made a recording; `extra` is opaque and kept as it came (SDKs put a version there)."""

    kind: StoreSourceKind | int = StoreSourceKind.UNSPECIFIED
    extra: bytes = b""


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What a store says of itself."""

    store_id: StoreId
    source: StoreSource | None = None
    crate_version_bits: int | None = None


@dataclass(frozen=True, slots=True)
class SetStoreInfo:
    """Announces a store, or corrects what is known of it."""

    info: StoreInfo
    row_id: RowId | None = None

    @property
    def store_id(self) -> StoreId:
        """The store announced."""
        return self.info.store_id

    def with_store_id(self, store_id: StoreId) -> SetStoreInfo:
        """The same message for another store."""
        return replace(self, info=replace(self.info, store_id=store_id))


class Compression(enum.IntEnum):
    """How a payload is compressed (`rerun.log_msg.v1alpha1.Compression`)."""

    UNSPECIFIED = 0
    NONE = 1
    LZ4 = 2


class Encoding(enum.IntEnum):
    """How a payload is encoded (`rerun.log_msg.v1alpha1.Encoding`)."""

    UNSPECIFIED = 0
    ARROW_IPC = 1


class ArrowMsg(NamedTuple):
    """One chunk in transit: an Arrow IPC stream of one record batch, maybe LZ4-compressed.

    A named tuple where the house makes frozen dataclasses: there is one for every message, and
    making it costs a third.

    Nothing here is believed until a worker decodes it: `compression` and `encoding` are plain
    numbers because a hostile sender may put any number there, and `uncompressed_size` may lie.

    Attributes:
        store_id: The store it belongs to.
        payload: The encoded record batch, as it came.
        compression: A `Compression`, or a number that is none.
        uncompressed_size: Bytes of the payload once decompressed, as claimed.
        chunk_id: The chunk's id, if the sender gave it outside the payload.
        is_static: Whether the chunk is static, if the sender said so outside the payload.
        encoding: An `Encoding`, or a number that is none.
        byte_offset: Where its message began in the file or stream it was read from, if known.
    """

    store_id: StoreId
    payload: Payload
    compression: int = Compression.NONE
    uncompressed_size: int = 0
    chunk_id: ChunkId | None = None
    is_static: bool | None = None
    encoding: int = Encoding.ARROW_IPC
    byte_offset: int | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of the payload as it travels."""
        return len(self.payload)

    def with_store_id(self, store_id: StoreId) -> ArrowMsg:
        """The same message for another store."""
        return self._replace(store_id=store_id)


@dataclass(frozen=True, slots=True)
class BlueprintActivationCommand:
    """Asks for a blueprint to be made default and/or active, once all its earlier chunks are in."""

    blueprint_id: StoreId
    make_active: bool = False
    make_default: bool = False

    @property
    def store_id(self) -> StoreId:
        """The blueprint concerned."""
        return self.blueprint_id

    def with_store_id(self, store_id: StoreId) -> BlueprintActivationCommand:
        """The same command for another blueprint."""
        return replace(self, blueprint_id=store_id)


LogMsg: TypeAlias = SetStoreInfo | ArrowMsg | BlueprintActivationCommand
"""Everything that travels."""
