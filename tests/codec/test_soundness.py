"""Hostile messages, made by hand: each is refused, or read soundly by all that reads chunks."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.chunk import Chunk, EncodedChunk, PackedChunk, number_spans
from forebay.codec import ChunkDecoder
from forebay.codec.chunks import soundness
from forebay.codec.chunks.alike import AlikeDecoder
from forebay.codec.chunks.batch_patterns import BatchPatterns
from forebay.codec.chunks.ipc import message_extent, read_batch_header
from forebay.codec.chunks.lz4 import Lz4Decompressor
from forebay.codec.chunks.schemas import SchemaCache
from forebay.codec.chunks.soundness import are_apart, are_numbers_alone
from forebay.errors import InvalidChunkError
from forebay.limits import BODILESS_VALUES_PER_ROW_MAX
from forebay.model import ArrowMsg, Compression
from tests.codec.consumers import outcome, said, use
from tests.codec.descriptors import Descriptors
from tests.codec.lessons import CELLS, COPIES, stream
from tests.codec.support import ipc_stream, plain_msg
from tests.codec.test_arrow import chunk_batch, columns_of

Edit = Callable[[Descriptors], None]
BIG = 2**62
X = ("S:x", "item")
ROW_ID = "rerun.controls.RowId"


def message(cells: str = "scalars", rows: int = 5, lines: str = "frame") -> Descriptors:
    return Descriptors(stream(cells, lines, rows))


def buffer(kind: str, *path: str, offset: int | None = None, length: int | None = None) -> Edit:
    return lambda d: d.set_buffer(d.find(kind, *path), offset=offset, length=length)


def node(*path: str, length: int | None = None, nulls: int | None = None) -> Edit:
    return lambda d: d.set_node(d.find_node(*path), length=length, nulls=nulls)


def poke(code: str, kind: str, *path: str, values: tuple[int, ...], at: int = 0) -> Edit:
    return lambda d: d.poke(d.find(kind, *path), code, *values, at=at)


def over(kind: str, *path: str, of: tuple[str, ...]) -> Edit:
    """Lay a buffer over another."""
    return lambda d: d.set_buffer(d.find(kind, *path), offset=d.buffer(d.find(*of))[0])


def longer(kind: str, *path: str, by: int) -> Edit:
    """Let a buffer claim some of the padding behind it, or less than it has."""

    def edit(d: Descriptors) -> None:
        number = d.find(kind, *path)
        d.set_buffer(number, length=d.buffer(number)[1] + by)

    return edit


def moved(kind: str, *path: str, content: bytes) -> Edit:
    """Give a buffer other content, of any length, behind all others."""

    def edit(d: Descriptors) -> None:
        d.set_buffer(d.find(kind, *path), offset=d.append(content), length=len(content))

    return edit


def rows(count: int) -> Edit:
    """The batch, and all of its columns, claim so many rows."""

    def edit(d: Descriptors) -> None:
        d.rows = count
        for number, place in enumerate(d.nodes):
            if len(place.path) == 1:
                d.set_node(number, length=count, nulls=0)

    return edit


def batch_rows(count: int) -> Edit:
    def edit(d: Descriptors) -> None:
        d.rows = count

    return edit


def body(by: int) -> Edit:
    def edit(d: Descriptors) -> None:
        d.body_length += by

    return edit


def claimed(*, nodes: int | None = None, buffers: int | None = None) -> Edit:
    def edit(d: Descriptors) -> None:
        if nodes is not None:
            d.count_nodes(nodes)
        if buffers is not None:
            d.count_buffers(buffers)

    return edit


def lengthened_child(kind: str, code: str, *path: str, by: int) -> Edit:
    """A child has more values than its parent needs, and the bytes for them."""

    def edit(d: Descriptors) -> None:
        number = d.find_node(*path)
        length = d.node(number)[0] + by
        d.set_node(number, length=length)
        at = d.append(bytes(struct.calcsize(code) * length))
        d.set_buffer(d.find(kind, *path), offset=at, length=struct.calcsize(code) * length)

    return edit


def hide_nulls(d: Descriptors) -> None:
    """Give the required field of a struct a bitmap with a null that its parent has not."""
    number = d.find_node(*X, "x")
    at = d.append(b"\xfe" + bytes(7))
    d.set_node(number, nulls=1 + sum_unset(d.node(number)[0]))
    d.set_buffer(d.find("validity", *X, "x"), offset=at, length=8)


def sum_unset(length: int) -> int:
    """Bits from the ninth on, which the bitmap of `hide_nulls` has not set."""
    return max(length - 8, 0)


def null_key(d: Descriptors) -> None:
    number = d.find_node(*X, "item", "key")
    at = d.append(bytes(8))
    d.set_node(number, nulls=d.node(number)[0])
    d.set_buffer(d.find("validity", *X, "item", "key"), offset=at, length=8)


@dataclass(frozen=True)
class Hostile:
    """A sound message and what was done to it.

    Attributes:
        cells: Which cells it has.
        edit: What was changed.
        reason: Why it is refused; `None` if it is read.
        rows: How many it had.
    """

    cells: str
    edit: Edit
    reason: str | None
    rows: int = 5


HOSTILE: dict[str, Hostile] = {
    # Buffers that are too short, too long, elsewhere, nowhere.
    "times too short": Hostile("scalars", longer("values", "frame", by=-1), "too small"),
    "times of no bytes": Hostile("scalars", buffer("values", "frame", length=0), "too small"),
    "one time of nine bytes": Hostile(
        "scalars", moved("values", "frame", content=struct.pack("<qB", 5, 1)), None, rows=1
    ),
    "five times of 47 bytes": Hostile(
        "scalars", moved("values", "frame", content=struct.pack("<5q7B", *range(12))), None
    ),
    "five row ids of 95 bytes": Hostile(
        "scalars", moved("values", ROW_ID, content=bytes(range(95))), None
    ),
    "times and a byte more": Hostile(
        "scalars", longer("values", "frame", by=1), "another one overlap"
    ),
    "row ids too short": Hostile("scalars", longer("values", ROW_ID, by=-1), "too small"),
    "row ids of no bytes": Hostile("scalars", buffer("values", ROW_ID, length=0), "too small"),
    "offsets too short": Hostile("scalars", longer("offsets", "S:x", by=-1), "isn't large|small"),
    "no offsets": Hostile("scalars", buffer("offsets", "S:x", length=0), "too small"),
    "offsets and padding": Hostile("scalars", longer("offsets", "S:x", by=4), None, rows=2),
    "validity too short": Hostile(
        "nulls in cells", buffer("validity", "S:x", length=0), "too small"
    ),
    "values too short": Hostile("scalars", longer("values", *X, by=-1), "too small"),
    "type ids too short": Hostile("dense unions", longer("type_ids", *X, by=-1), "too small"),
    "a negative length": Hostile("scalars", buffer("values", "frame", length=-8), "outside"),
    "a negative offset": Hostile("scalars", buffer("values", "frame", offset=-8), "outside"),
    "an offset beyond the body": Hostile(
        "scalars", buffer("values", "frame", offset=1 << 20), "outside"
    ),
    "an end that overflows": Hostile(
        "scalars", buffer("values", "frame", offset=BIG, length=BIG), "outside"
    ),
    "a buffer between": Hostile("scalars", buffer("values", "frame", offset=81), "at a multiple"),
    # Buffers over one another.
    "times over row ids": Hostile(
        "scalars", over("values", "frame", of=("values", ROW_ID)), "and another one overlap"
    ),
    "times over offsets": Hostile(
        "scalars", over("values", "frame", of=("offsets", "S:x")), "and another one overlap"
    ),
    "values over offsets": Hostile(
        "scalars", over("values", *X, of=("offsets", "S:x")), "and another one overlap"
    ),
    "offsets over times": Hostile(
        "scalars", over("offsets", "S:x", of=("values", "frame")), "and another one overlap"
    ),
    "type ids over values": Hostile(
        "dense unions", over("type_ids", *X, of=("values", ROW_ID)), "and another one overlap"
    ),
    "validity over values": Hostile(
        "nulls in cells", over("validity", "S:x", of=("values", ROW_ID)), "and another one overlap"
    ),
    # Field nodes.
    "more rows than columns have": Hostile("scalars", batch_rows(6), "did not match"),
    "fewer rows than columns have": Hostile("scalars", batch_rows(4), "did not match"),
    "rows below zero": Hostile("scalars", rows(-1), "-1 rows"),
    "rows that overflow": Hostile("scalars", rows(BIG), "values|too small|batch"),
    "more rows than bytes": Hostile("scalars", rows(6), "too small"),
    "fewer rows than bytes": Hostile("scalars", rows(3), None),
    "no rows": Hostile("scalars", rows(0), None),
    "a column of another length": Hostile("scalars", node("frame", length=4), "did not match"),
    "a child below zero": Hostile("scalars", node(*X, length=-1), "nulls in -1 values"),
    "a child too short for offsets": Hostile("scalars", node(*X, length=4), "Offset invariant"),
    "a child that overflows": Hostile("scalars", node(*X, length=BIG), "claims"),
    "a list of four billion nulls": Hostile(
        "nothing", node(*X, length=2**32, nulls=2**32), "claims 4294967296 values"
    ),
    "too few nodes": Hostile("scalars", claimed(nodes=3), "3 field nodes"),
    "too few buffers": Hostile("scalars", claimed(buffers=7), "out of range"),
    "nodes without end": Hostile("scalars", claimed(nodes=2**32 - 1), "not within its flatbuffer"),
    "buffers without end": Hostile(
        "scalars", claimed(buffers=2**32 - 1), "not within its flatbuffer"
    ),
    # Null counts.
    "more nulls than values": Hostile("scalars", node(*X, nulls=6), "claims 6 nulls"),
    "nulls not counted": Hostile("scalars", node("frame", nulls=-1), "claims -1 nulls"),
    "nulls below that": Hostile("nulls in cells", node("S:x", nulls=-2), "claims -2 nulls"),
    "nulls without a bitmap": Hostile("scalars", node("S:x", nulls=1), "too small"),
    "a wrong null count": Hostile("nulls in cells", node("S:x", nulls=3), "null_count value"),
    "nulls that are denied": Hostile("nulls in cells", node("S:x", nulls=0), None),
    "null times": Hostile("scalars", node("frame", nulls=1), "too small"),
    # Children.
    "a struct's child too short": Hostile("structs", node(*X, "y", length=2, nulls=0), "need"),
    "a struct's child too long": Hostile(
        "structs", lengthened_child("values", "<f", *X, "x", by=3), "need"
    ),
    "a fixed list's child too short": Hostile("points", node(*X, "item", length=2), "need"),
    "a fixed list's child too long": Hostile(
        "points", lengthened_child("values", "<f", *X, "item", by=3), "need"
    ),
    "a sparse union's child too short": Hostile("sparse unions", node(*X, "0", length=1), "need"),
    "nulls where none may be": Hostile("structs", hide_nulls, "not nullable"),
    # What lies in buffers.
    "falling offsets": Hostile(
        "scalars", poke("i", "offsets", "S:x", values=(0, 2, 1)), "Offset invariant"
    ),
    "offsets beyond the child": Hostile(
        "scalars", poke("i", "offsets", "S:x", values=(6,), at=5), "Offset invariant"
    ),
    "negative offsets": Hostile(
        "scalars", poke("i", "offsets", "S:x", values=(-1,)), "Offset|offset"
    ),
    "offsets that do not begin at zero": Hostile(
        "scalars", poke("i", "offsets", "S:x", values=(1,)), None
    ),
    "offsets inside a letter": Hostile(
        "texts", poke("i", "offsets", *X, values=(6,), at=2), "UTF-?8|Offset|invariant"
    ),
    "text that is not UTF-8": Hostile("texts", poke("B", "values", *X, values=(255,)), "UTF"),
    "type ids that there are not": Hostile(
        "dense unions", poke("b", "type_ids", *X, values=(7,)), "Union value"
    ),
    "union offsets beyond the child": Hostile(
        "dense unions", poke("i", "offsets", *X, values=(7,)), "Union value"
    ),
    "a decimal of too many digits": Hostile(
        "decimals", poke("q", "values", *X, values=(10**9,)), "precision"
    ),
    "a key of a map that is null": Hostile("maps", null_key, "null|too small"),
    # The body.
    "a shorter body": Hostile("scalars", body(-8), "outside|goes on"),
    "a body that takes the end of the stream in": Hostile("scalars", body(8), None),
    "a longer body": Hostile("scalars", body(16), "claims"),
    "a body below zero": Hostile("scalars", body(-(2**40)), "outside|claims"),
}


def prepared(hostile: Hostile) -> Descriptors:
    edited = message(hostile.cells, hostile.rows)
    hostile.edit(edited)
    return edited


@pytest.mark.parametrize("is_warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_message_is_refused_or_read_by_all(name: str, is_warm: bool) -> None:
    hostile = HOSTILE[name]
    msg = prepared(hostile).msg()
    decoder = ChunkDecoder()
    if is_warm:
        for _ in range(COPIES):
            decoder.decode(message(hostile.cells, hostile.rows).msg())
    if hostile.reason is None:
        use(decoder.decode(msg))
        assert outcome(decoder, msg) == outcome(ChunkDecoder(), msg)
        return
    for _ in range(2):  # Also where it was seen before.
        with pytest.raises(InvalidChunkError, match=hostile.reason):
            decoder.decode(msg)


# The patterns of `alike` and `batch_patterns`.


def opened_in(data: bytes) -> tuple[Chunk, memoryview, int, int]:
    """What pyarrow makes of a stream in place, without our checks.

    Returns:
        The chunk, the stream, where its record batch begins in it, and where its body does.
    """
    view = memoryview(data)
    _, at = message_extent(view, 0)
    _, end = message_extent(view, at)
    schema, _ = SchemaCache().read(view[:at])
    batch = pa.ipc.read_record_batch(pa.py_buffer(data).slice(at), schema.arrow)
    batch.validate(full=True)
    chunk = ChunkDecoder().decode(message().msg())
    return Chunk(chunk.id, schema.layout, batch, owns_buffers=True), view, at, end


def overlapping(rows: int) -> bytes:
    """A message whose times are list offsets, and with other times would be unsound.

    Alone it is sound: pyarrow's full validation takes it.
    """
    edited = message("numbers", rows)
    at, length = edited.buffer(edited.find("values", "frame"))
    edited.poke(edited.find("values", "frame"), "q", *[0] * rows)
    lists = edited.find("offsets", "S:x")
    edited.set_buffer(lists, offset=at, length=min(length, 4 * (rows + 1)))
    edited.set_node(edited.find_node(*X), length=0)
    return bytes(edited.data)


@pytest.mark.parametrize("rows", [1, 5])
def test_times_that_are_offsets_teach_no_decoder_anything(rows: int) -> None:
    """With other times a message like it has offsets that lead out of their child."""
    lesson = overlapping(rows)
    opened_in(lesson)  # or this test tests nothing
    other = Descriptors(lesson)
    other.poke(other.find("values", "frame"), "q", *range(7, 7 + rows))
    decoder = ChunkDecoder()
    for data in (lesson, bytes(other.data)):
        msg = plain_msg(data)
        for _ in range(COPIES):
            with pytest.raises(InvalidChunkError, match="and another one overlap"):
                decoder.decode(msg)
        block = pa.Codec("lz4_raw").compress(data, asbytes=True)
        packed = msg._replace(payload=block, compression=Compression.LZ4)
        assert decoder.decode_alike([packed] * COPIES) == [None] * COPIES


def test_what_overlaps_is_no_pattern_whatever_let_it_through() -> None:
    """The second of two guards: learning trusts no check that was made before."""
    for rows in (1, 5):
        sound = message("numbers", rows)
        for data, is_learnt in ((bytes(sound.data), True), (overlapping(rows), False)):
            chunk, view, at, end = opened_in(data)
            schema, _ = SchemaCache().read(view[:at])
            assert schema.spans is not None
            alike = AlikeDecoder(Lz4Decompressor()).learn(chunk, schema.spans, view, end)
            batches = BatchPatterns().learn(schema, chunk, view, at, end)
            assert (alike is not None) == (is_learnt and rows == 1)
            assert batches == (is_learnt and rows > 1)


def test_texts_of_a_schema_that_are_not_in_front_of_the_body_are_no_pattern() -> None:
    data = bytes(message("scalars", 1).data)
    chunk, view, at, end = opened_in(data)
    schema, _ = SchemaCache().read(view[:at])
    [(key, first, stop)] = schema.spans or ()
    alike = AlikeDecoder(Lz4Decompressor())
    assert alike.learn(chunk, ((key, first, stop),), view, end)
    for more in (
        (b"other", stop - 1, stop + 4),  # over the id
        (b"other", end, end + 8),  # in the body
        (b"other", end - 4, end + 4),
        (b"other", stop + 8, stop + 8),  # nowhere
        (b"other", -8, -1),
    ):
        assert alike.learn(chunk, ((key, first, stop), more), view, end) is None


def test_numbers_are_the_fronts_of_buffers_that_lie_apart_in_the_body() -> None:
    data = bytes(message("lists", 5).data)
    chunk, view, _, begin = opened_in(data)
    size, address = len(data), pa.py_buffer(view).address
    numbers = [(first - address, stop - address) for first, stop in number_spans(chunk) or ()]
    assert are_numbers_alone(chunk, numbers, address, begin, size)
    [*others, (first, stop)] = sorted(numbers)
    for wrong in ((first + 1, stop), (first, first), (first - 8, first), (first, stop + 64)):
        assert not are_numbers_alone(chunk, [*others, wrong], address, begin, size)
    assert not are_numbers_alone(chunk, [*numbers, numbers[0]], address, begin, size)
    assert not are_numbers_alone(chunk, numbers, address, min(numbers)[0] + 1, size)
    assert not are_numbers_alone(chunk, numbers, address, begin, first)
    assert not are_numbers_alone(chunk, numbers, address + 8, begin, size)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 6)), max_size=6))
def test_stretches_are_apart_if_no_byte_is_in_two(pairs: list[tuple[int, int]]) -> None:
    taken = [at for begin, size in pairs for at in range(begin, begin + size)]
    wanted = len(taken) == len(set(taken))
    assert are_apart([(begin, begin + size) for begin, size in pairs]) == wanted


# Limits, alignment, nulls.


def test_values_without_bytes_are_bounded_by_rows_and_bytes() -> None:
    def with_nulls(count: int) -> Descriptors:
        edited = message("nothing", 5)
        edited.set_node(edited.find_node(*X), length=count, nulls=count)
        return edited

    edited = with_nulls(1)
    most = 8 * edited.body_length + BODILESS_VALUES_PER_ROW_MAX * 5
    assert ChunkDecoder().decode(with_nulls(most).msg()).num_rows == 5
    with pytest.raises(InvalidChunkError, match=f"claims {most + 1} values"):
        ChunkDecoder().decode(with_nulls(most + 1).msg())


def test_what_compressed_buffers_become_is_what_bounds_their_values() -> None:
    edited = message("scalars", 5)
    rules = soundness.NodeRules.of(edited.schema)
    header = read_batch_header(memoryview(edited.data), edited.batch + 8)
    many = BODILESS_VALUES_PER_ROW_MAX * 5 + 8 * (header.body_length + 1)
    nodes = [*header.nodes[:-1], (many, 0)]
    claiming = header._replace(nodes=nodes, is_compressed=True)
    soundness.check_header(claiming, rules, header.body_length + 1)
    for decompressed_bytes in (None, header.body_length):
        with pytest.raises(InvalidChunkError, match="values"):
            soundness.check_header(claiming, rules, decompressed_bytes)


@pytest.mark.parametrize("padding", [1, 2, 4, 7])
@pytest.mark.parametrize("place", ["behind the schema", "behind the batch"])
def test_columns_are_aligned_whatever_stands_before_them(padding: int, place: str) -> None:
    sound = message("points")
    data = sound.data
    prefix, end = (0, sound.batch) if place == "behind the schema" else (sound.batch, sound.body)
    length = struct.unpack_from("<i", data, prefix + 4)[0]
    struct.pack_into("<i", data, prefix + 4, length + padding)
    data[end:end] = bytes(padding)
    for msg in (plain_msg(bytes(data)), Descriptors(bytes(data)).msg(Compression.LZ4)):
        decoder = ChunkDecoder()
        for _ in range(COPIES):
            chunk = decoder.decode(msg)
            assert said(chunk) == outcome(ChunkDecoder(), message("points").msg())
            used = [b for c in chunk.batch.columns for b in c.buffers() if b is not None]
            assert all(buffer.address % 8 == 0 for buffer in used)
            use(chunk)


def required(kind: pa.DataType, cells: list[object]) -> ArrowMsg:
    columns = {**columns_of(chunk_batch()), "S:x": pa.array(cells, kind)}
    return plain_msg(ipc_stream(chunk_batch(columns)))


NOT_NULL = pa.field("item", pa.float32(), nullable=False)
INNER = pa.struct([NOT_NULL, pa.field("b", pa.int8())])


@pytest.mark.parametrize(
    ("kind", "cells", "is_read"),
    [
        (pa.list_(NOT_NULL), [[1.0], None], True),
        (pa.list_(NOT_NULL), [[1.0, None], None], False),
        (pa.list_(pa.list_(NOT_NULL)), [[[1.0], None], [[]]], True),
        (pa.list_(pa.list_(NOT_NULL)), [[[1.0], None], [[None]]], False),
        (pa.list_(pa.list_(NOT_NULL, 2)), [[None, [1, 2]], None], True),
        (pa.list_(pa.list_(NOT_NULL, 2)), [[None, [None, 2]], None], False),
        (pa.list_(INNER), [[None, {"item": 1, "b": None}], None], True),
        (pa.list_(INNER), [[None, {"item": None, "b": 1}], None], False),
        (pa.list_(pa.field("item", INNER, nullable=False)), [[None], None], False),
        (pa.list_(pa.struct([pa.field("s", INNER, nullable=False)])), [[None], None], True),
    ],
)
def test_fields_that_are_not_nullable_have_no_visible_nulls(
    kind: pa.DataType, cells: list[object], is_read: bool
) -> None:
    msg = required(kind, cells)
    decoder = ChunkDecoder()
    for _ in range(COPIES):
        if is_read:
            use(decoder.decode(msg))
        else:
            with pytest.raises(InvalidChunkError, match="not nullable"):
                decoder.decode(msg)


def test_nulls_are_looked_for_in_each_message_that_may_have_some() -> None:
    """Which nulls their parents hide, the message in front of the body does not tell."""
    children = [pa.array([None, 1.0], pa.float32()), pa.array([1, 1], pa.int8())]
    bits = pa.py_buffer(b"\x02" + bytes(7))
    hidden = pa.Array.from_buffers(INNER, 2, [bits], children=children)
    cells = pa.Array.from_buffers(
        pa.list_(INNER), 2, [None, pa.array([0, 2, 2], pa.int32()).buffers()[1]], children=[hidden]
    )
    sound = plain_msg(ipc_stream(chunk_batch({**columns_of(chunk_batch()), "S:x": cells})))
    edited = Descriptors(bytes(sound.payload))
    edited.poke(edited.find("validity", *X, "item"), "B", 0b01)
    decoder = ChunkDecoder()
    for _ in range(COPIES):
        decoder.decode(sound)
    for each in (decoder, ChunkDecoder()):
        with pytest.raises(InvalidChunkError, match="not nullable"):
            each.decode(edited.msg())


@pytest.mark.parametrize("cells", CELLS)
def test_rules_know_all_nodes_of_a_schema(cells: str) -> None:
    edited = message(cells)
    assert soundness.NodeRules.of(edited.schema).num_nodes == len(edited.nodes)


def test_a_hundred_columns_cannot_share_one_buffer() -> None:
    """Each would be a copy of its own as soon as rows change places."""
    columns = {f"S:{number}": pa.array([[1.0], [2.0]]) for number in range(100)}
    edited = Descriptors(ipc_stream(chunk_batch({**columns_of(chunk_batch()), **columns})))
    shared = edited.append(bytes(10_000))
    for number in range(100):
        edited.set_buffer(
            edited.find("values", f"S:{number}", "item"), offset=shared, length=10_000
        )
    with pytest.raises(InvalidChunkError, match="and another one overlap"):
        ChunkDecoder().decode(edited.msg())


def test_chunks_that_are_kept_packed_or_encoded_are_used_like_others() -> None:
    for rows, kind in ((1, PackedChunk), (5, EncodedChunk)):
        decoder = ChunkDecoder()
        for _ in range(COPIES):
            chunk = decoder.decode(message("points", rows).msg())
        assert type(chunk) is kind or rows == 5
        use(chunk)
        assert np.all(chunk.times("frame") == np.arange(rows) * 10 + 3)


INT8 = pa.int8()


def hollow(instances: pa.Array, codec: str | None = None) -> bytes:
    """A message of one row whose cell is an empty list of such instances."""
    cells = pa.ListArray.from_arrays(pa.array([0, 0], pa.int32()), instances)
    columns = {name: column.slice(0, 1) for name, column in columns_of(chunk_batch()).items()}
    return ipc_stream(chunk_batch({**columns, "S:x": cells}), compression=codec)


@pytest.mark.parametrize("offset", [1, 64, 2**31 - 1])
@pytest.mark.parametrize("kind", [pa.list_(INT8), pa.large_list(INT8), pa.map_(INT8, INT8)])
def test_the_offset_of_an_empty_list_leads_nowhere_else(kind: pa.DataType, offset: int) -> None:
    """Arrow does not validate it, and ends the process when it flattens such a list."""
    sound = hollow(pa.array([], kind))
    assert ChunkDecoder().decode(plain_msg(sound)).component("S:x").to_pylist() == [[]]
    edited = Descriptors(sound)
    code = "q" if pa.types.is_large_list(kind) else "i"
    edited.set_buffer(
        edited.find("offsets", *X), offset=edited.append(struct.pack(code, offset)), length=8
    )
    for taught in (0, COPIES):
        decoder = ChunkDecoder()
        for _ in range(taught):
            decoder.decode(plain_msg(sound))
        with pytest.raises(InvalidChunkError, match="leads out of its data"):
            decoder.decode(edited.msg())


@pytest.mark.parametrize("codec", [None, "lz4"])
@pytest.mark.parametrize("mode", ["sparse", "dense"])
def test_an_empty_union_has_a_size(mode: str, codec: str | None) -> None:
    """It comes without type ids, and Arrow ends the process that asks how large it is."""
    ids, values = pa.array([], pa.int8()), [pa.array([], pa.float64())]
    union = (
        pa.UnionArray.from_sparse(ids, values)
        if mode == "sparse"
        else pa.UnionArray.from_dense(ids, pa.array([], pa.int32()), values)
    )
    code = f"""
