"""Messages of the corpus, and payloads to damage."""

from __future__ import annotations

import functools

import pyarrow as pa

from forebay.codec import StreamDecoder
from forebay.model import ArrowMsg, Compression, LogMsg, StoreId
from tests.corpus import recording

STORE_ID = StoreId.recording("app", "rec")


@functools.cache
def data_of(name: str) -> bytes:
    return recording(name).read_bytes()


@functools.cache
def messages_of(name: str) -> tuple[LogMsg, ...]:
    decoder = StreamDecoder()
    messages = decoder.feed(data_of(name))
    decoder.finish()
    return tuple(messages)


def arrow_msgs_of(name: str) -> list[ArrowMsg]:
    return [message for message in messages_of(name) if isinstance(message, ArrowMsg)]


def decompressed(msg: ArrowMsg) -> bytes:
    """The Arrow stream in a message of the SDK's, which is to be trusted."""
    if msg.compression == Compression.NONE:
        return bytes(msg.payload)
    codec = pa.Codec("lz4_raw")
    return bytes(codec.decompress(msg.payload, msg.uncompressed_size))


def plain_msg(payload: bytes) -> ArrowMsg:
    return ArrowMsg(STORE_ID, payload, Compression.NONE, len(payload), byte_offset=123)


def ipc_stream(*batches: pa.RecordBatch, **options: object) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(
        sink, batches[0].schema, options=pa.ipc.IpcWriteOptions(**options)
    ) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return bytes(sink.getvalue())
