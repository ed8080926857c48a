from __future__ import annotations

import functools

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.chunk import Chunk, EncodedChunk
from forebay.codec import ChunkDecoder, encode_chunk
from forebay.codec.chunks import batch_patterns
from forebay.codec.chunks.batch_patterns import BatchPatterns
from forebay.errors import InvalidChunkError
from forebay.model import ArrowMsg, Compression, StoreId
from tests.chunks import make_chunk
from tests.codec.support import decompressed

STORE = StoreId.recording("app", "rec")
ROWS = 5


def message(entity: str, number: int, rows: int = ROWS, row_ids: list[int] | None = None) -> Chunk:
    first = 1000 * number
    return make_chunk(
        entity,
        {"frame": list(range(first, first + rows))},
        {"S:x": [[float(first + row)] for row in range(rows)]},
        row_ids or list(range(first, first + rows)),
    )


def encoded(chunk: Chunk) -> ArrowMsg:
    return encode_chunk(STORE, chunk)


def said(chunk: Chunk) -> tuple[object, ...]:
    chunk.batch.validate(full=True)
    return (
        chunk.id,
        chunk.entity_path,
        chunk.num_rows,
        str(chunk.batch.to_pydict()),
        str(chunk.batch.schema.to_string(show_schema_metadata=True)),
        [chunk.row_id_at(row) for row in range(chunk.num_rows)],
        {name: chunk.times(name).tolist() for name in chunk.timelines},
        {name: chunk.null_count(name) for name in chunk.components},
    )


def outcome(decoder: ChunkDecoder, msg: ArrowMsg) -> object:
    try:
        return said(decoder.decode(msg))
    except InvalidChunkError as error:
        return type(error)


def trained() -> ChunkDecoder:
    decoder = ChunkDecoder()
    for number in range(2):
        decoder.decode(encoded(message("/a", number)))
    return decoder


@pytest.mark.parametrize("entity", ["/a", "/b", "/longer/path"])
def test_a_message_like_an_earlier_one_of_any_entity_is_opened_later(entity: str) -> None:
    decoder = trained()
    for number in (5, 6):
        msg = encoded(message(entity, number))
        chunk = decoder.decode(msg)
        assert type(chunk) is EncodedChunk
        opened = ChunkDecoder().decode(msg)
        assert chunk.byte_size_max == chunk.byte_size == opened.byte_size
        assert said(chunk) == said(opened)


def test_rows_out_of_order_are_sorted_when_it_is_opened() -> None:
    msg = encoded(message("/a", 5))
    data = bytearray(decompressed(msg))
    first, last = (one.to_bytes(8, "big") + bytes(8) for one in (5000, 5000 + ROWS - 1))
    at, end = data.find(first), data.find(last)
    data[at : at + 16], data[end : end + 16] = last, first
    swapped = with_payload(msg, bytes(data))
    chunk = trained().decode(swapped)
    assert type(chunk) is EncodedChunk
    assert said(chunk) == said(ChunkDecoder().decode(swapped))
    assert [chunk.row_id_at(row).time_ns for row in range(ROWS)] == list(range(5000, 5000 + ROWS))


def with_payload(msg: ArrowMsg, data: bytes) -> ArrowMsg:
    return msg._replace(
        payload=pa.Codec("lz4_raw").compress(data, asbytes=True),
        uncompressed_size=len(data),
        compression=Compression.LZ4,
    )


@functools.cache
def plain() -> tuple[ArrowMsg, bytes]:
    msg = encoded(message("/a", 7))
    return msg, decompressed(msg)


@settings(max_examples=150, deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_whatever_byte_is_changed_the_outcome_is_that_of_parsing_it(
    where: float, change: int
) -> None:
    msg, data = plain()
    changed = bytearray(data)
    changed[int(where * len(data))] ^= change
    damaged = with_payload(msg, bytes(changed))
    assert outcome(trained(), damaged) == outcome(ChunkDecoder(), damaged)


def test_other_sizes_texts_nulls_and_static_chunks_are_opened_at_once() -> None:
    decoder = trained()
    text = pa.array([["x"]] * ROWS, pa.list_(pa.string()))
    for chunk in (
        message("/a", 8, ROWS + 1),
        make_chunk("/a", {"frame": list(range(ROWS))}, {"S:x": [[1.0], None, [2.0], [], [3.0]]}),
        make_chunk("/a", {}, {"S:x": [[1.0]] * ROWS}),
        make_chunk("/a", {"frame": list(range(ROWS))}, {"S:x": text}),
    ):
        assert type(decoder.decode(encoded(chunk))) is Chunk


def test_lists_of_other_lengths_are_no_match() -> None:
    decoder = trained()
    cells = [[1.0, 2.0], [], [3.0], [4.0], [5.0]]
    chunk = make_chunk("/a", {"frame": list(range(ROWS))}, {"S:x": cells})
    msg = encoded(chunk)
    assert len(decompressed(msg)) == len(plain()[1])
    assert said(decoder.decode(msg)) == said(ChunkDecoder().decode(msg))


def test_patterns_are_forgotten_before_they_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_patterns, "BATCH_PATTERNS_BYTES_MAX", 4096)
    decoder = ChunkDecoder()
    for rows in range(2, 40):
        for number in range(3):
            decoder.decode(encoded(message("/a", number, rows)))
        patterns: BatchPatterns = decoder._batches
        held = sum(len(one.fixed) for one in patterns._known.values())
        assert held <= patterns._num_bytes <= 4096


def test_messages_seen_once_are_forgotten_before_they_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch_patterns, "BATCH_MESSAGES_SEEN_MAX", 3)
    decoder = ChunkDecoder()
    for rows in range(2, 20):
        decoder.decode(encoded(message("/a", 0, rows)))
        assert len(decoder._batches._seen) <= 3


def test_a_static_chunk_is_opened_however_often_its_kin_came() -> None:
    """It is looked into at once, so there is nothing to save."""
    decoder = ChunkDecoder()
    for number in range(4):
        msg = encoded(make_chunk("/a", {}, {"S:x": [[float(number)]] * ROWS}))
        assert type(decoder.decode(msg)) is Chunk


def test_a_batch_that_begins_between_is_parsed() -> None:
    """Numbers at odd addresses are for Arrow to look at, and to copy if need be."""
    msg, data = plain()
    length = int.from_bytes(data[4:8], "little")
    shifted = data[:4] + (length + 4).to_bytes(4, "little") + data[8 : 8 + length] + bytes(4)
    moved = with_payload(msg, shifted + data[8 + length :])
    decoder = trained()
    assert type(decoder.decode(msg)) is EncodedChunk
    for _ in range(3):
        chunk = decoder.decode(moved)
        assert type(chunk) is Chunk
    assert said(chunk) == said(ChunkDecoder().decode(msg))
