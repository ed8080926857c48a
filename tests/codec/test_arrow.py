from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from forebay import limits
from forebay.chunk import Chunk
from forebay.codec import ChunkDecoder, StreamDecoder, encode_chunk
from forebay.errors import InvalidChunkError
from forebay.model import ArrowMsg, ChunkId, Compression
from tests.chunks import make_chunk
from tests.codec.support import (
    STORE_ID,
    arrow_msgs_of,
    decompressed,
    ipc_stream,
    plain_msg,
)

VARIABLE = (b"rerun:id", b"rerun:timestamp_sdk_ipc_encoded", b"rerun:timestamp_sdk_grpc_sink")
CHUNK_ID = "chunk_18EABE48A01117A84b32cd1116dae0a6"


def chunk_batch(
    columns: dict[str, pa.Array] | None = None,
    metadata: dict[str, str] | None = None,
    fields: list[pa.Field] | None = None,
) -> pa.RecordBatch:
    """A record batch like the SDK's: two rows of `/a`, unless told otherwise."""
    columns = (
        columns
        if columns is not None
        else {
            "row_id": pa.array([bytes(15) + b"\1", bytes(15) + b"\2"], pa.binary(16)),
            "frame": pa.array([3, 4], pa.int64()),
            "S:x": pa.array([[1.0], None], pa.list_(pa.float64())),
        }
    )
    kinds = {"row_id": b"control", "frame": b"index"}
    if fields is None:
        fields = [
            pa.field(name, column.type, metadata={b"rerun:kind": kinds.get(name, b"data")})
            for name, column in columns.items()
        ]
    described = {
        "rerun:id": CHUNK_ID,
        "rerun:entity_path": "/a",
        "sorbet:version": "0.1.3",
        **(metadata or {}),
    }
    schema = pa.schema(fields, {key: value for key, value in described.items() if value})
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=schema)


def opened(msg: ArrowMsg) -> pa.RecordBatch:
    """What pyarrow makes of a message on its own."""
    reader = pa.ipc.open_stream(decompressed(msg))
    batch = reader.read_next_batch()
    with pytest.raises(StopIteration):
        reader.read_next_batch()
    return batch


def assert_same_as_opened(chunk: Chunk, msg: ArrowMsg) -> None:
    batch = opened(msg)
    order = np.argsort(np.array(batch.column(chunk.layout.row_ids).to_pylist(), object))
    batch = batch.take(pa.array(order))
    assert chunk.batch.columns == batch.columns
    metadata = {k: v for k, v in batch.schema.metadata.items() if k not in VARIABLE}
    assert chunk.batch.schema.equals(batch.schema.with_metadata(metadata), check_metadata=True)
    assert str(chunk.id) == batch.schema.metadata[b"rerun:id"].decode()


def test_the_cached_way_gives_what_pyarrow_gives(recording_path: Path) -> None:
    decoder = ChunkDecoder()
    messages = StreamDecoder().feed(recording_path.read_bytes())
    for msg in [m for m in messages if isinstance(m, ArrowMsg)] * 2:
        chunk = decoder.decode(msg)
        assert_same_as_opened(chunk, msg)
        assert chunk.id == msg.chunk_id
        assert chunk.is_static == msg.is_static


def test_chunks_of_one_schema_share_its_layout() -> None:
    decoder = ChunkDecoder()
    chunks = [decoder.decode(msg) for msg in arrow_msgs_of("one_row_chunks")]
    assert len({id(chunk.layout) for chunk in chunks}) == len({c.entity_path for c in chunks})
    assert len({chunk.id for chunk in chunks}) == len(chunks)


def test_schemas_are_told_apart_where_only_other_bytes_differ() -> None:
    """Of one length, one id, and all but one byte alike."""
    decoder = ChunkDecoder()
    for path in ("/a", "/b", "/a"):
        msg = plain_msg(ipc_stream(chunk_batch(metadata={"rerun:entity_path": path})))
        assert decoder.decode(msg).entity_path == path


def test_an_id_that_stands_elsewhere_too_is_not_mistaken() -> None:
    """Here the id is also the entity's name, so its place cannot be told from the bytes."""
    decoder = ChunkDecoder()
    for last in "678":
        chunk_id = CHUNK_ID[:-1] + last
        batch = chunk_batch(metadata={"rerun:id": chunk_id, "rerun:entity_path": f"/{chunk_id}"})
        chunk = decoder.decode(plain_msg(ipc_stream(batch)))
        assert (str(chunk.id), chunk.entity_path) == (chunk_id, f"/{chunk_id}")


