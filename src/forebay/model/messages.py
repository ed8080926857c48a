"""The three kinds of `LogMsg`. Their Arrow data is still encoded."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from forebay.model.ids import ChunkId, RowId, StoreId

Payload: TypeAlias = bytes | memoryview
"""Encoded bytes of a message. A `memoryview` keeps the buffer that it refers to alive."""


class StoreSourceKind(enum.IntEnum):
    """The kind of program that made a recording (`rerun.log_msg.v1alpha1.StoreSourceKind`)."""

    UNSPECIFIED = 0
    C_SDK = 1
    PYTHON_SDK = 2
    RUST_SDK = 3
    FILE = 4
    VIEWER = 5
    OTHER = 6


@dataclass(frozen=True, slots=True)
class StoreSource:
    """The program that made a recording.

    Attributes:
        kind: Its kind, or a number that this version of Forebay does not know.
        extra: Opaque bytes, kept unchanged; SDKs write a version into them.
    """

    kind: StoreSourceKind | int = StoreSourceKind.UNSPECIFIED
    extra: bytes = b""


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """The description of a store that its sender gives.

    Attributes:
        store_id: The store.
        source: The program that made it, if given.
        crate_version_bits: Rerun's packed version number of the sender, if given.
    """

    store_id: StoreId
    source: StoreSource | None = None
    crate_version_bits: int | None = None


@dataclass(frozen=True, slots=True)
class SetStoreInfo:
    """The message that announces a store, or updates its description.

    Attributes:
        info: The description.
        row_id: The row id of the message itself, if given.
    """

    info: StoreInfo
    row_id: RowId | None = None

    @property
    def store_id(self) -> StoreId:
        """The store that is announced."""
        return self.info.store_id

    def with_store_id(self, store_id: StoreId) -> SetStoreInfo:
        """Return a copy of the message that names another store."""
        return replace(self, info=replace(self.info, store_id=store_id))


class Compression(enum.IntEnum):
    """The compression of a payload (`rerun.log_msg.v1alpha1.Compression`)."""

    UNSPECIFIED = 0
    NONE = 1
    LZ4 = 2

    @classmethod
    def is_none(cls, value: int) -> bool:
        """Whether a payload that says so is not compressed: none, or nothing specified."""
        return value in (cls.NONE, cls.UNSPECIFIED)


class Encoding(enum.IntEnum):
    """The encoding of a payload (`rerun.log_msg.v1alpha1.Encoding`)."""

    UNSPECIFIED = 0
    ARROW_IPC = 1


class ArrowMsg(NamedTuple):
    """The message that carries one chunk: an Arrow IPC stream with one record batch.

    The fields are not validated before a worker decodes the message. `compression` and `encoding`
    are plain integers because a hostile sender may put any number there, and `uncompressed_size`
    may be wrong.

    This is a named tuple where other values are frozen dataclasses: one is made for every message,
    and construction takes a third of the time.

    Attributes:
        store_id: The store that the chunk belongs to.
        payload: The encoded record batch, possibly LZ4-compressed.
        compression: A `Compression`, or an unknown number.
        uncompressed_size: The claimed size of the decompressed payload in bytes.
        chunk_id: The chunk's id, if the sender also gave it outside the payload.
        is_static: Whether the chunk is static, if the sender also said so outside the payload.
        encoding: An `Encoding`, or an unknown number.
        byte_offset: The position of the message in its file or stream in bytes, if known.
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
        """The size of the payload as transmitted, in bytes."""
        return len(self.payload)

    def with_store_id(self, store_id: StoreId) -> ArrowMsg:
        """Return a copy of the message that names another store; the payload is shared."""
        return self._replace(store_id=store_id)


@dataclass(frozen=True, slots=True)
class BlueprintActivationCommand:
    """The message that activates a blueprint after all its chunks were sent.

    Attributes:
        blueprint_id: The blueprint.
        make_active: Whether it becomes the active blueprint of its application.
        make_default: Whether it becomes the default blueprint of its application.
    """

    blueprint_id: StoreId
    make_active: bool = False
    make_default: bool = False

    @property
    def store_id(self) -> StoreId:
        """The blueprint to activate."""
        return self.blueprint_id

    def with_store_id(self, store_id: StoreId) -> BlueprintActivationCommand:
        """Return a copy of the command that names another blueprint."""
        return replace(self, blueprint_id=store_id)


LogMsg: TypeAlias = SetStoreInfo | ArrowMsg | BlueprintActivationCommand
"""Any message that a stream or file can contain."""
