"""Messages to an RRF2 stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from forebay.codec.framing import (
    ARROW_MSG,
    BLUEPRINT_ACTIVATION_COMMAND,
    END,
    MAGIC,
    MESSAGE_HEADER,
    SERIALIZER_PROTOBUF,
    SET_STORE_INFO,
    STREAM_HEADER,
)
from forebay.codec.wire import encode_content
from forebay.model import ArrowMsg, SetStoreInfo

if TYPE_CHECKING:
    from forebay.model import LogMsg

CRATE_VERSION: Final = bytes([0, 36, 2, 0])
"""The version of Rerun whose format we write: the oldest that reads it as it stands."""
COMPRESSION_LZ4: Final = 1


class StreamEncoder:
    """Writes one stream: `header()`, then `encode` for each message, then `finish()`.

    No manifest of the chunks is written; Rerun's tools then read the stream through.
    """

    def __init__(self, crate_version: bytes = CRATE_VERSION) -> None:
        self._crate_version = crate_version

    def header(self) -> bytes:
        """What a stream begins with."""
        return STREAM_HEADER.pack(
            MAGIC, self._crate_version, COMPRESSION_LZ4, SERIALIZER_PROTOBUF, 0
        )

    def encode(self, msg: LogMsg) -> bytes:
        """One message, with its header.

        Raises:
            CorruptError: A field does not fit its protobuf type.
        """
        content = encode_content(msg)
        if isinstance(msg, ArrowMsg):
            kind = ARROW_MSG
        elif isinstance(msg, SetStoreInfo):
            kind = SET_STORE_INFO
        else:
            kind = BLUEPRINT_ACTIVATION_COMMAND
        return MESSAGE_HEADER.pack(kind, len(content)) + content

    def finish(self) -> bytes:
        """What a stream ends with."""
        return MESSAGE_HEADER.pack(END, 0)
