"""Teaching a decoder with messages, sound and edited, and comparing it with one that knows nothing.

`check` is for Hypothesis, for a seeded generator and for a coverage-guided fuzzer alike: it takes a
shape of `SHAPES` and two sequences of non-negative integers, which `descriptors.mutate` reads.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence

import pyarrow as pa

from forebay.chunk import Chunk
from forebay.codec import ChunkDecoder, encode_chunk
from forebay.errors import InvalidChunkError
from forebay.limits import ALIKE_MSGS_MIN
from forebay.model import Compression, Timeline, TimeType
from tests.chunks import make_chunk
from tests.codec.consumers import STORE_ID, outcome, said, use
from tests.codec.descriptors import Descriptors, mutate
from tests.codec.support import decompressed

COPIES = ALIKE_MSGS_MIN + 1

Cells = Callable[[int], pa.Array]


def listed(kind: pa.DataType, *cells: object) -> Cells:
    return lambda rows: pa.array([cells[row % len(cells)] for row in range(rows)], pa.list_(kind))


def unions(mode: str) -> Cells:
    def make(rows: int) -> pa.Array:
        ids = pa.array([row % 2 for row in range(rows)], pa.int8())
        numbers, texts = pa.array([1] * rows), pa.array(["x"] * rows)
        if mode == "sparse":
            union = pa.UnionArray.from_sparse(ids, [numbers, texts])
        else:
            union = pa.UnionArray.from_dense(
                ids, pa.array(range(rows), pa.int32()), [numbers, texts]
            )
        return pa.ListArray.from_arrays(pa.array(range(rows + 1), pa.int32()), union)

    return make


POINT = pa.struct([pa.field("x", pa.float32(), nullable=False), pa.field("y", pa.int8())])
CELLS: dict[str, Cells] = {
    "scalars": listed(pa.float64(), [1.5]),
    "numbers": listed(pa.uint8(), [1, 2, 3], [4, 5]),
    "points": listed(pa.list_(pa.float32(), 3), [[1, 2, 3], [4, 5, 6]], [[7, 8, 9]]),
    "lists": listed(pa.list_(pa.int16()), [[1, 2], [3]], [[4], [5, 6]]),
    "ids": listed(pa.binary(16), [b"0123456789abcdef"]),
    "times": listed(pa.timestamp("ns"), [1, 2]),
    "nulls in cells": listed(pa.float64(), [1.5, None], None, []),
    "structs": listed(POINT, [{"x": 1.5, "y": 2}], [{"x": 1.5, "y": None}, None]),
    "texts": listed(pa.string(), ["word", "täxt"], [None]),
    "bools": listed(pa.bool_(), [True, False], [None]),
    "maps": listed(pa.map_(pa.string(), pa.int32()), [[("a", 1)], []]),
    "nothing": listed(pa.null(), [None, None]),
    "large": listed(pa.large_list(pa.large_string()), [["a", "b"]]),
    "decimals": listed(pa.decimal128(5, 2), [1, 2]),
    "dense unions": unions("dense"),
    "sparse unions": unions("sparse"),
}
LINES: dict[str, tuple[Timeline, ...]] = {
    "frame": (Timeline("frame", TimeType.SEQUENCE),),
    "several": (
        Timeline("frame", TimeType.SEQUENCE),
        Timeline("log_time", TimeType.TIMESTAMP),
        Timeline("since", TimeType.DURATION),
    ),
    "static": (),
}
SHAPES = [
    (cells, lines, rows)
    for cells in CELLS
    for lines, rows in (("frame", 1), ("frame", 5), ("several", 1), ("several", 4), ("static", 2))
]


@functools.cache
def stream(cells: str, lines: str, rows: int) -> bytes:
    times = {line: [10 * row + 3 for row in range(rows)] for line in LINES[lines]}
    ids = [1000 + row for row in range(rows)]
    chunk = make_chunk("/fuzz/a", times, {"S:x": CELLS[cells](rows)}, ids, id=7)
    return decompressed(encode_chunk(STORE_ID, chunk, Compression.NONE))


def check(shape: tuple[str, str, int], lesson: Sequence[int], then: Sequence[int]) -> Counter[str]:
    """Teach a decoder, and compare it with one that knows nothing; which ways were taken."""
    sound = Descriptors(stream(*shape))
    taught = mutate(sound.copy(), lesson)
    asked = mutate(Descriptors(bytes(taught.data)), then) if _is_whole(taught) else taught
    warm = ChunkDecoder()
    ways: Counter[str] = Counter()
    for compression in (Compression.LZ4, Compression.NONE):
        for teacher in (sound, taught):
            wanted = outcome(ChunkDecoder(), teacher.msg(compression))
            for _ in range(COPIES):
                assert outcome(warm, teacher.msg(compression)) == wanted
    for edited in (taught, asked, sound):
        for compression in (Compression.LZ4, Compression.NONE):
            ways.update(_compare(warm, edited, compression))
    return ways


def _is_whole(edited: Descriptors) -> bool:
    """Whether it can be edited any further: its schema message still tells its places."""
    try:
        return Descriptors(bytes(edited.data)).batch == edited.batch
    except (pa.ArrowException, KeyError, ValueError, OSError):
        return False


def _compare(warm: ChunkDecoder, edited: Descriptors, compression: Compression) -> list[str]:
    msg = edited.msg(compression)
    try:
        full: Chunk | None = ChunkDecoder().decode(msg)
    except InvalidChunkError:
        full = None
    wanted = InvalidChunkError if full is None else said(full)
    ways = []
    for alike in warm.decode_alike([msg] * COPIES):
        if alike is not None:
            assert said(alike) == wanted
            ways.append("alike")
    try:
        fast = warm.decode(msg)
    except InvalidChunkError:
        assert wanted is InvalidChunkError
        return [*ways, "refused"]
    ways.append(type(fast).__name__)
    assert said(fast) == wanted
    use(fast)
    return ways
