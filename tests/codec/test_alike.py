from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay import limits
from forebay.chunk import Chunk, PackedChunk
from forebay.codec import ChunkDecoder, encode_chunk
from forebay.codec.lz4 import Lz4Decompressor
from forebay.errors import InvalidChunkError
from forebay.model import ArrowMsg, ChunkId, Compression, StoreId
from tests.chunks import make_chunk
from tests.codec.support import arrow_msgs_of, decompressed

STORE = StoreId.recording("app", "rec")
ENTITIES = ("/plot/a", "/plot/b", "/plot/c")


def row(entity: str, number: int, values: object = None) -> ArrowMsg:
    cells = pa.array([[number / 3] if values is None else values], pa.list_(pa.float64()))
    return encode_chunk(STORE, make_chunk(entity, {"frame": [number]}, {"S:x": cells}))


def rows(count: int) -> list[ArrowMsg]:
    return [row(ENTITIES[number % 3], number) for number in range(count)]


def trained() -> ChunkDecoder:
    decoder = ChunkDecoder()
    for msg in rows(9):
        decoder.decode(msg)
    return decoder


def with_payload(msg: ArrowMsg, data: bytes) -> ArrowMsg:
    block = pa.Codec("lz4_raw").compress(data, asbytes=True)
    return msg._replace(payload=block, uncompressed_size=len(data), compression=Compression.LZ4)


def outcome(decoder: ChunkDecoder, msg: ArrowMsg) -> object:
    try:
        return said(decoder.decode(msg))
    except InvalidChunkError as error:
        return type(error)


def said(chunk: Chunk) -> tuple[object, ...]:
    chunk.batch.validate(full=True)
    columns = [  # Nanoseconds as integers: they have no other form in Python.
        column.cast(pa.int64()) if pa.types.is_temporal(column.type) else column
        for column in chunk.batch.columns
    ]
    values = str([column.to_pylist() for column in columns])
    return chunk.id, chunk.layout.entity_path, values, chunk.batch.schema


def test_rows_of_several_entities_are_decoded_as_they_are_one_by_one() -> None:
    msgs = rows(60)
    chunks = trained().decode_alike(msgs)
    assert all(type(chunk) is PackedChunk for chunk in chunks)
    assert [said(chunk) for chunk in chunks if chunk] == [
        said(ChunkDecoder().decode(msg)) for msg in msgs
    ]


@pytest.mark.parametrize("name", ["images", "one_row_chunks", "several_stores"])
def test_the_sdk_s_messages_are_the_same_either_way(name: str) -> None:
    msgs = arrow_msgs_of(name)
    decoder = ChunkDecoder()
    for msg in msgs:
        decoder.decode(msg)
    for msg, chunk in zip(msgs, decoder.decode_alike(msgs), strict=True):
        assert chunk is None or said(chunk) == said(ChunkDecoder().decode(msg))


def test_other_sizes_compressions_and_encodings_are_left_to_be_decoded_alone() -> None:
    decoder = trained()
    msgs = rows(12)
    plain = msgs[3]._replace(payload=decompressed(msgs[3]), compression=Compression.NONE)
    msgs[3] = plain
    msgs[4] = msgs[4]._replace(encoding=9)
    msgs[5] = row(ENTITIES[0], 5, [1.0, 2.0])
    chunks = decoder.decode_alike(msgs)
    assert [number for number, chunk in enumerate(chunks) if chunk is None] == [3, 4, 5]


def test_few_messages_are_left_alone_and_so_is_a_decoder_that_knows_nothing() -> None:
    few = rows(limits.ALIKE_MSGS_MIN - 1)
    assert trained().decode_alike(few) == [None] * len(few)
    assert ChunkDecoder().decode_alike(rows(9)) == [None] * 9


def test_a_damaged_block_among_them_spoils_nobody_else() -> None:
    decoder = trained()
    msgs = rows(9)
    msgs[4] = msgs[4]._replace(payload=bytes(len(msgs[4].payload)))
    assert decoder.decode_alike(msgs) == [None] * 9
    assert [outcome(decoder, msg) is InvalidChunkError for msg in msgs].count(True) == 1


