"""Reading, decoding and writing messages on many threads at once."""

from __future__ import annotations

import os
import queue
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

from forebay.chunk import Chunk
from forebay.codec import ChunkDecoder, StreamDecoder, StreamEncoder
from forebay.hub import StoreHub, load, read_messages, write_messages
from forebay.model import ArrowMsg, EntityPath
from forebay.runtime import NativeRuntime
from tests.corpus import recording
from tests.hub.conftest import message, recording_id
from tests.stress.hammer import PATIENCE_S, Going, hammer

THREADS = 4


def stream(*messages: ArrowMsg) -> bytes:
    encoder = StreamEncoder()
    return b"".join([encoder.header(), *map(encoder.encode, messages), encoder.finish()])


def test_messages_outlive_their_block_on_other_threads() -> None:
    """One thread cuts messages out of blocks while others read and drop earlier ones."""
    msgs = [message(number, recording_id(f"r{number % 3}")) for number in range(300)]
    data = stream(*msgs)
    expected = [bytes(msg.payload) for msg in msgs]
    handed: queue.Queue[tuple[int, ArrowMsg] | None] = queue.Queue(64)
    blocks: dict[str, Callable[[bytes], bytes | memoryview]] = {
        "bytes": bytes,
        "views": lambda block: memoryview(bytearray(block)),
    }

    def read() -> None:
        for number in range(40):
            make = blocks["bytes" if number % 2 else "views"]
            decoder = StreamDecoder()
            at = 0
            for begin in range(0, len(data), 40_000):
                for msg in decoder.feed(make(data[begin : begin + 40_000])):
                    assert isinstance(msg, ArrowMsg)
                    handed.put((at, msg), timeout=PATIENCE_S)
                    at += 1
            decoder.finish()
        for _ in range(THREADS):
            handed.put(None, timeout=PATIENCE_S)

    def use() -> None:
        decode = ChunkDecoder().decode
        while (item := handed.get(timeout=PATIENCE_S)) is not None:
            at, msg = item
            assert bytes(msg.payload) == expected[at]
            assert decode(msg).num_rows == 1

    hammer([read, *[use] * THREADS])


def test_every_thread_decodes_the_same() -> None:
    """Decoders are one per thread; what they share (paths, types, interned values) is not seen."""
    names = ("one_row_chunks", "many_components", "weird_names", "indexes")
    msgs = [
        msg for name in names for msg in read_messages(recording(name)) if isinstance(msg, ArrowMsg)
    ]
    results: list[list[Chunk]] = []

    def decode_all() -> None:
        decode = ChunkDecoder().decode
        results.append([decode(msg) for msg in msgs])

    hammer([decode_all] * THREADS)
    first, *others = results
    for other in others:
        for one, two in zip(first, other, strict=True):
            assert (one.id, one.entity_path) == (two.id, two.entity_path)
            assert one.entity_path.sort_key == two.entity_path.sort_key
            assert one.layout.is_same_as(two.layout)
            assert one.batch.equals(two.batch)


def test_paths_are_the_same_on_every_thread() -> None:
    texts = [f"/we ird/{number}/ä:b\\/x.{number % 7}" for number in range(500)]
    results: list[list[tuple[object, ...]]] = []

    def parse() -> None:
        paths = [EntityPath(text) for text in texts]
        results.append([(path, path.parts, path.ancestors(), path.sort_key) for path in paths])

    hammer([parse] * THREADS)
    assert all(result == results[0] for result in results)


def test_files_written_and_loaded_side_by_side(tmp_path: Path, native: NativeRuntime) -> None:
    umask = os.umask(0o027)
    try:
        msgs = [message(number) for number in range(20)]

        def write(name: str) -> None:
            for number in range(10):
                write_messages(tmp_path / f"{name}{number}.rrd", msgs)

        hammer([partial(write, name) for name in "abcd"])
        paths = sorted(tmp_path.iterdir())
        assert len(paths) == 40
        assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o640}
    finally:
        assert os.umask(umask) == 0o027, "the process's umask was changed"

    hub = StoreHub(runtime=native)

    def load_them(some: list[Path]) -> None:
        load(*some, hub=hub)

    def look(going: Going) -> None:
        while going:
            for db in hub.recordings():
                assert db.num_rows <= 20

    hammer([partial(load_them, paths[part::THREADS]) for part in range(THREADS)], [look])
    # The same chunks forty times are the same rows once.
    (db,) = hub.recordings()
    assert db.num_rows == 20
    assert db.data_source in map(str, paths)
