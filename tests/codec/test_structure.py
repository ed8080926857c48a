"""What a chunk may consist of, and that learning what chunks look like stays cheap."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from forebay import limits
from forebay.codec import ChunkDecoder, encode_chunk
from forebay.codec.chunks.alike import AlikeDecoder, _Shape
from forebay.codec.chunks.ipc import message_extent
from forebay.codec.chunks.lz4 import Lz4Decompressor
from forebay.codec.chunks.schemas import SchemaCache
from forebay.errors import InvalidChunkError, LimitError
from forebay.limits import STORE_LIMITS
from forebay.model import ArrowMsg, Compression, StoreId
from tests.chunks import make_chunk
from tests.steps import calls_of, check_proportion

STORE = StoreId.recording("app", "rec")


def message(entity: str = "/a", timelines: int = 1, components: int = 1) -> ArrowMsg:
    lines = {f"t{number}": [1] for number in range(timelines)}
    columns = {f"S:c{number}": [[1.0]] for number in range(components)}
    return encode_chunk(STORE, make_chunk(entity, lines, columns))


def nested(depth: int) -> ArrowMsg:
    cells = pa.array([[1.0]])
    for _ in range(depth - 2):
        cells = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), cells)
    return encode_chunk(STORE, make_chunk("/a", {"t": [1]}, {"S:x": cells}))


SMALL = replace(
    STORE_LIMITS,
    path_bytes_max=40,
    path_parts_max=4,
    chunk_columns_max=8,
    chunk_schema_bytes_max=6000,
    type_depth_max=4,
    store_timelines_max=5,
)

WITHIN = {
    "path_bytes_max": message("/" + "x" * 39),
    "path_parts_max": message("/a/b/c/d"),
    "chunk_columns_max": message(components=6),
    "type_depth_max": nested(4),
    "store_timelines_max": message(timelines=5),
}
OVER = {
    "path_bytes_max": message("/" + "x" * 40),
    "path_parts_max": message("/a/b/c/d/e"),
    "chunk_columns_max": message(components=7),
    "chunk_schema_bytes_max": message("/" + "y" * 6000),
    "type_depth_max": nested(5),
    "store_timelines_max": message(timelines=6),
}


@pytest.mark.parametrize("limit", WITHIN)
def test_what_is_just_within_a_limit_is_taken(limit: str) -> None:
    assert ChunkDecoder(structure=SMALL).decode(WITHIN[limit]).num_rows == 1


@pytest.mark.parametrize("limit", OVER)
def test_what_is_over_a_limit_is_rejected_with_its_name(limit: str) -> None:
    with pytest.raises(LimitError, match=limit) as raised:
        ChunkDecoder(structure=SMALL).decode(OVER[limit])
    error = raised.value
    assert isinstance(error, InvalidChunkError)
    assert (error.limit, error.limit_max) == (limit, getattr(SMALL, limit))
    assert (error.store_id, error.chunk_id) == (STORE, OVER[limit].chunk_id)


@pytest.mark.parametrize("limit", ["path_bytes_max", "path_parts_max"])
def test_a_path_is_measured_where_only_the_path_is_new(limit: str) -> None:
    decoder = ChunkDecoder(structure=SMALL)
    entity = "/" + "x" * 40 if limit == "path_bytes_max" else "/a/b/c/d/e"
    same_length = "/" + "a" * (len(entity) - 1)
    if len(same_length) <= SMALL.path_bytes_max:
        decoder.decode(message(same_length))
    with pytest.raises(LimitError, match=limit):
        decoder.decode(message(entity))


def test_a_path_of_many_parts_is_refused_before_it_costs() -> None:
    def cost(parts: int) -> int:
        msg = message("/a" * parts)
        decoder = ChunkDecoder()

        def refused() -> None:
            with pytest.raises(LimitError):
                decoder.decode(msg)

        return calls_of(refused)

    assert cost(20_000) <= cost(10_000) + 8, "it is not even split into parts"


def test_twice_the_columns_take_twice_the_steps() -> None:
    def decoding(msg: ArrowMsg) -> int:
        decoder = ChunkDecoder()
        return calls_of(lambda: decoder.decode(msg))

    check_proportion(lambda size: decoding(message(components=size)), 200)
    check_proportion(lambda size: decoding(message(timelines=size)), 100)


def test_schemas_that_vary_in_ever_new_places_are_looked_up_in_few_ways() -> None:
    cache = SchemaCache()
    for number in range(3 * limits.SCHEMA_SPANS_MAX):
        # The same size each time, with the name's end, and so the chunk's id, somewhere else.
        name = "x" * (8 * number)
        rest = "y" * (8 * (3 * limits.SCHEMA_SPANS_MAX - number))
        chunk = make_chunk(f"/{rest}", {"t": [1]}, {f"S:{name}": [[1.0]]})
        payload = memoryview(encode_chunk(STORE, chunk, Compression.NONE).payload)
        _, end = message_extent(payload.cast("B"), 0)
        cache.read(payload.cast("B")[:end])
    assert max(len(alike) for alike in cache._known.values()) <= limits.SCHEMA_SPANS_MAX
    assert max(len(alike) for alike in cache._other_entities.values()) <= limits.SCHEMA_SPANS_MAX


def test_patterns_of_ever_new_shapes_are_tried_in_few_ways() -> None:
    decoder = AlikeDecoder(Lz4Decompressor())
    for number in range(3 * limits.ALIKE_SHAPES_MAX):
        decoder._shape(512, _Shape((number, number + 32), (), ()))
    assert len(decoder._shapes[512]) == limits.ALIKE_SHAPES_MAX