def test_static_rows_and_texts_are_not_packed() -> None:
    decoder = ChunkDecoder()
    text = pa.array([["x"]], pa.list_(pa.string()))
    for chunk in (
        make_chunk("/static", {}, {"S:x": [[1.0]]}),
        make_chunk("/text", {"frame": [1]}, {"S:x": text}),
    ):
        msgs = [encode_chunk(STORE, chunk)] * 8
        for msg in msgs:
            assert type(decoder.decode(msg)) is Chunk
        assert decoder.decode_alike(msgs) == [None] * 8


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=3))
def test_bytes_changed_anywhere_are_judged_as_by_a_decoder_that_knows_nothing(
    changes: Sequence[tuple[int, int]],
) -> None:
    """Whatever differs from the pattern must be parsed; whatever is taken must be sound."""
    decoder = trained()
    msgs = rows(6)
    data = bytearray(decompressed(msgs[2]))
    for place, value in changes:
        data[place % len(data)] = value
    msgs[2] = with_payload(msgs[2], bytes(data))
    wanted = outcome(ChunkDecoder(), msgs[2])
    chunk = decoder.decode_alike(msgs)[2]
    assert chunk is None or said(chunk) == wanted
    assert outcome(decoder, msgs[2]) == wanted


def test_every_single_byte_is_either_compared_or_free() -> None:
    decoder = trained()
    msgs = rows(6)
    whole = decompressed(msgs[2])
    packed = 0
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= 0x11
        msgs[2] = with_payload(msgs[2], bytes(data))
        chunk = decoder.decode_alike(msgs)[2]
        if chunk is not None:
            packed += 1
            assert said(chunk) == outcome(ChunkDecoder(), msgs[2])
    assert packed <= 32 + 16 + 8 + 8  # the id's digits, row id, time, value


def test_the_id_in_the_payload_counts_and_not_the_one_outside() -> None:
    msgs = rows(6)
    inside = ChunkDecoder().decode(msgs[1]).id
    msgs[1] = msgs[1]._replace(chunk_id=ChunkId(bytes(16)))
    msgs[2] = msgs[2]._replace(chunk_id=None)
    chunks = trained().decode_alike(msgs)
    assert chunks[1] is not None
    assert chunks[1].id == inside
    assert chunks[2] is not None
    assert chunks[2].id == ChunkDecoder().decode(msgs[2]).id


def test_patterns_are_bounded_when_every_row_differs_where_it_should_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Lists of other lengths every time, for one."""
    decoder = ChunkDecoder()
    for number in range(200):
        decoder.decode(row("/a", number, list(np.arange(number % 50, dtype=float))))
    msgs = [row("/a", 7, [float(number)]) for number in range(8)]
    assert [said(ChunkDecoder().decode(msg)) for msg in msgs] == [
        said(chunk or decoder.decode(msg))
        for msg, chunk in zip(msgs, decoder.decode_alike(msgs), strict=True)
    ]
    monkeypatch.setattr("forebay.codec.alike.ALIKE_BYTES_MAX", 4000)
    decoder = trained()
    assert decoder._alike._num_bytes <= 4000


@pytest.mark.parametrize("bound", [None, "installed"])
def test_blocks_are_decompressed_together_or_refused(bound: str | None) -> None:
    lz4 = Lz4Decompressor() if bound else Lz4Decompressor(bound=None)
    codec = pa.Codec("lz4_raw")
    texts = [struct.pack("<q", number) * 20 for number in range(5)]
    blocks = [codec.compress(text, asbytes=True) for text in texts]
    assert bytes(lz4.decompress_alike(blocks, 160)) == b"".join(texts)
    for size in (159, 161, 10_000_000):
        with pytest.raises(ValueError, match="LZ4"):
            lz4.decompress_alike(blocks, size)
