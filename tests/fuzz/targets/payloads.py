"""Arrow payloads: a chunk whose every column can be read, or an error that names the message."""

from __future__ import annotations

import random
import re

import pyarrow as pa

from forebay.chunk import Chunk
from forebay.codec import ChunkDecoder
from forebay.errors import InvalidChunkError
from tests.fuzz import samples
from tests.fuzz.arrow_fields import change_stream, edit_descriptors
from tests.fuzz.mutators import change_bytes, one_of
from tests.fuzz.target import Target


def draw(data: bytes, rng: random.Random) -> bytes:
    """Another payload altogether, sound but for its shape."""
    try:
        return samples.stream(samples.drawn(rng))
    except (pa.ArrowException, ValueError):
        return data


CHANGES = one_of((9, change_stream), (4, edit_descriptors), (2, change_bytes), (1, draw))


def run(data: bytes) -> str:
    """Decode one payload with a decoder that knows nothing."""
    try:
        chunk = ChunkDecoder().decode(samples.message(data, lz4=False))
    except InvalidChunkError as error:
        assert error.store_id == samples.REC
        return outcome_of(str(error))
    look_at(chunk)
    return f"chunk of {sorted({str(field.type)[:30] for field in chunk.batch.schema})}"


def outcome_of(text: str) -> str:
    """An error in words, without what each input has of its own."""
    return re.sub(r"[\d'\"]+|0x\w+|\\x..", "", text)[:60]


def look_at(chunk: Chunk) -> None:
    """Touch all that a store touches."""
    rows = chunk.num_rows
    row_ids = chunk.row_ids.tobytes()
    assert len(row_ids) == 16 * rows
    assert all(
        row_ids[at : at + 16] <= row_ids[at + 16 : at + 32] for at in range(0, 16 * rows - 16, 16)
    ), "row ids decrease"
    for timeline in chunk.timelines:
        times = chunk.times(timeline)
        assert len(times) == rows
        if rows:
            assert chunk.time_at(timeline, rows - 1) == int(times[-1])
    for component in chunk.components:
        cells = chunk.component(component)
        assert len(cells) == rows
        assert 0 <= chunk.null_count(component) <= rows
        assert chunk.null_count(component) == cells.null_count
        cells.flatten().validate(full=True)
        cells.take(pa.array([0, rows - 1] if rows else [], pa.int64())).validate(full=True)
    assert chunk.byte_size >= 0


def seeds() -> list[bytes]:
    return list(samples.payloads())


TARGET = Target(run, seeds, CHANGES, bytes_max=16384, weight=40)
