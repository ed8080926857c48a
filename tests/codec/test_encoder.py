"""What we write must satisfy Rerun's own tools."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import rerun.chunk

from forebay.codec import ChunkDecoder, StreamDecoder, StreamEncoder, encode_chunk
from forebay.codec.proto import log_msg_pb2
from forebay.codec.rrd.encoder import CHECKSUM_SEED
from forebay.codec.rrd.xxh32 import xxh32
from forebay.model import ArrowMsg, LogMsg, StoreId
from tests.codec.support import data_of, decompressed, messages_of
from tests.corpus import RECORDINGS, recording

RERUN = Path(sys.executable).with_name("rerun")
SINGLE = [name for name in RECORDINGS if name not in ("concatenated", "empty", "several_stores")]


def rrd(*arguments: str | Path) -> str:
    command = [str(RERUN), "rrd", *map(str, arguments)]
    environment = {**os.environ, "RERUN_ANALYTICS": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def encoded(messages: list[LogMsg], **options: bool) -> bytes:
    encoder = StreamEncoder(**options)
    parts = [encoder.header(), *map(encoder.encode, messages), encoder.finish()]
    return b"".join(parts)


def reencoded(messages: tuple[LogMsg, ...]) -> list[LogMsg]:
    decoder = ChunkDecoder()
    return [
        encode_chunk(m.store_id, decoder.decode(m)) if isinstance(m, ArrowMsg) else m
        for m in messages
    ]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every recording written again, its chunks decoded and encoded on the way."""
    directory = tmp_path_factory.mktemp("written")
    for name in RECORDINGS:
        path = directory / recording(name).name
        path.write_bytes(encoded(reencoded(messages_of(name))))
    return directory


def test_rerun_verifies_what_is_written(written: Path) -> None:
    paths = [path for path in written.iterdir() if path.stem != "empty"]
    assert len(paths) == len(RECORDINGS) - 1
    rrd("verify", *paths)


def test_rerun_counts_what_is_written(written: Path) -> None:
    stats = rrd("stats", written / "one_row_chunks.rrd")
    assert "num_chunks = 306" in stats
    assert "chunk index columns: " in stats


@pytest.mark.parametrize("name", ["clears", "indexes", "partial_updates", "weird_names"])
def test_rerun_finds_the_same_data(written: Path, name: str) -> None:
    rrd("compare", "--unordered", recording(name), written / f"{name}.rrd")


@pytest.mark.parametrize("name", [name for name in SINGLE if name != "blueprint"])
def test_rerun_opens_what_is_written(written: Path, name: str) -> None:
    original, copy = (
        rerun.chunk.RrdReader(path) for path in (recording(name), written / f"{name}.rrd")
    )
    assert columns(copy.store()) == columns(original.store())
    assert columns(copy.stream().collect()) == columns(original.stream().collect())


def columns(store: Any) -> list[str]:
    return sorted(map(str, store.schema()))


@pytest.mark.parametrize("name", RECORDINGS)
def test_what_is_written_is_what_was_read(name: str) -> None:
    messages = list(messages_of(name))
    for manifest in (True, False):
        decoder = StreamDecoder()
        again = decoder.feed(encoded(messages, manifest=manifest))
        decoder.finish()
        assert [without_offset(m) for m in again] == [without_offset(m) for m in messages]


def without_offset(message: LogMsg) -> object:
    if isinstance(message, ArrowMsg):
        return (message.store_id, message.chunk_id, message.is_static, bytes(message.payload))
    return message


def manifests(data: bytes) -> dict[StoreId, pa.Table]:
    start, length, checksum = struct.unpack_from("<QQI", data, len(data) - 32)
    payload = data[start : start + length]
    assert xxh32(payload, CHECKSUM_SEED) == checksum
    tables = {}
    for manifest in log_msg_pb2.RrdFooter.FromString(payload).manifests:
        store_id = StoreId.recording("", manifest.store_id.recording_id)
        part = manifest.data
        msg = ArrowMsg(store_id, part.payload, part.compression, part.uncompressed_size)
        tables[store_id] = pa.ipc.open_stream(decompressed(msg)).read_all()
    return tables


@pytest.mark.parametrize("name", SINGLE)
def test_the_manifest_is_the_one_that_rerun_writes(name: str) -> None:
    """Of the same messages at the same places: column for column, cell for cell."""
    data = data_of(name)
    ours = manifests(encoded(list(messages_of(name))))
    for store_id, theirs in manifests(data).items():
        mine = ours[store_id]
        assert sorted(mine.column_names) == sorted(theirs.column_names)
        ordered = mine.select(theirs.column_names)
        assert ordered.schema.equals(theirs.schema, check_metadata=True)
        for column in theirs.column_names:
            if column != "chunk_byte_offset":  # the SDK announces a store twice
                assert ordered[column] == theirs[column], column


def test_a_chunk_that_cannot_be_read_is_written_but_not_listed() -> None:
    messages = list(messages_of("clears"))
    place = next(i for i, m in enumerate(messages) if isinstance(m, ArrowMsg))
    bad = messages[place]
    assert isinstance(bad, ArrowMsg)
    messages[place] = ArrowMsg(bad.store_id, b"damaged", 1, 7)
    data = encoded(messages)
    decoder = StreamDecoder()
    assert len(decoder.feed(data)) == len(messages)
    decoder.finish()
    (table,) = manifests(data).values()
    assert table.num_rows == sum(isinstance(m, ArrowMsg) for m in messages) - 1


def test_a_stream_without_a_manifest_is_readable(tmp_path: Path) -> None:
    path = tmp_path / "plain.rrd"
    path.write_bytes(encoded(list(messages_of("clears")), manifest=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = rerun.chunk.RrdReader(path).stream().collect()
    assert "/tree/leaf" in {column.entity_path for column in store.schema().component_columns()}


@pytest.mark.parametrize(
    ("data", "seed", "checksum"),
    [
        (b"", 0, 0x02CC5D05),
        (b"a", 0, 0x550D7456),
        (b"abc", 0, 0x32D153FF),
        (b"Nobody inspects the spammish repetition", 0, 0xE2293B2F),
    ],
)
def test_xxh32_of_known_texts(data: bytes, seed: int, checksum: int) -> None:
    assert xxh32(data, seed) == checksum
