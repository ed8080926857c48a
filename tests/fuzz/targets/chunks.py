"""What is accepted is sound: each use of a chunk works, and gives its rows back."""

from __future__ import annotations

import contextlib

import numpy as np
import pyarrow as pa

from forebay.chunk import Chunk, concatenated, sliced
from forebay.chunk.row_ids import are_rising
from forebay.codec import ChunkDecoder, StreamDecoder, StreamEncoder, encode_chunk
from forebay.errors import InvalidChunkError, UnknownTimelineError
from forebay.model import ArrowMsg, Compression
from forebay.store import ChunkStore
from tests.fuzz import samples
from tests.fuzz.comparing import same, same_batches
from tests.fuzz.target import Target
from tests.fuzz.targets.payloads import CHANGES, look_at, outcome_of

FIRST, LAST = -(2**63) + 1, 2**63 - 1


def run(data: bytes) -> str:
    """Decode a payload, and do with the chunk all that a store and its users do."""
    try:
        chunk = ChunkDecoder().decode(samples.message(data, lz4=False))
    except InvalidChunkError as error:
        return outcome_of(str(error))
    use(chunk)
    return f"chunk of {[str(field.type) for field in chunk.batch.schema]}"[:200]


def use(chunk: Chunk) -> None:
    """All consumers in turn."""
    look_at(chunk)
    there_and_back(chunk)
    cut_and_join(chunk)
    written(chunk)
    queried(chunk)


def there_and_back(chunk: Chunk) -> None:
    """A chunk that is sent is the same chunk at the other end."""
    for compression in (Compression.LZ4, Compression.NONE):
        back = ChunkDecoder().decode(encode_chunk(samples.REC, chunk, compression))
        assert back.id == chunk.id
        assert back.entity_path == chunk.entity_path
        assert same_batches(back.batch, chunk.batch), "another chunk at the other end"


def cut_and_join(chunk: Chunk) -> None:
    """Parts of a chunk, joined, are the chunk."""
    if chunk.num_rows < 2 or chunk.is_static:
        return
    middle = chunk.num_rows // 2
    parts = [sliced(chunk, 0, middle), sliced(chunk, middle, chunk.num_rows - middle)]
    for part in parts:
        look_at(part)
        there_and_back(part)
    joined = concatenated(parts)
    look_at(joined)
    there_and_back(joined)
    if not are_rising(chunk.row_ids):
        return  # of equal ones, those of the first part come last: they count
    assert np.array_equal(joined.row_ids, chunk.row_ids)
    for name in chunk.components:
        assert same(joined.component(name), chunk.component(name)), f"{name} is another when joined"
    for name in chunk.timelines:
        assert np.array_equal(joined.times(name), chunk.times(name))


def written(chunk: Chunk) -> None:
    """A file with its manifest can be written, and read again."""
    encoder = StreamEncoder()
    message = encode_chunk(samples.REC, chunk)
    data = b"".join([encoder.header(), encoder.encode(message), encoder.finish()])
    decoder = StreamDecoder()
    (back,) = decoder.feed(data)
    decoder.finish()
    assert isinstance(back, ArrowMsg)
    assert bytes(back.payload) == bytes(message.payload)


def queried(chunk: Chunk) -> None:
    """Every question about a store that has only this chunk, and its removal."""
    store = ChunkStore(samples.REC)
    store.insert(chunk)
    if not chunk.num_rows or not chunk.layout.components:
        assert store.is_empty
        return
    ask(store, chunk)
    copied = store.copy(samples.OTHER)
    store.gc()
    store.gc(protect_latest=0)
    assert store.is_empty or chunk.is_static
    for line in chunk.timelines:
        times = chunk.times(line)
        middle = int(np.sort(times)[len(times) // 2])
        with contextlib.suppress(UnknownTimelineError):  # the cut before took all that it had
            copied.drop_time_range(line, middle, LAST)
        for kept in copied.snapshot().entity_paths():
            ask(copied, None, kept)
    for entity in copied.snapshot().entity_paths():
        copied.drop_entity(entity)
    assert copied.is_empty
    assert copied.num_rows == copied.byte_size == 0


def ask(store: ChunkStore, chunk: Chunk | None, entity: str = "") -> None:
    """Latest-at, range and dataframes on each timeline."""
    snapshot = store.snapshot()
    path = str(chunk.entity_path) if chunk is not None else entity
    for line in (*snapshot.timelines(), None):
        for time in (FIRST, 0, LAST):
            for cell in snapshot.latest_at(line, time, path).values():
                cell.value.validate(full=True)
        table = snapshot.range(line, FIRST, LAST, path)
        table.validate(full=True)
        if chunk is not None and line is not None:
            assert table.num_rows == rows_with_data(chunk, line)
        for fill in (False, True):
            frame = snapshot.dataframe(line, "/**", fill_latest_at=fill)
            frame.validate(full=True)
    assert store.held_bytes >= store.byte_size >= 0


def rows_with_data(chunk: Chunk, line: str) -> int:
    """Rows with a cell, at a time that there may be."""
    has_data = np.zeros(chunk.num_rows, bool)
    for name in chunk.components:
        has_data |= chunk.component(name).is_valid().to_numpy(zero_copy_only=False)
    return int((has_data & (chunk.times(line) >= FIRST)).sum())


def seeds() -> list[bytes]:
    """Chunks that are sound, so that changes begin where consumers do."""
    return [one for one in samples.payloads() if is_sound(one)]


def is_sound(payload: bytes) -> bool:
    with contextlib.suppress(InvalidChunkError, pa.ArrowException):
        ChunkDecoder().decode(samples.message(payload, lz4=False))
        return True
    return False


TARGET = Target(run, seeds, CHANGES, bytes_max=16384, weight=5)