def test_many_schemas_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SCHEMA_CACHE_BYTES_MAX", 1 << 16)
    decoder = ChunkDecoder()
    for number in range(500):
        batch = chunk_batch(metadata={"rerun:entity_path": f"/{number}"})
        assert decoder.decode(plain_msg(ipc_stream(batch))).entity_path == f"/{number}"
    known = decoder._schemas._known.values()
    kept = sum(len(s.arrow.serialize()) for alike in known for _, d in alike for s in d.values())
    assert 0 < kept < 2 << 16


def test_times_of_the_sdk_come_with_the_chunk() -> None:
    decoder = ChunkDecoder()
    for seconds in ("1700000000.012345678", "1700000001.000000001"):
        batch = chunk_batch(
            metadata={
                "rerun:timestamp_sdk_ipc_encoded": seconds,
                "rerun:timestamp_sdk_grpc_sink": "nonsense",
            }
        )
        decoded = decoder.decode_timed(plain_msg(ipc_stream(batch)))
        assert decoded.sdk_ipc_encoded_ns == int(seconds.replace(".", ""))
        assert decoded.sdk_grpc_sink_ns is None
        assert b"rerun:timestamp_sdk_ipc_encoded" not in decoded.chunk.batch.schema.metadata


def test_rows_are_sorted_by_row_id() -> None:
    ids = [bytes([n]) + bytes(15) for n in (3, 1, 2)]
    columns = {
        "row_id": pa.array(ids, pa.binary(16)),
        "frame": pa.array([30, 10, 20]),
        "S:x": pa.array([[3], [1], [2]], pa.list_(pa.int64())),
    }
    chunk = ChunkDecoder().decode(plain_msg(ipc_stream(chunk_batch(columns))))
    assert chunk.times("frame").tolist() == [10, 20, 30]
    assert chunk.component("S:x").to_pylist() == [[1], [2], [3]]


@pytest.mark.parametrize("compression", [Compression.NONE, Compression.LZ4])
def test_encoding_is_the_inverse(compression: Compression, recording_path: Path) -> None:
    decoder = ChunkDecoder()
    for msg in StreamDecoder().feed(recording_path.read_bytes()):
        if isinstance(msg, ArrowMsg):
            chunk = decoder.decode(msg)
            encoded = encode_chunk(msg.store_id, chunk, compression)
            assert (encoded.chunk_id, encoded.is_static) == (chunk.id, chunk.is_static)
            again = decoder.decode(encoded)
            assert again.id == chunk.id
            assert again.batch.equals(chunk.batch, check_metadata=True)


def test_a_payload_at_an_odd_address_is_read() -> None:
    payload = ipc_stream(chunk_batch())
    odd = memoryview(b"x" + payload)[1:]
    chunk = ChunkDecoder().decode(plain_msg(payload)._replace(payload=odd))
    assert chunk.times("frame").flags.aligned
    assert chunk.times("frame").tolist() == [3, 4]


def refused(msg: ArrowMsg) -> str:
    with pytest.raises(InvalidChunkError) as raised:
        ChunkDecoder().decode(msg)
    assert raised.value.store_id == msg.store_id
    assert raised.value.byte_offset == msg.byte_offset
    return str(raised.value)


def test_a_rejection_names_the_chunk_as_soon_as_it_is_known() -> None:
    columns = {
        "row_id": pa.array([bytes(16), None], pa.binary(16)),
        "S:x": pa.array([[1], [2]], pa.list_(pa.int64())),
    }
    with pytest.raises(InvalidChunkError, match=r"row ids .* nulls") as raised:
        ChunkDecoder().decode(plain_msg(ipc_stream(chunk_batch(columns))))
    assert raised.value.chunk_id == ChunkId.parse(CHUNK_ID)
    claimed = plain_msg(b"")._replace(chunk_id=ChunkId(bytes(16)))
    with pytest.raises(InvalidChunkError) as raised:
        ChunkDecoder().decode(claimed)
    assert raised.value.chunk_id == ChunkId(bytes(16))


@pytest.mark.parametrize("size", [-1, 0, 1, 2759, 2761, 1 << 20, 1 << 40, 2**63, 2**64 - 1])
def test_lying_sizes_are_refused(size: int) -> None:
    msg = arrow_msgs_of("one_row_chunks")[5]
    assert msg.uncompressed_size != size
    assert refused(msg._replace(uncompressed_size=size))


