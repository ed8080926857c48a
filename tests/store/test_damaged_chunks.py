"""A chunk that cannot be opened is put aside and told of; all else goes on without it.

What comes in is checked, so these are put in behind the checks' back.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable

import pyarrow as pa
import pytest

from forebay.chunk import BatchForm, Chunk, ChunkLayout, EncodedChunk
from forebay.codec import encode_chunk
from forebay.errors import InvalidChunkError, QueryError, UnknownEntityError
from forebay.limits import DAMAGE_TEXT_CHARS_MAX
from forebay.model import ChunkDeletion
from forebay.store import ChunkStore, StoreSnapshot
from forebay.store.dataframe import dataframes
from tests.chunks import chunk_id, make_chunk
from tests.store.rows import STORE_ID, narrow_nodes

ROW_IDS, FRAME, OFFSETS = 1, 3, 5
"""Numbers of buffers; every column has one for its nulls, too."""


def good(frame: int, *more: int) -> Chunk:
    frames = [frame, *more]
    return make_chunk("/a", {"frame": frames}, {"S:x": [[float(one)] for one in frames]})


def with_buffer(chunk: Chunk, buffer: int, size: int) -> Chunk:
    """The chunk with a buffer that ends after so many bytes."""
    message, at = _message(chunk, buffer)
    struct.pack_into("<q", message, at + 8, size)
    return _read(chunk, message)


def with_offsets(chunk: Chunk, *offsets: int) -> Chunk:
    """The chunk with other list offsets."""
    message, at = _message(chunk, OFFSETS)
    (begin,) = struct.unpack_from("<q", message, at)
    body = len(message) - _body_size(message)
    struct.pack_into(f"<{len(offsets)}i", message, body + begin, *offsets)
    return _read(chunk, message)


def _message(chunk: Chunk, buffer: int) -> tuple[bytearray, int]:
    """The chunk's record batch as an Arrow message, and where it describes one of the buffers."""
    message = bytearray(chunk.batch.serialize())
    rows = chunk.num_rows
    sizes = (0, 16 * rows, 0, 8 * rows, 0, 4 * (rows + 1), 0, 8 * rows)
    for at in range(0, len(message) - 128, 8):
        pairs = struct.unpack_from("<16q", message, at)
        if pairs[1::2] == sizes:
            return message, at + 16 * buffer
    raise AssertionError(message)


def _body_size(message: bytes | bytearray) -> int:
    return int(pa.ipc.read_message(pa.BufferReader(bytes(message))).body.size)


def _read(chunk: Chunk, message: bytearray) -> Chunk:
    """Neither Arrow nor we look whether the message is sound."""
    batch = pa.ipc.read_record_batch(pa.py_buffer(bytes(message)), chunk.batch.schema)
    return Chunk(chunk.id, chunk.layout, batch)


def taken_for_checked(chunk: Chunk) -> Chunk:
    chunk.is_checked = True
    return chunk


def unreadable(frame: int) -> Chunk:
    """A message that Arrow cannot read, of which a pattern said that it is like another."""
    chunk = good(frame, frame)
    form = BatchForm(chunk.layout, chunk.batch.schema, 0, 2, 64)
    return EncodedChunk(chunk.id, form, pa.py_buffer(b"\xff\xff\xff\xff\x10\0\0\0" + bytes(64)))


DAMAGED: dict[str, Callable[[int], Chunk]] = {
    "one row, times too short": lambda n: with_buffer(good(n), FRAME, 4),
    "rows, times too short": lambda n: with_buffer(good(n, n + 1, n + 2), FRAME, 9),
    "rows, row ids too short": lambda n: with_buffer(good(n, n + 1, n + 2), ROW_IDS, 33),
    "offsets that go back": lambda n: with_offsets(good(n, n + 1, n + 2), 0, 1, 0, -1),
    "offsets that lead nowhere": lambda n: with_offsets(good(n, n + 1, n + 2), 0, 1, 2, 99),
    "checked, one row, times too short": lambda n: taken_for_checked(
        with_buffer(good(n), FRAME, 4)
    ),
    "checked, times too short": lambda n: taken_for_checked(
        with_buffer(good(n, n + 1, n + 2), FRAME, 9)
    ),
    "checked, row ids too short": lambda n: taken_for_checked(
        with_buffer(good(n, n, n + 2), ROW_IDS, 33)
    ),
    "a message that cannot be read": unreadable,
}
damaged_ones = pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED.keys())


def filled(damaged: Callable[[int], Chunk], *, at: int = 3) -> ChunkStore:
    """A store of ten chunks of one row each, and a damaged one among them."""
    store = ChunkStore(STORE_ID)
    for frame in range(10):
        if frame == at:
            store.insert(damaged(100))
        store.insert(good(frame))
    return store


def asked_latest_at(snapshot: StoreSnapshot) -> None:
    assert snapshot.latest_at("frame", 99, "/a")["S:x"].value.to_pylist() == [9.0]
    assert snapshot.latest_at("frame", 200, "/a")["S:x"].value.to_pylist() == [9.0]


def asked_range(snapshot: StoreSnapshot) -> None:
    assert snapshot.range("frame", 0, 200, "/a")["frame"].to_pylist() == list(range(10))


def asked_dataframe(snapshot: StoreSnapshot) -> None:
    assert snapshot.dataframe("frame")["frame"].to_pylist() == list(range(10))
    assert snapshot.dataframe_view("frame", fill_latest_at=True).num_rows == 10
    assert dataframes({"one": snapshot}, "frame").num_rows == 10


def asked_time_range(snapshot: StoreSnapshot) -> None:
    snapshot.look_for_damage()
    assert snapshot.time_range("frame") == (0, 9)


