from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.chunk import Chunk
from forebay.codec import ChunkDecoder, encode_chunk
from forebay.codec.chunks.peek import ChunkPeeker, lz4_block_front
from forebay.errors import InvalidChunkError
from forebay.limits import PEEK_WHOLE_BYTES_MAX
from forebay.model import ArrowMsg, Compression, StoreId, Timeline, TimeType
from tests.chunks import make_chunk

A = StoreId.recording("app", "a")
CODEC = pa.Codec("lz4_raw")


def bulky() -> Chunk:
    noise = np.random.default_rng(0).integers(0, 255, 4 * PEEK_WHOLE_BYTES_MAX, np.uint8)
    cells = pa.ListArray.from_arrays(pa.array([0, 0, len(noise)], pa.int32()), pa.array(noise))
    return make_chunk("/camera", {"frame": [1, 2]}, {"Image:buffer": cells})


def wide() -> Chunk:
    """Its schema alone is larger than the front that is tried first, and it compresses well."""
    lines = {Timeline(f"line {i}", TimeType.DURATION): [i] for i in range(20)}
    values = {f"Some:component number {i}": [[0.0] * 5000] for i in range(100)}
    return make_chunk(r"/we\ ird", lines, values)


CHUNKS = [
    make_chunk("/a", {"frame": [1, 2, 3]}, {"S:x": [[1.0], None, []]}),
    make_chunk("/static", None, {"S:x": [[1.0]]}),
    make_chunk("/none", {"frame": []}, {"S:x": []}),
    bulky(),
    wide(),
]


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("chunk", CHUNKS, ids=lambda chunk: chunk.entity_path)
def test_a_peek_agrees_with_the_decoder(chunk: Chunk, compression: Compression) -> None:
    msg = encode_chunk(A, chunk, compression)._replace(compression=compression)
    decoded = ChunkDecoder().decode(msg)
    peeker = ChunkPeeker()
    for _ in range(2):
        head = peeker.peek(msg)
        assert head.num_rows == decoded.num_rows == chunk.num_rows
        assert head.layout.entity_path == chunk.entity_path
        assert list(head.layout.indexes) == list(decoded.layout.indexes)
        assert list(head.layout.components) == list(decoded.layout.components)


def test_only_the_front_of_a_bulky_chunk_is_decompressed() -> None:
    msg = encode_chunk(A, bulky(), Compression.LZ4)
    damaged = msg._replace(payload=bytes(msg.payload)[:20_000] + b"\0" * 1000)
    assert ChunkPeeker().peek(damaged).num_rows == 2
    with pytest.raises(InvalidChunkError):
        ChunkDecoder().decode(damaged)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(st.binary(max_size=40), st.integers(0, 600)), max_size=20),
    st.integers(1, 3000),
)
def test_the_front_of_a_block(parts: list[tuple[bytes, int]], wanted: int) -> None:
    data = b"".join(piece * times for piece, times in parts)
    front = lz4_block_front(CODEC.compress(data).to_pybytes(), wanted)
    assert front[:wanted] == data[:wanted]
    assert data.startswith(front)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=300), st.integers(1, 3000))
def test_no_block_does_harm(block: bytes, wanted: int) -> None:
    try:
        front = lz4_block_front(block, wanted)
    except InvalidChunkError:
        return
    assert len(front) < 3 * wanted + 300


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_flipped_bytes_are_an_invalid_chunk_or_none(data: st.DataObject) -> None:
    msg = encode_chunk(A, CHUNKS[0], data.draw(st.sampled_from(list(Compression)[1:])))
    payload = bytearray(msg.payload)
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        head = ChunkPeeker().peek(msg._replace(payload=bytes(payload)))
    except InvalidChunkError:
        return
    assert head.num_rows >= 0


@pytest.mark.parametrize(
    "change",
    [
        {"payload": b""},
        {"payload": b"no arrow"},
        {"compression": 9},
        {"encoding": 9},
        {"uncompressed_size": 1 << 50},
        {"uncompressed_size": 10},
        {"uncompressed_size": 0},
    ],
    ids=str,
)
def test_errors_say_where(change: dict[str, object]) -> None:
    msg = encode_chunk(A, CHUNKS[0], Compression.LZ4)
    bad: ArrowMsg = msg._replace(byte_offset=77, **change)  # type: ignore[arg-type]
    with pytest.raises(InvalidChunkError) as caught:
        ChunkPeeker().peek(bad)
    assert caught.value.store_id == A
    assert caught.value.chunk_id == msg.chunk_id
    assert caught.value.byte_offset == 77
