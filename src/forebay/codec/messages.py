"""Conversion between protobuf message objects and those of `forebay.model`."""

from __future__ import annotations

import struct
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from forebay.codec.proto import common_pb2, log_msg_pb2
from forebay.errors import CorruptError
from forebay.model import (
    ArrowMsg,
    BlueprintActivationCommand,
    ChunkId,
    LogMsg,
    Payload,
    RowId,
    SetStoreInfo,
    StoreId,
    StoreInfo,
    StoreKind,
    StoreSource,
    StoreSourceKind,
)
from forebay.model.ids import Tuid

MessageT = TypeVar("MessageT", bound=Message)
TuidT = TypeVar("TuidT", bound=Tuid)


def parse(message_class: type[MessageT], data: Payload, byte_offset: int | None) -> MessageT:
    """Parse a protobuf message.

    Args:
        message_class: The class of the message.
        data: Its bytes.
        byte_offset: The position in the file, for the error.

    Raises:
        CorruptError: The bytes are not a message of that type.
    """
    try:
        message = message_class()
        message.MergeFromString(bytes(data))
    except (DecodeError, ValueError) as error:
        name = message_class.DESCRIPTOR.name
        at = "" if byte_offset is None else f" at byte {byte_offset}"
        # Not protobuf's own text, which differs between its implementations.
        msg = f"the {name}{at} is damaged: it is not a protobuf message of that type"
        raise CorruptError(msg, byte_offset=byte_offset) from error
    return message


def store_id_of(proto: common_pb2.StoreId) -> StoreId:
    """Convert a store id; a missing application id becomes the empty string.

    Args:
        proto: The protobuf message.
    """
    # As in Rerun, every kind but "blueprint" is a recording, including the unspecified one.
    blueprint = proto.kind == common_pb2.STORE_KIND_BLUEPRINT
    kind = StoreKind.BLUEPRINT if blueprint else StoreKind.RECORDING
    return StoreId(kind, proto.application_id.id, proto.recording_id)


def _tuid(tuid_class: type[TuidT], proto: common_pb2.Tuid) -> TuidT:
    return tuid_class.from_parts(proto.time_ns, proto.inc)


def arrow_msg_of(proto: log_msg_pb2.ArrowMsg, byte_offset: int | None) -> ArrowMsg:
    """Convert an `ArrowMsg`.

    Args:
        proto: The protobuf message.
        byte_offset: The position in the file, if known.

    Raises:
        CorruptError: It names no store.
    """
    _require_store(proto, "store_id", byte_offset)
    return ArrowMsg(
        store_id_of(proto.store_id),
        proto.payload,
        proto.compression,
        proto.uncompressed_size,
        _tuid(ChunkId, proto.chunk_id) if proto.HasField("chunk_id") else None,
        proto.is_static if proto.HasField("is_static") else None,
        proto.encoding,
        byte_offset,
    )


def set_store_info_of(proto: log_msg_pb2.SetStoreInfo, byte_offset: int | None) -> SetStoreInfo:
    """Convert a `SetStoreInfo`.

    Args:
        proto: The protobuf message.
        byte_offset: The position in the file, if known.

    Raises:
        CorruptError: It names no store.
    """
    info = proto.info
    _require_store(info, "store_id", byte_offset)
    store_id = store_id_of(info.store_id)
    if not info.store_id.HasField("application_id"):
        store_id = StoreId(store_id.kind, info.application_id.id, store_id.recording_id)
    return SetStoreInfo(
        StoreInfo(
            store_id,
            _source(info.store_source) if info.HasField("store_source") else None,
            info.store_version.crate_version_bits if info.HasField("store_version") else None,
        ),
        _tuid(RowId, proto.row_id) if proto.HasField("row_id") else None,
    )


def _source(proto: log_msg_pb2.StoreSource) -> StoreSource:
    try:
        return StoreSource(StoreSourceKind(proto.kind), proto.extra.payload)
    except ValueError:
        return StoreSource(proto.kind, proto.extra.payload)


def activation_of(
    proto: log_msg_pb2.BlueprintActivationCommand, byte_offset: int | None
) -> BlueprintActivationCommand:
    """Convert a `BlueprintActivationCommand`.

    Args:
        proto: The protobuf message.
        byte_offset: The position in the file, if known.

    Raises:
        CorruptError: It names no store.
    """
    _require_store(proto, "blueprint_id", byte_offset)
    return BlueprintActivationCommand(
        store_id_of(proto.blueprint_id), proto.make_active, proto.make_default
    )


def _require_store(proto: Message, field: str, byte_offset: int | None) -> None:
    if not proto.HasField(field):
        msg = f"the {proto.DESCRIPTOR.name} names no store: its sender left out `{field}`"
        raise CorruptError(msg, byte_offset=byte_offset)


def to_proto(msg: LogMsg) -> Message:
    """Convert a message to the protobuf message inside a `LogMsg`.

    Args:
        msg: The message.

    Raises:
        ValueError: A field does not fit its protobuf type.
    """
    if isinstance(msg, ArrowMsg):
        arrow = log_msg_pb2.ArrowMsg(
            store_id=_proto_store_id(msg.store_id),
            uncompressed_size=msg.uncompressed_size,
            payload=bytes(msg.payload),
            is_static=msg.is_static,
        )
        # Open enums: an unknown number is written as it was read.
        arrow.compression = msg.compression  # type: ignore[assignment]
        arrow.encoding = msg.encoding  # type: ignore[assignment]
        if msg.chunk_id is not None:
            arrow.chunk_id.CopyFrom(_proto_tuid(msg.chunk_id))
        return arrow
    if isinstance(msg, SetStoreInfo):
        return _proto_set_store_info(msg)
    return log_msg_pb2.BlueprintActivationCommand(
        blueprint_id=_proto_store_id(msg.blueprint_id),
        make_active=msg.make_active,
        make_default=msg.make_default,
    )


def _proto_set_store_info(msg: SetStoreInfo) -> log_msg_pb2.SetStoreInfo:
    info = log_msg_pb2.StoreInfo(store_id=_proto_store_id(msg.info.store_id))
    if msg.info.source is not None:
        info.store_source.kind = int(msg.info.source.kind)  # type: ignore[assignment]
        info.store_source.extra.SetInParent()  # Rerun wants it, also if it says nothing
        info.store_source.extra.payload = msg.info.source.extra
    if msg.info.crate_version_bits is not None:
        info.store_version.crate_version_bits = msg.info.crate_version_bits
    row_id = None if msg.row_id is None else _proto_tuid(msg.row_id)
    return log_msg_pb2.SetStoreInfo(row_id=row_id, info=info)


def _proto_store_id(store_id: StoreId) -> common_pb2.StoreId:
    return common_pb2.StoreId(
        kind=common_pb2.STORE_KIND_BLUEPRINT
        if store_id.is_blueprint
        else common_pb2.STORE_KIND_RECORDING,
        recording_id=store_id.recording_id,
        application_id=common_pb2.ApplicationId(id=store_id.application_id),
    )


def _proto_tuid(tuid: Tuid) -> common_pb2.Tuid:
    time_ns, inc = struct.unpack(">QQ", tuid)
    return common_pb2.Tuid(time_ns=time_ns, inc=inc)
