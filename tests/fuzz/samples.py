"""Sound inputs of every kind, to begin with: payloads, messages and streams."""

from __future__ import annotations

import contextlib
import functools
import random
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from forebay.codec import StreamEncoder
from forebay.codec.wire import encode_content, encode_write_request
from forebay.model import (
    ArrowMsg,
    BlueprintActivationCommand,
    ChunkId,
    Compression,
    LogMsg,
    RowId,
    SetStoreInfo,
    StoreId,
    StoreInfo,
    StoreSource,
    StoreSourceKind,
)

REC = StoreId.recording("app", "rec")
OTHER = StoreId.recording("app", "other")
BLUEPRINT = StoreId.blueprint("app", "bp")

TIMES = {"frame": pa.int64(), "when": pa.timestamp("ns"), "long": pa.duration("ns")}

_POINT = pa.list_(pa.float32(), 3)
_PAIR = pa.struct([("x", pa.int32()), ("s", pa.string())])

CELLS: Mapping[str, tuple[pa.DataType, Sequence[Any]]] = {
    "S:scalars": (pa.list_(pa.float64()), ([1.0], [2.0], [3.0])),
    "S:gaps": (pa.list_(pa.float64()), ([1.0, None], None, [])),
    "P:positions": (pa.list_(_POINT), ([[1, 2, 3]], [], [[4, 5, 6], [7, 8, 9]])),
    "P:labels": (pa.list_(pa.string()), (["a"], ["bc", None], None)),
    "P:pairs": (pa.list_(_PAIR), ([{"x": 1, "s": "a"}], [], [{"x": None, "s": None}, None])),
    "P:deep": (pa.list_(pa.list_(pa.int64())), ([[1], []], None, [[2, 3], None])),
    "P:blobs": (pa.list_(pa.binary()), ([b"\0\xff"], [b""], [b"abc"])),
    "P:ids": (pa.list_(pa.binary(4)), ([b"abcd"], [b"efgh"], [])),
    "P:flags": (pa.list_(pa.bool_()), ([True, False], [None], [True])),
    "P:bytes": (pa.list_(pa.uint8()), ([1, 2, 3], [], [255])),
    "P:halves": (pa.list_(pa.float16()), ([1.0], [2.0], [0.5])),
    "P:nulls": (pa.list_(pa.null()), ([None], [], None)),
    "P:days": (pa.list_(pa.date32()), ([1], [2], [3])),
    "P:hours": (pa.list_(pa.time64("us")), ([1], [2], [3])),
    "P:zones": (pa.list_(pa.timestamp("ms", "UTC")), ([1], [2], [3])),
    "P:money": (pa.list_(pa.decimal128(9, 2)), ([Decimal("1.25")], [], [Decimal(3)])),
    "P:maps": (pa.list_(pa.map_(pa.string(), pa.int8())), ([[("a", 1)]], [], [[]])),
    "P:large": (pa.large_list(pa.large_string()), (["a"], [], ["b", None])),
    "P:words": (pa.list_(pa.dictionary(pa.int8(), pa.string())), (["a"], ["b", "a"], [])),
    "P:views": (pa.list_(pa.string_view()), (["a"], ["longer than twelve bytes"], [])),
    "plain": (pa.float64(), (1.0, None, 2.0)),
    "text": (pa.string(), ("a", None, "b")),
    "Clear:is_recursive": (pa.list_(pa.bool_()), ([True], [False], None)),
}
"""By component: the type of its column and three cells."""


def unions() -> dict[str, pa.Array]:
    """Columns with unions, which pyarrow does not make out of Python's values."""
    ids = pa.array([0, 1, 0], pa.int8())
    kinds = [pa.array([1.0, 2.0, 3.0]), pa.array(["a", "b", "c"])]
    sparse = pa.UnionArray.from_sparse(ids, kinds)
    dense = pa.UnionArray.from_dense(ids, pa.array([0, 0, 1], pa.int32()), kinds)
    masked = pa.StructArray.from_arrays(
        [dense, pa.array([1, 2, 3])], ["u", "x"], mask=pa.array([False, True, False])
    )
    offsets = pa.array([0, 1, 1, 3], pa.int32())
    found = {
        name: pa.ListArray.from_arrays(offsets, values)
        for name, values in (("U:sparse", sparse), ("U:dense", dense), ("U:struct", masked))
    }
    none = pa.array([0, 0, 0, 0], pa.int32())
    found["U:none"] = pa.ListArray.from_arrays(none, sparse.slice(0, 0))
    return found


def batch(
    components: Sequence[str],
    *,
    rows: Sequence[int] = (1, 2, 3),
    lines: Sequence[str] = ("frame",),
    entity: str = "/a/b",
    number: int = 1,
) -> pa.RecordBatch:
    """A chunk as a record batch: rows by the numbers of their row ids, at most three."""
    ids = [RowId.from_parts(one, 7) for one in rows]
    arrays = [pa.array(ids, pa.binary(16))]
    fields = [pa.field("rerun.controls.RowId", pa.binary(16), False, {"rerun:kind": "control"})]
    for line in lines:
        arrays.append(pa.array([10 * one for one in rows], pa.int64()).cast(TIMES[line]))
        about = {"rerun:kind": "index", "rerun:index_name": line, "rerun:is_sorted": "true"}
        fields.append(pa.field(line, TIMES[line], False, about))
    for name in components:
        if name in CELLS:
            type_, cells = CELLS[name]
            arrays.append(pa.array(list(cells[: len(rows)]), type_))
        else:
            arrays.append(unions()[name].slice(0, len(rows)))
            type_ = arrays[-1].type
        about = {"rerun:kind": "data", "rerun:component": name}
        fields.append(pa.field(name, type_, True, about))
    metadata = {"rerun:entity_path": entity, "sorbet:version": "0.1.3"}
    metadata["rerun:id"] = str(ChunkId.from_parts(number, 1))
    return pa.record_batch(arrays, schema=pa.schema(fields, metadata))


