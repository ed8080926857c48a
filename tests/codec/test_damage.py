"""Whatever happens to a recording's bytes, only our own errors come of it."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forebay.chunk import Chunk
from forebay.codec import ChunkDecoder, StreamDecoder, decode_log_msg
from forebay.codec.wire import encode_content
from forebay.errors import CodecError, ForebayError, InvalidChunkError
from forebay.model import ArrowMsg, LogMsg
from tests.codec.support import arrow_msgs_of, data_of, decompressed, messages_of, plain_msg

NAMES = ["blueprint", "clears", "concatenated", "many_components", "send_columns", "weird_names"]
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

Flips = list[tuple[float, int]]
flips: st.SearchStrategy[Flips] = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4
)


def flipped(data: bytes, changes: Flips) -> tuple[bytes, int]:
    """The damaged bytes, and where the first change is."""
    damaged = bytearray(data)
    places = [int(place * len(data)) for place, _ in changes]
    for at, (_, mask) in zip(places, changes, strict=True):
        damaged[at] ^= mask
    return bytes(damaged), min(places)


def decode_all(data: bytes) -> list[LogMsg]:
    """Decode messages and chunks; the messages that came, whatever else went wrong."""
    decoder = StreamDecoder()
    messages = decoder.feed(data)
    with contextlib.suppress(CodecError):
        decoder.finish()
    if decoder.error is not None:
        assert str(decoder.error)
        assert decoder.error.byte_offset is None or decoder.error.byte_offset <= len(data)
    chunks = ChunkDecoder()
    for message in messages:
        if isinstance(message, ArrowMsg):
            with contextlib.suppress(InvalidChunkError):
                look_at(chunks.decode(message))
    return messages


def look_at(chunk: Chunk) -> None:
    """Touch all that a store touches: what came through must bear it."""
    assert len(chunk.row_ids) == chunk.num_rows
    for timeline in chunk.timelines:
        assert len(chunk.times(timeline).copy()) == chunk.num_rows
    for component in chunk.components:
        cells = chunk.component(component)
        cells.flatten()
        cells.take([0] if len(cells) else [])


@relaxed
@given(st.sampled_from(NAMES), flips)
def test_flipped_bits_in_a_recording(name: str, changes: Flips) -> None:
    data, first = flipped(data_of(name), changes)
    messages = decode_all(data)
    whole = messages_of(name)
    offsets = [m.byte_offset or 0 for m in whole if isinstance(m, ArrowMsg)]
    before = sum(offset < first for offset in offsets)
    kept = [m for m in messages if isinstance(m, ArrowMsg)]
    # The message that was hit may be lost, and all after it; none before it.
    arrow = [m for m in whole if isinstance(m, ArrowMsg)]
    assert kept[: max(before - 1, 0)] == arrow[: max(before - 1, 0)]


@relaxed
@given(st.sampled_from(NAMES), st.floats(0, 1))
def test_a_recording_cut_anywhere(name: str, part: float) -> None:
    data = data_of(name)
    messages = decode_all(data[: int(part * len(data))])
    assert messages == list(messages_of(name)[: len(messages)])


@relaxed
@given(st.sampled_from(NAMES), st.integers(0, 100), flips, st.booleans())
def test_damage_inside_an_arrow_stream(name: str, pick: int, changes: Flips, known: bool) -> None:
    """Uncompressed, so that every flip reaches pyarrow; before and after the schema is known."""
    messages = arrow_msgs_of(name)
    msg = messages[pick % len(messages)]
    decoder = ChunkDecoder()
    if known:
        decoder.decode(msg)
    damaged, _ = flipped(decompressed(msg), changes)
    with contextlib.suppress(InvalidChunkError):
        look_at(decoder.decode(plain_msg(damaged)))


@relaxed
@given(st.sampled_from(NAMES), st.integers(0, 100), flips)
def test_damage_inside_a_compressed_message(name: str, pick: int, changes: Flips) -> None:
    messages = arrow_msgs_of(name)
    encoded = encode_content(messages[pick % len(messages)])
    damaged, _ = flipped(encoded, changes)
    with contextlib.suppress(ForebayError):
        message = decode_log_msg(b"\x12" + length_prefix(len(damaged)) + damaged)
        assert isinstance(message, ArrowMsg)
        look_at(ChunkDecoder().decode(message))


def length_prefix(size: int) -> bytes:
    out = bytearray()
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*out, size])


@relaxed
@given(st.binary(max_size=200))
def test_garbage_for_a_stream(data: bytes) -> None:
    decode_all(data)
    decode_all(data_of("clears")[:12] + data)


def test_a_list_of_negative_size_is_refused_not_followed() -> None:
    """pyarrow reads such a type, and crashes the process that allocates one."""
    code = """
import struct
import pyarrow as pa
import forebay.codec
from forebay.errors import InvalidChunkError
from tests.codec.support import plain_msg, ipc_stream
from tests.codec.test_arrow import chunk_batch, columns_of
cells = pa.array([[[1, 2, 3]], []], pa.list_(pa.list_(pa.int8(), 3)))
payload = ipc_stream(chunk_batch({**columns_of(chunk_batch()), "S:x": cells}))
tried = 0
for at in range(0, len(payload) - 3, 4):
    if struct.unpack_from("<i", payload, at) == (3,):
        lying = bytearray(payload)
        struct.pack_into("<i", lying, at, -3)
        try:
            forebay.codec.ChunkDecoder().decode(plain_msg(bytes(lying)))
        except InvalidChunkError as error:
            tried += "does not read" in str(error)
raise SystemExit(0 if tried else "the list's size was not found")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", NAMES)
def test_the_corpus_itself_is_sound(name: str) -> None:
    assert decode_all(data_of(name)) == list(messages_of(name))