from forebay.codec import ChunkDecoder
from tests.codec.consumers import use
from tests.codec.support import plain_msg
chunk = ChunkDecoder().decode(plain_msg({hollow(union, codec)!r}))
assert chunk.batch.nbytes > 0
use(chunk)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("mode", ["sparse", "dense"])
def test_a_union_below_a_struct_that_is_null_is_looked_at_without_it(mode: str) -> None:
    """A union has no nulls of its own; Arrow ends the process that flattens such a struct."""
    ids, values = pa.array([0, 0], pa.int8()), [pa.array([1.0, 2.0])]
    union = (
        pa.UnionArray.from_sparse(ids, values)
        if mode == "sparse"
        else pa.UnionArray.from_dense(ids, pa.array([0, 1], pa.int32()), values)
    )
    fields = [pa.field("a", pa.int8(), nullable=False), pa.field("u", union.type)]
    structs = pa.StructArray.from_arrays(
        [pa.array([None, 1], pa.int8()), union], fields=fields, mask=pa.array([True, False])
    )
    cells = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), structs)
    data = ipc_stream(chunk_batch({**columns_of(chunk_batch()), "S:x": cells}))
    code = f"""
from forebay.codec import ChunkDecoder
from tests.codec.consumers import use
from tests.codec.support import plain_msg
use(ChunkDecoder().decode(plain_msg({data!r})))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