@pytest.mark.parametrize("number", [-1, 3, 99])
def test_unknown_numbers_are_refused(number: int) -> None:
    msg = plain_msg(ipc_stream(chunk_batch()))
    assert "compression" in refused(msg._replace(compression=number))
    assert "encoding" in refused(msg._replace(encoding=number))
    assert "encoding" in refused(msg._replace(encoding=0))


def columns_of(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    return dict(zip(batch.schema.names, batch.columns, strict=True))


def without(name: str) -> pa.RecordBatch:
    return chunk_batch({k: v for k, v in columns_of(chunk_batch()).items() if k != name})


BATCH = chunk_batch()
STREAM = ipc_stream(BATCH)
SCHEMA_ONLY = BATCH.schema.serialize().to_pybytes()
FLOATS = pa.array([1.0, 2.0])
BAD_PAYLOADS: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "ends where"),
    "garbage": (lambda: b"garbage " * 20, "no Arrow message"),
    "a schema alone": (lambda: SCHEMA_ONLY, "ends where"),
    "a schema and an end": (lambda: SCHEMA_ONLY + b"\xff\xff\xff\xff\0\0\0\0", "no record batch"),
    "endless metadata": (lambda: b"\xff\xff\xff\xff\xff\xff\xff\x7f" + STREAM[8:], "no Arrow"),
    "negative metadata": (lambda: b"\xff\xff\xff\xff\xff\xff\xff\xff" + STREAM[8:], "no Arrow"),
    "two batches": (lambda: ipc_stream(BATCH, BATCH), "goes on"),
    "a cut body": (lambda: STREAM[:-40], "claims"),
    "a batch alone": (lambda: STREAM[len(SCHEMA_ONLY) :], "begin with a schema"),
    "two schemas": (lambda: SCHEMA_ONLY + STREAM, "message 1"),
    "no columns": (lambda: ipc_stream(chunk_batch({})), "no row-id column"),
    "no row ids": (lambda: ipc_stream(without("row_id")), "no row-id column"),
    "no path": (lambda: ipc_stream(chunk_batch(metadata={"rerun:entity_path": ""})), "entity_path"),
    "no id": (lambda: ipc_stream(chunk_batch(metadata={"rerun:id": ""})), "rerun:id"),
    "no such id": (lambda: ipc_stream(chunk_batch(metadata={"rerun:id": "chunk_x"})), "rerun:id"),
    "floats for times": (
        lambda: ipc_stream(chunk_batch({**columns_of(BATCH), "frame": FLOATS})),
        "a timeline is",
    ),
    "null times": (
        lambda: ipc_stream(chunk_batch({**columns_of(BATCH), "frame": pa.array([1, None])})),
        "'frame' .* nulls",
    ),
    "seconds for nanoseconds": (
        lambda: ipc_stream(
            chunk_batch({**columns_of(BATCH), "frame": pa.array([1, 2], pa.timestamp("s"))})
        ),
        "a timeline is",
    ),
}


@pytest.mark.parametrize("name", BAD_PAYLOADS)
def test_bad_payloads_are_refused_with_a_reason(name: str) -> None:
    make, reason = BAD_PAYLOADS[name]
    with pytest.raises(InvalidChunkError, match=reason):
        ChunkDecoder().decode(plain_msg(make()))


def test_newer_chunks_are_read() -> None:
    for version in ("0.1.4", "0.2.0", "1.0.0", ""):
        msg = plain_msg(ipc_stream(chunk_batch(metadata={"sorbet:version": version})))
        assert ChunkDecoder().decode(msg).num_rows == 2


def test_offsets_that_leave_their_array_are_refused() -> None:
    """Without full validation pyarrow would follow them out of the buffer."""
    cells = pa.array([[1.0], [2.0]], pa.list_(pa.float64()))
    offsets = np.array([0, 1_000_000, 2], np.int32)
    wild = pa.Array.from_buffers(
        cells.type, 2, [None, pa.py_buffer(offsets)], children=[cells.values]
    )
    decoder = ChunkDecoder()
    honest = ipc_stream(chunk_batch({**columns_of(BATCH), "S:x": cells}))
    lying = ipc_stream(chunk_batch({**columns_of(BATCH), "S:x": wild}))
    for _ in range(2):  # also once the batch's shape is known
        assert decoder.decode(plain_msg(honest)).num_rows == 2
        with pytest.raises(InvalidChunkError, match="contradicts itself"):
            decoder.decode(plain_msg(lying))


