"""Decoding and encoding: bytes, messages and chunks.

`rrd` reads and writes RRD streams (RRF2), `wire` and `messages` convert protobuf, and `chunks`
decodes and encodes the Arrow IPC payloads.
"""

from forebay.codec.chunks.arrow import ChunkDecoder, DecodedChunk, encode_chunk
from forebay.codec.rrd.encoder import StreamEncoder
from forebay.codec.rrd.framing import StreamDecoder
from forebay.codec.wire import (
    decode_log_msg,
    decode_write_request,
    encode_log_msg,
    encode_read_response,
    encode_write_request,
)

__all__ = [
    "ChunkDecoder",
    "DecodedChunk",
    "StreamDecoder",
    "StreamEncoder",
    "decode_log_msg",
    "decode_write_request",
    "encode_chunk",
    "encode_log_msg",
    "encode_read_response",
    "encode_write_request",
]
