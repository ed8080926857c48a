"""Encoding of messages as an RRF2 stream, with a manifest of its chunks at the end."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from forebay.codec.chunks.arrow import ChunkDecoder
from forebay.codec.proto import log_msg_pb2
from forebay.codec.rrd.manifest import ManifestBuilder
from forebay.codec.rrd.rrf2 import (
    ARROW_MSG,
    BLUEPRINT_ACTIVATION_COMMAND,
    END,
    FOOT,
    MAGIC,
    MESSAGE_HEADER,
    SERIALIZER_PROTOBUF,
    SET_STORE_INFO,
    STREAM_HEADER,
)
from forebay.codec.rrd.xxh32 import xxh32
from forebay.codec.wire import encode_content
from forebay.errors import InvalidChunkError
from forebay.model import ArrowMsg, SetStoreInfo

if TYPE_CHECKING:
    from forebay.chunk import Chunk
    from forebay.model import LogMsg, StoreId

CRATE_VERSION: Final = bytes([0, 36, 2, 0])
"""The version of Rerun whose format is written: the oldest that reads it without conversion."""
COMPRESSION_LZ4: Final = 1
CHECKSUM_SEED: Final = 7850921
FOOTER: Final = struct.Struct("<QQI4s4sI")


class StreamEncoder:
    """Encodes one stream: call `header`, then `encode` for each message, then `finish`.

    Rerun's tools want a manifest of the chunks at the end (`rerun rrd verify` requires it). To make
    it, each chunk has to be decoded. Without a manifest the stream is as readable, and cheaper to
    write.
    """

    def __init__(self, *, manifest: bool = True, crate_version: bytes = CRATE_VERSION) -> None:
        self._crate_version = crate_version
        self._decoder = ChunkDecoder() if manifest else None
        self._manifests: dict[StoreId, ManifestBuilder] = {}
        self._offset = 0

    def header(self) -> bytes:
        """Return the header of the stream."""
        header = STREAM_HEADER.pack(
            MAGIC, self._crate_version, COMPRESSION_LZ4, SERIALIZER_PROTOBUF, 0
        )
        self._offset = len(header)
        return header

    def encode(self, msg: LogMsg, chunk: Chunk | None = None) -> bytes:
        """Return one message with its header.

        Args:
            msg: The message.
            chunk: Its chunk, if the caller has it; this saves decoding the message.

        Raises:
            CorruptError: A field does not fit its protobuf type.
        """
        content = encode_content(msg)
        if isinstance(msg, ArrowMsg):
            kind = ARROW_MSG
            self._enter(msg, chunk, len(content))
        elif isinstance(msg, SetStoreInfo):
            kind = SET_STORE_INFO
        else:
            kind = BLUEPRINT_ACTIVATION_COMMAND
        self._offset += MESSAGE_HEADER.size + len(content)
        return MESSAGE_HEADER.pack(kind, len(content)) + content

    def _enter(self, msg: ArrowMsg, chunk: Chunk | None, size_bytes: int) -> None:
        if self._decoder is None:
            return
        try:
            chunk = self._decoder.decode(msg) if chunk is None else chunk
        except InvalidChunkError:
            return  # Written without a manifest entry; another reader may understand it.
        manifest = self._manifests.get(msg.store_id)
        if manifest is None:
            manifest = self._manifests[msg.store_id] = ManifestBuilder(msg.store_id)
        begin = self._offset + MESSAGE_HEADER.size
        manifest.add(chunk, begin, size_bytes, msg.uncompressed_size)

    def finish(self) -> bytes:
        """Return the end of the stream: an END message, with the manifests if there are any."""
        if not self._manifests:
            return MESSAGE_HEADER.pack(END, 0)
        footer = log_msg_pb2.RrdFooter(
            manifests=[manifest.build() for manifest in self._manifests.values()]
        ).SerializeToString()
        begin = self._offset + MESSAGE_HEADER.size
        checksum = xxh32(footer, CHECKSUM_SEED)
        pointer = FOOTER.pack(begin, len(footer), checksum, MAGIC, FOOT, 1)
        return MESSAGE_HEADER.pack(END, len(footer)) + footer + pointer