ASKED = (asked_latest_at, asked_range, asked_dataframe, asked_time_range)


@damaged_ones
@pytest.mark.parametrize("first", ASKED)
@pytest.mark.parametrize("fanout", [3, 64])
def test_queries_answer_from_the_other_chunks(
    damaged: Callable[[int], Chunk], first: Callable[[StoreSnapshot], None], fanout: int
) -> None:
    with narrow_nodes(fanout):
        store = filled(damaged)
    snapshot = store.snapshot()
    first(snapshot)
    for ask in ASKED:
        ask(snapshot)
        ask(store.copy(STORE_ID).snapshot())
    (aside,) = store.snapshot().put_aside()
    assert aside.cause
    assert aside.lost_rows in (1, 2, 3)
    assert aside.num_rows == 0
    assert aside.original.id == aside.id
    assert aside.id not in [chunk.id for chunk in store.snapshot().chunks("/a")]


@damaged_ones
def test_it_is_told_of_once(
    damaged: Callable[[int], Chunk], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="forebay"):
        store = filled(damaged)
        for _ in range(3):
            for ask in ASKED:
                ask(store.snapshot())
    (aside,) = store.snapshot().put_aside()
    (record,) = caplog.records
    assert str(aside.id) in record.getMessage()
    assert aside.cause in record.getMessage()
    assert len(aside.cause) <= DAMAGE_TEXT_CHARS_MAX


@damaged_ones
@pytest.mark.parametrize("fanout", [2, 3, 64])
def test_garbage_collection_takes_it_first_and_goes_on(
    damaged: Callable[[int], Chunk], fanout: int
) -> None:
    with narrow_nodes(fanout):
        store = filled(damaged)
        before = store.held_bytes
        assert store.byte_size > 0
        events = store.gc()
        gone = [event.diff for event in events if isinstance(event.diff, ChunkDeletion)]
        assert len(gone) > 1 or fanout < 64
        assert store.snapshot().put_aside() == []
        assert 0 < store.held_bytes < before
        asked_latest_at(store.snapshot())
        assert sum(chunk.num_rows for chunk in store.snapshot().chunks("/a")) == store.num_rows
        assert store.num_chunks == len(store.snapshot().chunks("/a"))
        store.drop_entity("/a")
    assert (store.num_chunks, store.num_rows, store.byte_size) == (0, 0, 0)


@damaged_ones
def test_what_comes_later_is_taken_in_merged_and_dropped(damaged: Callable[[int], Chunk]) -> None:
    with narrow_nodes(3):
        store = filled(damaged)
        for frame in range(10, 60):
            store.insert(good(frame))
        assert store.num_chunks < 30, "nothing was merged"
        table = store.snapshot().range("frame", 0, 59, "/a")
        assert table["frame"].to_pylist() == list(range(60))
        store.drop_time_range("frame", 5, 200)
        assert store.snapshot().range("frame", 0, 200, "/a")["frame"].to_pylist() == [0, 1, 2, 3, 4]
    copied = store.copy(STORE_ID)
    assert copied.held_bytes == store.held_bytes
    assert len(copied.snapshot().put_aside()) == 1


@damaged_ones
def test_writing_says_which_chunk_it_is_and_leaves_it_out(damaged: Callable[[int], Chunk]) -> None:
    with pytest.raises(InvalidChunkError, match="cannot be written") as caught:
        encode_chunk(STORE_ID, damaged(100))
    assert caught.value.chunk_id is not None
    snapshot = filled(damaged).snapshot()
    snapshot.look_for_damage()
    assert len([encode_chunk(STORE_ID, chunk) for chunk in snapshot.chunks("/a")]) == 10


def test_a_damaged_static_chunk_is_not_taken_in() -> None:
    store = ChunkStore(STORE_ID)
    store.insert(make_chunk("/a", None, {"S:x": [[1.0]]}))
    chunk = make_chunk("/b", None, {"S:x": [[2.0]]}, id=7)
    damaged = with_buffer(good(1), ROW_IDS, 9).batch.drop_columns(["frame"])
    layout = ChunkLayout.from_schema(damaged.schema)
    with pytest.raises(ValueError, match=r"(?i)buffer"):
        store.insert(Chunk(chunk.id, layout, damaged))
    assert (store.num_chunks, store.num_rows) == (1, 1)
    assert store.snapshot().entity_paths() == ["/a"]
    assert store.insert(chunk), "the sound chunk of that id is new to it"


def test_a_buffer_longer_than_needed_is_no_damage() -> None:
    chunk = good(5)
    columns = list(chunk.batch.columns)
    data = pa.py_buffer(columns[1].buffers()[1].to_pybytes()[:8] + b"?")
    columns[1] = pa.Array.from_buffers(pa.int64(), 1, [None, data])
    batch = pa.RecordBatch.from_arrays(columns, schema=chunk.batch.schema)
    store = ChunkStore(STORE_ID)
    store.insert(Chunk.validated(chunk_id(1), chunk.layout, batch))
    snapshot = store.snapshot()
    assert snapshot.latest_at("frame", 5, "/a")["S:x"].time == 5
    assert snapshot.range("frame", 5, 5, "/a").num_rows == 1
    assert snapshot.put_aside() == []


def test_errors_that_no_chunk_is_to_blame_for_stay_what_they_are() -> None:
    snapshot = filled(DAMAGED["rows, times too short"]).snapshot()
    with pytest.raises(UnknownEntityError):
        snapshot.range("frame", 0, 9, "/nowhere")
    with pytest.raises(QueryError):
        snapshot.range("frame", "noon", 9, "/a")  # type: ignore[arg-type]