_PARTS = ("a", "b1", "\\ ", "ä", "\\u{1F642}", "__x", ".", "", "x" * 60, "\x1b[2J", "\0", "\u202e")


def drawn(rng: random.Random) -> pa.RecordBatch:
    """A chunk of any size and shape: few or many columns and timelines, short or long paths."""
    rows = rng.choice((0, 1, 1, 1, 2, 3))
    one = batch(
        rng.sample([*CELLS, *unions()], rng.choice((0, 1, 1, 2, 4))),
        rows=sorted(rng.choices(range(9), k=rows)),
        lines=rng.sample(list(TIMES), rng.randrange(4)),
        entity="/" + "/".join(rng.choices(_PARTS, k=rng.choice((0, 1, 2, 3, 30, 300)))),
        number=rng.randrange(1, 1000),
    )
    for number in range(rng.choice((0, 0, 0, 0, 1, 5, 40))):
        at = rng.randrange(one.num_columns)
        field = one.schema.field(at)
        about = {**(field.metadata or {}), b"rerun:component": b"c%d" % number}
        if b"rerun:index_name" in about:
            about[b"rerun:index_name"] = b"t%d" % number
        named = pa.field(f"{field.name}{number}", field.type, field.nullable, about)
        one = one.append_column(named, one.column(at))
    return one


def stream(one: pa.RecordBatch, **options: Any) -> bytes:
    """A record batch as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, one.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_batch(one)
    return bytes(sink.getvalue())


@functools.cache
def payloads() -> tuple[bytes, ...]:
    """Uncompressed payloads: each type of column, and what else chunks can differ in."""
    found = []
    for name in (*CELLS, *unions()):
        with contextlib.suppress(pa.ArrowException):  # what this version cannot write
            found.append(stream(batch([name])))
    names = ["S:scalars", "P:positions", "P:labels", "P:pairs"]
    found += [
        stream(batch(["S:scalars"], rows=[1])),
        stream(batch(["P:positions"], rows=[1], lines=["frame", "when"])),
        stream(batch(["S:scalars", "P:bytes"], rows=[5], lines=["frame", "when", "long"])),
        stream(batch(["S:scalars", "P:positions"], rows=[3, 1, 2])),
        stream(batch(["S:scalars"], rows=[2, 2, 2])),
        stream(batch(names, lines=[])),
        stream(batch(names, lines=["frame", "long", "when"])),
        stream(batch(["P:labels"], entity="/")),
        stream(batch(["P:labels"], entity=r"/we\ ird/ä\:b/\u{1F642}")),
        stream(batch([], lines=["frame"])),
        stream(batch(["S:scalars"], rows=[])),
    ]
    found += [stream(batch(names), compression=codec) for codec in ("lz4", "zstd")]
    return tuple(found)


def message(payload: bytes, store_id: StoreId = REC, *, lz4: bool = True) -> ArrowMsg:
    """The message of a payload."""
    packed = pa.Codec("lz4_raw").compress(payload, asbytes=True) if lz4 and payload else payload
    return ArrowMsg(
        store_id,
        packed,
        Compression.LZ4 if lz4 and payload else Compression.NONE,
        len(payload),
        ChunkId.from_parts(1, 1),
        False,
    )


@functools.cache
def messages() -> tuple[LogMsg, ...]:
    """Messages of each kind."""
    few = payloads()[:3]
    source = StoreSource(StoreSourceKind.PYTHON_SDK, b"3.11")
    return (
        SetStoreInfo(StoreInfo(REC, source, 0x24_02_00), RowId.from_parts(1, 2)),
        SetStoreInfo(StoreInfo(BLUEPRINT)),
        *(message(one) for one in few),
        *(message(one, lz4=False) for one in few[:1]),
        message(few[0], OTHER)._replace(chunk_id=None, is_static=None),
        message(few[0], BLUEPRINT)._replace(is_static=True),
        BlueprintActivationCommand(BLUEPRINT, make_active=True, make_default=True),
        BlueprintActivationCommand(REC, make_active=True),
    )


def contents() -> list[bytes]:
    """Messages as they stand in a file, without their headers."""
    return [encode_content(one) for one in messages()]


def requests() -> list[bytes]:
    """Messages as a gRPC stream brings them."""
    return [encode_write_request(one) for one in messages()]


def file(*, manifest: bool = True, msgs: Sequence[LogMsg] | None = None) -> bytes:
    """A whole `.rrd` file."""
    encoder = StreamEncoder(manifest=manifest)
    parts = [encoder.header()]
    parts += [encoder.encode(one) for one in (messages() if msgs is None else msgs)]
    return b"".join([*parts, encoder.finish()])
