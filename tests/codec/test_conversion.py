"""Columns that are not as a store keeps them: what becomes of them, and what they cost."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

import forebay
from forebay.chunk import ConvertedChunk, EncodedChunk, PackedChunk
from forebay.codec import ChunkDecoder, encode_chunk
from forebay.codec.chunks.ipc import message_extent
from forebay.codec.chunks.peek import ChunkPeeker
from forebay.codec.chunks.peek_times import peek_time_ranges
from forebay.errors import InvalidChunkError, LoadError
from forebay.ingest import ByteBudget, rejected_columns
from forebay.limits import REJECTED_COLUMNS_TOLD_MAX
from forebay.model import ArrowMsg
from forebay.runtime import InlineRuntime
from tests.codec.foreign import (
    METADATA,
    component,
    foreign_batch,
    message,
    read_by_rerun,
    read_here,
    write,
)
from tests.codec.support import STORE_ID

if TYPE_CHECKING:
    from forebay.runtime.protocol import Task

SINGLE_VALUES = {
    "text": pa.array(["a", None, "b"]),
    "numbers": pa.array([1, 2, 3], pa.uint8()),
    "lists of fixed size": pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.list_(pa.float32(), 2)),
    "large lists": pa.array([[1], None, []], pa.large_list(pa.int64())),
    "list views": pa.array([[1], None, []], pa.list_view(pa.int64())),
    "structs": pa.array([{"x": 1}, None, {"x": 3}]),
    "maps": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int64())),
    "dictionaries": pa.array(["a", None, "a"]).dictionary_encode(),
    "nulls": pa.nulls(3),
    "no rows": pa.array([], pa.string()),
}


@pytest.mark.parametrize("name", SINGLE_VALUES)
def test_each_value_of_a_column_that_is_no_list_is_a_list_of_one(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "single.rrd", component(SINGLE_VALUES[name]))
    assert read_here(path) == read_by_rerun(path)
    if name == "text":
        cells = ChunkDecoder().decode(component(SINGLE_VALUES[name])).component("c")
        assert cells.to_pylist() == [["a"], None, ["b"]]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "+02:00"])
def test_the_zone_of_times_is_how_they_are_shown(zone: str, tmp_path: Path) -> None:
    times = pa.array([1, 2], pa.timestamp("ns", zone))
    for number, compression in enumerate((None, "zstd")):
        batch = foreign_batch((pa.array([[1.0], [2.0]]), {}), times=times)
        msg = message(batch, compression=compression)
        path = write(tmp_path / f"{number}.rrd", msg)
        assert read_here(path) == read_by_rerun(path)
        chunk = ChunkDecoder().decode(msg)
        assert chunk.times("f").tolist() == [1, 2]
        assert chunk.batch.column(1).type == pa.timestamp("ns")
        assert ChunkPeeker().peek(msg).layout.is_same_as(chunk.layout)


@pytest.mark.parametrize(
    "times",
    [
        pa.array([1, 2], pa.timestamp("us", "UTC")),
        pa.array([1, 2], pa.int32()),
        pa.array([1, 2], pa.duration("ms")),
        pa.array([1, 2]).dictionary_encode(),
        pa.array([1, 2], pa.date64()),
    ],
    ids=lambda times: str(times.type),
)
def test_times_of_other_types_are_refused_as_by_rerun(times: pa.Array, tmp_path: Path) -> None:
    msg = message(foreign_batch((pa.array([[1.0], [2.0]]), {}), times=times))
    with pytest.raises(InvalidChunkError, match="a timeline is"):
        ChunkDecoder().decode(msg)
    with pytest.raises(RuntimeError, match="time type"):
        read_by_rerun(write(tmp_path / "times.rrd", msg))


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_compressed_buffers_are_read(compression: str, tmp_path: Path) -> None:
    msg = component(pa.array([[1.0] * 500] * 3), compression=compression)
    path = write(tmp_path / "compressed.rrd", msg)
    assert read_here(path) == read_by_rerun(path)
    assert ChunkPeeker().peek(msg).num_rows == 3
    assert peek_time_ranges(ChunkPeeker(), msg) == {}, "the times are compressed, too"


def test_a_peek_goes_past_dictionaries() -> None:
    large = pa.array([[str(number)] for number in range(50_000)])
    column = pa.ListArray.from_arrays(large.offsets, large.values.dictionary_encode())
    msg = component(column)
    head, chunk = ChunkPeeker().peek(msg), ChunkDecoder().decode(msg)
    assert (head.num_rows, list(head.layout.components)) == (50_000, ["c"])
    assert head.layout.is_same_as(chunk.layout)
    compressed = encode_chunk(STORE_ID, chunk)
    assert ChunkPeeker().peek(compressed).num_rows == 50_000


def test_what_is_converted_teaches_no_pattern() -> None:
    """It has the columns of one schema and the message of another."""
    decoder = ChunkDecoder()
    plain = pa.array([[1.0], [2.0]])
    for _ in range(5):
        for msg in (
            component(pa.array(["a", "b"])),
            component(plain, compression="zstd"),
            component(pa.array([1.0, 2.0])),
        ):
            chunk = decoder.decode(msg)
            assert type(chunk) is ConvertedChunk
            assert decoder.decode_alike([msg] * 8) == [None] * 8
        chunk = decoder.decode(component(plain))
        assert type(chunk) is not ConvertedChunk
        assert chunk.component("c").to_pylist() == plain.to_pylist()


def test_messages_with_zoned_times_are_recognised_like_others() -> None:
    decoder = ChunkDecoder()
    kinds = []
    for number in range(6):
        times = pa.array([number], pa.timestamp("ns", "UTC"))
        msg = message(foreign_batch((pa.array([[1.0]]), {"rerun:component": "c"}), times=times))
        chunk = decoder.decode(msg)
        kinds.append(type(chunk))
        assert chunk.times("f").tolist() == [number]
    assert kinds[-1] is PackedChunk
    for number in range(6):
        times = pa.array([number, 9], pa.timestamp("ns", "UTC"))
        many = foreign_batch((pa.array([[1.0], [2.0]]), {"rerun:component": "c"}), times=times)
        chunk = decoder.decode(message(many))
        assert chunk.times("f").tolist() == [number, 9]
    assert type(chunk) is EncodedChunk


# --- what still cannot be read ---


def with_interval_of_months(
    *, has_others: bool = True, kind: str = "data", count: int = 1
) -> ArrowMsg:
    """A message with a column `c` of a type that pyarrow reads and cannot make."""
    intervals = pa.array([[(1, 2, 3)] * count, None], pa.list_(pa.month_day_nano_interval()))
    columns = [(intervals, {"rerun:component": "c", "rerun:kind": kind})]
    if has_others:
        columns.append((pa.array([[1.0], [2.0]]), {"rerun:component": "d"}))
    msg = message(foreign_batch(*columns))
    data = bytes(msg.payload)
    for at in range(0, len(data) - 1, 2):
        if data[at : at + 2] == struct.pack("<h", 2):
            other = data[:at] + struct.pack("<h", 0) + data[at + 2 :]
            try:
                found = pa.ipc.read_schema(pa.py_buffer(other)).field(2).type
            except (pa.ArrowException, NotImplementedError, OSError):
                continue
            if "month_interval" in str(found):
                return msg._replace(payload=other)
    raise AssertionError


def test_a_column_that_cannot_be_read_costs_the_column() -> None:
    chunk = ChunkDecoder().decode(with_interval_of_months())
    assert isinstance(chunk, ConvertedChunk)
    ((name, reason),) = chunk.unread
    assert (name, "month_interval" in reason) == ("c", True)
    assert chunk.component("d").to_pylist() == [[1.0], [2.0]]
    assert list(chunk.components) == ["d"]
    assert ChunkPeeker().peek(with_interval_of_months()).layout.is_same_as(chunk.layout)


def test_without_another_component_the_message_is_rejected() -> None:
    with pytest.raises(InvalidChunkError, match=r"'c' is not read: .*month_interval"):
        ChunkDecoder().decode(with_interval_of_months(has_others=False))


def test_times_that_cannot_be_read_reject_the_message() -> None:
    with pytest.raises(InvalidChunkError, match="a timeline is"):
        ChunkDecoder().decode(with_interval_of_months(kind="index"))


def test_a_lost_column_is_counted_and_told_of_and_the_message_is_committed() -> None:
    hub = forebay.StoreHub()
    sources = ["first", "second"]
    for number, source in enumerate(sources):
        msg = with_interval_of_months()
        payload = bytes(msg.payload).replace(
            METADATA["rerun:id"].encode(), f"chunk_{number:032x}".encode()
        )
        hub.receive_log_msgs([msg._replace(payload=payload)], source)
    hub.flush()
    (db,) = hub.entity_dbs()
    stats = db.ingestion_stats()
    assert (stats.accepted, stats.committed, stats.rejected) == (2, 2, 0)
    assert (stats.columns_rejected, stats.in_flight) == (2, 0)
    rejections = db.rejections()
    assert [rejected.source for rejected in rejections] == sources
    for number, rejected in enumerate(rejections):
        assert isinstance(rejected, forebay.RejectedColumn)
        assert (rejected.component, rejected.store_id) == ("c", STORE_ID)
        assert str(rejected.chunk_id) == f"chunk_{number:032X}".replace("CHUNK", "chunk")
        text = str(rejected.error)
        for part in ("'c'", "/a", str(rejected.chunk_id), "month_interval"):
            assert part in text
        assert rejected.error.byte_offset == 123
    assert db.num_rows == 4
    assert hub.ingestion_stats().total.columns_rejected == 2


def test_very_many_lost_columns_are_counted_and_told_of_together() -> None:
    wide = pa.array([[None], None], pa.list_(pa.decimal128(10, -1000)))
    columns = [(wide, {"rerun:component": f"c{number}"}) for number in range(100)]
    others = pa.array([[1.0], [2.0]])
    msg = message(foreign_batch(*columns, (others, {"rerun:component": "d"})))
    chunk = ChunkDecoder().decode(msg)
    assert isinstance(chunk, ConvertedChunk)
    assert len(chunk.unread) == 100
    told = rejected_columns(0, msg, None, chunk)
    assert len(told) == REJECTED_COLUMNS_TOLD_MAX
    assert sum(column.count for column in told) == 100
    assert "others" in str(told[-1].error)


def test_a_column_lost_where_the_caller_decodes_is_counted_too() -> None:
    hub = forebay.StoreHub()
    db = hub.entity_db(STORE_ID)
    db.add_log_msg(with_interval_of_months())
    assert (db.ingestion_stats().columns_rejected, len(db.rejections())) == (1, 1)
    assert db.ingestion_stats().committed == 1


def test_a_column_of_a_rejected_message_is_not_counted_beside_it() -> None:
    """The store refuses a second chunk of one id with other rows."""
    first = component(pa.array([[1.0]]))
    hub = forebay.StoreHub()
    hub.receive_log_msgs([with_interval_of_months(), first, with_interval_of_months()], "x")
    hub.flush()
    (db,) = hub.entity_dbs()
    stats = db.ingestion_stats()
    assert stats.accepted == stats.committed + stats.rejected == 3
    lost = [one for one in db.rejections() if isinstance(one, forebay.RejectedColumn)]
    whole = {one.seq for one in db.rejections() if isinstance(one, forebay.RejectedMsg)}
    assert len(lost) == stats.columns_rejected
    assert not whole & {one.seq for one in lost}


def test_loading_a_file_tells_of_lost_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "intervals.rrd", with_interval_of_months())
    with pytest.raises(LoadError, match=r"a column was rejected .*month_interval") as info:
        forebay.load(path)
    hub = info.value.hub
    assert hub is not None
    assert hub.recording(STORE_ID.recording_id).num_rows == 2


# --- sizes that compressed buffers claim ---


def claims_of(msg: ArrowMsg) -> list[int]:
    """Where in a message compressed buffers say what they become."""
    data = bytes(msg.payload)
    sizes = [struct.pack("<q", 12000), struct.pack("<q", 48)]
    _, batch = message_extent(memoryview(data), 0)
    _, body = message_extent(memoryview(data), batch)
    return [at for at in range(body, len(data) - 8, 8) if data[at : at + 8] in sizes]


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
@pytest.mark.parametrize("claim", [-(1 << 62), -2, -1, 0, 1, 47, 12001, 1 << 20, 1 << 40, 1 << 62])
def test_a_buffer_that_lies_about_its_size_is_rejected(compression: str, claim: int) -> None:
    msg = component(pa.array([[1.0] * 500] * 3), compression=compression)
    places = claims_of(msg)
    assert places
    for at in places:
        data = bytearray(msg.payload)
        data[at : at + 8] = struct.pack("<q", claim)
        before = pa.default_memory_pool().max_memory()
        with pytest.raises(InvalidChunkError):
            ChunkDecoder().decode(msg._replace(payload=bytes(data)))
        assert pa.default_memory_pool().max_memory() - before < 4 << 20


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_damaged_compressed_buffers_are_rejected_or_read(compression: str) -> None:
    msg = component(pa.array([["a", "b"], None, ["c"] * 50]), compression=compression)
    whole = bytes(msg.payload)
    for at in range(len(whole) // 2, len(whole)):
        for change in (1, 128):
            data = bytearray(whole)
            data[at] ^= change
            try:
                chunk = ChunkDecoder().decode(msg._replace(payload=bytes(data)))
            except InvalidChunkError:
                continue
            chunk.batch.validate(full=True)


def test_what_buffers_become_is_bounded_by_the_size_of_the_message() -> None:
    zeros = pa.array([[0.0] * 2_000_000])
    with pytest.raises(InvalidChunkError, match=r"buffers are too large.*EXPANDED_RATIO_MAX"):
        ChunkDecoder().decode(component(zeros, compression="zstd"))


def test_what_a_chunk_became_counts_until_it_is_settled() -> None:
    """The budget knew the size of the message alone."""
    column = pa.array(["x" * 1000] * 200).dictionary_encode()
    msg = component(column)
    budget = ByteBudget(100_000)
    with forebay.IngestionWorker(byte_budget=100_000, hub_budget=budget) as worker:
        assert worker.try_submit(msg, None)
        worker.wait_processed()
        stats = worker.stats()
        assert stats.output_bytes > 200 * 1000 > 2 * len(msg.payload)
        assert budget.used_bytes == stats.output_bytes
        worker.validate()
        assert not worker.try_submit(component(pa.array([[1.0]])), None), "there is no room"
        worker.poll()
        assert worker.stats().output_bytes == budget.used_bytes == 0
        worker.validate()
        assert worker.try_submit(component(pa.array([[1.0]])), None)


def test_a_turn_ends_when_its_chunks_became_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what is decoded is handed over, and counted, before more is."""
    monkeypatch.setattr("forebay.ingest.batch_decoder.TURN_BYTES_MAX", 300_000)
    msg = component(pa.array(["x" * 1000] * 200).dictionary_encode())

    class Later(InlineRuntime):
        def schedule(self, task: Task) -> None:
            """Not now: the test runs the turns."""

    worker = forebay.IngestionWorker(runtime=Later())
    for _ in range(6):
        worker.submit(msg, None)
    depths = []
    worker._turns.slice_s = 3600.0
    while worker._turns.run_turn():
        depths.append(worker.stats().queue_depth)
    assert depths == [4, 2]
    worker.validate()
    assert len(worker.poll()) == 6


def test_more_dictionaries_than_allowed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forebay.codec.chunks.ipc.DICTIONARIES_MAX", 2)
    texts = pa.array(["a"]).dictionary_encode()
    fits = foreign_batch(*((texts, {"rerun:component": f"c{number}"}) for number in range(2)))
    assert ChunkDecoder().decode(message(fits)).num_rows == 1
    many = foreign_batch(*((texts, {"rerun:component": f"c{number}"}) for number in range(3)))
    with pytest.raises(InvalidChunkError, match="DICTIONARIES_MAX"):
        ChunkDecoder().decode(message(many))


def test_a_chunk_does_not_keep_what_it_lacks() -> None:
    """Or a small column would hold a large one that no limit counts."""
    msg = with_interval_of_months(count=10_000)
    begin = pa.py_buffer(msg.payload).address
    chunk = ChunkDecoder().decode(msg)
    assert list(chunk.components) == ["d"]
    assert len(msg.payload) > 2 * chunk.byte_size
    for column in chunk.batch.columns:
        for buffer in column.buffers():
            assert buffer is None or not begin <= buffer.address < begin + len(msg.payload)
