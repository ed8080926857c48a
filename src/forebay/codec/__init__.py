"""Bytes to messages to chunks, and back: protobuf, RRF2 framing, LZ4 and Arrow IPC."""

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
