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
from forebay.codec.chunks.lz4 import Lz4Decompressor
from forebay.errors import InvalidChunkError
from forebay.model import ArrowMsg, ChunkId, Compression, StoreId
from tests.chunks import make_chunk
from tests.codec.support import arrow_msgs_of, decompressed, ipc_stream

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


def check_each_byte(decoder: ChunkDecoder, msgs: list[ArrowMsg], step: int = 1) -> None:
    """Change the third message byte by byte: what is taken for alike is what it says."""
    whole = decompressed(msgs[2])
    packed = 0
    for place in range(0, len(whole), step):
        data = bytearray(whole)
        data[place] ^= 0x11
        msgs[2] = with_payload(msgs[2], bytes(data))
        chunk = decoder.decode_alike(msgs)[2]
        if chunk is not None:
            packed += 1
            assert said(chunk) == outcome(ChunkDecoder(), msgs[2])
    assert packed <= 32 + 16 + 8 + 8  # the id's digits, row id, time, value


def test_every_single_byte_is_either_compared_or_free() -> None:
    decoder = trained()
    msgs = rows(6)
    check_each_byte(decoder, msgs)


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
    monkeypatch.setattr("forebay.codec.chunks.alike.ALIKE_BYTES_MAX", 4000)
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


def test_a_message_decoded_alone_is_compared_byte_for_byte_too() -> None:
    """What a pattern takes without a parser differs from it in free places only."""
    msg = rows(3)[2]
    whole = decompressed(msg)
    packed = 0
    for place in range(len(whole) - 300, len(whole)):
        data = bytearray(whole)
        data[place] ^= 0x01
        changed = with_payload(msg, bytes(data))
        decoder = trained()
        packed += type(decoder.decode(msg)) is PackedChunk
        assert outcome(decoder, changed) == outcome(ChunkDecoder(), changed), place
    assert packed == 300


def test_a_hash_alone_makes_no_message_alike() -> None:
    """As if every message had the same hash."""
    msgs = rows(9)
    decoder = ChunkDecoder()
    size = msgs[0].uncompressed_size
    decoder._alike._factors[size] = np.zeros(size // 8, np.uint64)
    for msg in msgs:
        decoder.decode(msg)
    check_each_byte(decoder, msgs, step=3)


def test_an_id_with_more_before_its_digits_is_no_pattern() -> None:
    """Python reads digits with blanks between them, so 33 characters may be an id, or none."""

    def with_id(text: str, number: int) -> ArrowMsg:
        chunk = make_chunk("/plot/a", {"frame": [number]}, {"S:x": [[float(number)]]})
        schema = chunk.batch.schema
        named = schema.with_metadata({**schema.metadata, b"rerun:id": text.encode()})
        data = ipc_stream(chunk.batch.replace_schema_metadata(named.metadata))
        return with_payload(row("/plot/a", 0), data)

    decoder = ChunkDecoder()
    for number in range(9):
        text = f"aa {'0' * 29}{number}"
        assert decoder.decode(with_id(text, number)).id == ChunkId(
            bytes.fromhex(text.replace(" ", ""))
        )
    none = [with_id("a" + "0" * 32, number) for number in range(9)]
    assert [outcome(ChunkDecoder(), msg) for msg in none] == [InvalidChunkError] * 9
    assert decoder.decode_alike(none) == [None] * 9
    assert [outcome(decoder, msg) for msg in none] == [InvalidChunkError] * 9


def test_what_is_learnt_again_is_the_same_form() -> None:
    """Rows of one form are merged at once; those of two forms are not."""
    kind = pa.list_(pa.list_(pa.uint8()))

    def nested(number: int, value: object) -> ArrowMsg:
        cells = pa.array([value], kind)
        return encode_chunk(STORE, make_chunk("/n", {"frame": [number]}, {"S:x": cells}))

    decoder = ChunkDecoder()
    some, others = [[1, 2], [3]], [[1], [2, 3]]
    forms = []
    for value in (some, others, some):
        found = [decoder.decode(nested(number, value)) for number in range(3)]
        assert isinstance(found[-1], PackedChunk)
        forms.append(found[-1].form)
    assert forms[0] is forms[2]
    assert forms[0] is not forms[1]


def test_patterns_are_forgotten_before_they_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forebay.codec.chunks.alike.ALIKE_BYTES_MAX", 10_000)
    decoder = ChunkDecoder()
    for length in range(1, 40):
        for number in range(3):
            decoder.decode(row("/a", number, [float(number)] * length))
        shapes = [shape for some in decoder._alike._shapes.values() for shape in some]
        held = sum(len(one.fixed) for shape in shapes for one in shape.known.values())
        assert held <= decoder._alike._num_bytes <= 10_000


def test_sizes_that_lz4_cannot_reach_are_not_allocated_for_many_either() -> None:
    block = pa.Codec("lz4_raw").compress(b"x" * 1000, asbytes=True)
    for size in (2**40, 2**63, limits.LZ4_RATIO_MAX * len(block) + 1):
        with pytest.raises(ValueError, match="cannot become"):
            Lz4Decompressor().decompress_alike([block], size)


def test_messages_of_one_size_may_differ_in_several_sets_of_places() -> None:
    def pixels(count: int, number: int) -> ArrowMsg:
        cells = pa.array([[number] * count], pa.list_(pa.uint8()))
        return encode_chunk(STORE, make_chunk("/a", {"frame": [number]}, {"S:x": cells}))

    decoder = ChunkDecoder()
    for count in (5, 8):  # padded to the same
        for number in range(4):
            decoder.decode(pixels(count, number))
    [(_, shapes)] = decoder._alike._shapes.items()
    assert len(shapes) == 2, "or this test tests nothing"
    msgs = [pixels((5, 8)[number % 2], number) for number in range(20)]
    assert all(type(chunk) is PackedChunk for chunk in decoder.decode_alike(msgs))