def test_text_that_is_not_utf_8_is_refused() -> None:
    text = pa.array([[b"\xff\xfe"], [b"fine"]], pa.list_(pa.binary()))
    wrong = pa.ListArray.from_arrays(
        text.offsets, pa.Array.from_buffers(pa.string(), 2, text.values.buffers())
    )
    msg = plain_msg(ipc_stream(chunk_batch({**columns_of(BATCH), "S:x": wrong})))
    assert "contradicts itself" in refused(msg)


def test_nulls_are_found_though_a_batch_of_that_shape_was_dense() -> None:
    """A sender may claim no nulls and send a bitmap that has some."""
    decoder = ChunkDecoder()
    times = pa.Array.from_buffers(
        pa.int64(), 2, [pa.py_buffer(b"\x01" + bytes(7)), pa.py_buffer(bytes(16))]
    )
    dense = ipc_stream(chunk_batch({**columns_of(BATCH), "frame": pa.array([1, 2])}))
    decoder.decode(plain_msg(dense))
    nulls = ipc_stream(chunk_batch({**columns_of(BATCH), "frame": times}))
    for _ in range(2):
        with pytest.raises(InvalidChunkError, match="nulls"):
            decoder.decode(plain_msg(nulls))


@pytest.mark.parametrize("size", [1_000, 100_000])
def test_a_small_message_keeps_no_large_buffer_alive(size: int) -> None:
    """One scalar out of a file that was read in one piece, for one."""
    chunk = make_chunk("/a", {"frame": [1]}, {"S:x": [[1.0]]})
    payload = bytes(encode_chunk(STORE_ID, chunk, Compression.NONE).payload)
    whole = payload + bytes(size)
    msg = plain_msg(payload)._replace(payload=memoryview(whole)[: len(payload)])
    begin = pa.py_buffer(whole).address
    inside = [
        begin <= buffer.address < begin + len(whole)
        for column in ChunkDecoder().decode(msg).batch.columns
        for buffer in column.buffers()
        if buffer is not None
    ]
    assert all(inside) == any(inside) == (len(whole) <= 2 * len(payload))


def test_no_message_is_larger_than_messages_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    chunk = make_chunk("/a", {"frame": [1]}, {"S:x": [[1.0] * 10_000]})
    msg = encode_chunk(STORE_ID, chunk)
    assert msg.uncompressed_size > 20_000
    monkeypatch.setattr(limits, "MESSAGE_SIZE_BYTES_MAX", 20_000)
    with pytest.raises(InvalidChunkError, match="more than a message holds"):
        ChunkDecoder().decode(msg)


def test_a_value_that_two_keys_share_is_parsed_every_time() -> None:
    """A sender may let two keys point to one text: then it is not the id alone that varies."""

    def crafted(number: int) -> bytes:
        own = f"chunk_{number:032x}".encode()
        texts = (b"y" * len(own), b"z" * len(own))
        batch = chunk_batch(metadata={"rerun:id": texts[0].decode(), "other": texts[1].decode()})
        data = bytearray(ipc_stream(batch))
        first, last = sorted(data.find(text) for text in texts)
        [pointer] = [  # what points to the first text, from before it; now it points to the last
            at
            for at in range(0, first, 4)
            if at + int.from_bytes(data[at : at + 4], "little") == first - 4
        ]
        data[pointer : pointer + 4] = (last - 4 - pointer).to_bytes(4, "little")
        data[last : last + len(own)] = own
        return bytes(data)

    decoder = ChunkDecoder()
    for number in (1, 2):
        chunk = decoder.decode(plain_msg(crafted(number)))
        assert chunk.batch.schema.metadata[b"other"] == str(chunk.id).encode()


def test_a_type_of_a_negative_size_is_refused() -> None:
    """pyarrow reads it, and trips over it later."""
    size = 123_456_789
    cells = pa.array([None, None], pa.list_(pa.list_(pa.float64(), size)))
    batch = chunk_batch(
        {
            "row_id": pa.array([bytes(15) + b"\1", bytes(15) + b"\2"], pa.binary(16)),
            "frame": pa.array([3, 4], pa.int64()),
            "S:x": cells,
        }
    )
    data = ipc_stream(batch)
    there = size.to_bytes(4, "little")
    assert data.count(there) == 1
    assert ChunkDecoder().decode(plain_msg(data)).num_rows == 2
    damaged = data.replace(there, (-5).to_bytes(4, "little", signed=True))
    with pytest.raises(InvalidChunkError, match="does not read"):
        ChunkDecoder().decode(plain_msg(damaged))
