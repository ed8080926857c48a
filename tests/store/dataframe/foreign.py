"""Recordings that no SDK writes, but other programs may: any column type, mixed, null and unsorted.

What a cell holds is drawn as Python values, and each chunk chooses one of the Arrow types that can
hold them, so a component often has several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from forebay.codec import StreamEncoder
from forebay.codec.rrd.rrf2 import ARROW_MSG, MESSAGE_HEADER
from forebay.codec.wire import encode_content
from forebay.model import (
    ArrowMsg,
    ChunkId,
    Compression,
    RowId,
    SetStoreInfo,
    StoreId,
    StoreInfo,
    StoreSource,
)
from tests.store.dataframe.handmade import LINES, TIMES

STORE = StoreId.recording("differential", "foreign")
ENTITIES = ("/a", "/a/b", "/c")
CLEAR = "Clear:is_recursive"

_numbers = st.integers(0, 9)
_texts = st.sampled_from(("", "a", "bc", "longer than twelve bytes"))

_TYPES: dict[str, tuple[st.SearchStrategy[Any], tuple[pa.DataType, ...]]] = {
    "number": (
        _numbers,
        (pa.float64(), pa.float32(), pa.int32(), pa.int64(), pa.uint8(), pa.float16()),
    ),
    "text": (
        _texts,
        (
            pa.string(),
            pa.large_string(),
            pa.string_view(),
            pa.dictionary(pa.int8(), pa.string()),
            pa.run_end_encoded(pa.int32(), pa.string()),
        ),
    ),
    "blob": (_texts.map(str.encode), (pa.binary(), pa.large_binary(), pa.binary_view())),
    "vector": (
        st.lists(_numbers, min_size=2, max_size=2),
        (pa.list_(pa.float32(), 2), pa.list_(pa.float32()), pa.list_(pa.float64(), 2)),
    ),
    "money": (
        _numbers.map(Decimal),
        (pa.decimal32(5, 2), pa.decimal64(9, 2), pa.decimal128(9, 2), pa.decimal256(9, 2)),
    ),
    "pair": (
        st.fixed_dictionaries({"x": _numbers, "y": st.none() | _texts}),
        (
            pa.struct([("x", pa.int32()), ("y", pa.string())]),
            pa.struct([("y", pa.string()), ("x", pa.int64())]),
        ),
    ),
    "day": (
        st.integers(0, 9).map(lambda day: 86_400_000 * day),
        (pa.timestamp("ms"), pa.timestamp("ms", "UTC"), pa.date64()),
    ),
    "nothing": (st.none(), (pa.null(), pa.float64())),
}
"""By component: its instances, and the types of one instance that a chunk may choose."""

_PLAIN = ("number", "text", "vector", "pair", "money")
"""Components whose columns may be no lists."""


@dataclass(frozen=True)
class Foreign:
    """One chunk as a record batch, and what it is.

    Attributes:
        batch: The chunk.
        entity: Its path.
        types: The type of each component's column.
        is_static: Whether it has no timelines.
        row_ids: In the order of the rows.
    """

    batch: pa.RecordBatch
    entity: str
    types: dict[str, pa.DataType]
    is_static: bool
    row_ids: tuple[int, ...]

    @property
    def is_sorted(self) -> bool:
        """Whether row ids never decrease."""
        return list(self.row_ids) == sorted(self.row_ids)


@st.composite
def recordings(draw: st.DrawFn) -> list[Foreign]:
    """A few chunks of a few entities."""
    names = draw(st.lists(st.sampled_from(sorted(_TYPES)), min_size=1, max_size=3, unique=True))
    lines = draw(st.lists(st.sampled_from(LINES), min_size=1, max_size=3, unique=True))
    is_mixed = draw(st.integers(0, 2)) == 0
    usual = {name: draw(_column_types(name, large=not is_mixed)) for name in names}
    is_unsorted = draw(st.integers(0, 5)) == 0
    equal_ids = draw(st.integers(0, 5)) == 0
    number = 0
    made = []
    for index in range(draw(st.integers(1, 6))):
        entity = draw(st.sampled_from(ENTITIES))
        is_static = draw(st.integers(0, 5)) == 0
        is_clear = draw(st.integers(0, 6)) == 0
        rows = draw(st.integers(1, 2 if is_static else 5))
        ids = []
        for _ in range(rows):
            number += 0 if equal_ids and draw(st.booleans()) else 1
            ids.append(number)
        if is_unsorted and draw(st.booleans()):
            ids = draw(st.permutations(ids))
        on = [] if is_static else draw(st.lists(st.sampled_from(lines), min_size=1, unique=True))
        times = {line.name: draw(_times(rows)) for line in on}
        columns: dict[str, pa.Array] = {}
        if is_clear:
            flags = st.lists(st.booleans(), min_size=rows, max_size=rows)
            columns[CLEAR] = pa.array([[flag] for flag in draw(flags)], pa.list_(pa.bool_()))
        else:
            for name in draw(st.lists(st.sampled_from(names), min_size=1, unique=True)):
                kind = draw(_column_types(name, large=False)) if is_mixed else usual[name]
                columns[name] = draw(_cells(name, kind, rows))
        made.append(_foreign(entity, index, ids, times, columns))
    return made


def _times(rows: int) -> st.SearchStrategy[list[int]]:
    return st.lists(TIMES, min_size=rows, max_size=rows)


@st.composite
def _column_types(draw: st.DrawFn, name: str, *, large: bool) -> pa.DataType:
    """The type of a column; large lists are none to Rerun, but instances that are lists."""
    instance = draw(st.sampled_from(_TYPES[name][1]))
    if name in _PLAIN and not pa.types.is_list(instance) and draw(st.integers(0, 3)) == 0:
        return instance
    is_large = large and draw(st.integers(0, 3)) == 0
    return pa.large_list(instance) if is_large else pa.list_(instance)


@st.composite
def _cells(draw: st.DrawFn, name: str, kind: pa.DataType, rows: int) -> pa.Array:
    instances, types = _TYPES[name]
    if kind in types:
        return array(draw(st.lists(st.none() | instances, min_size=rows, max_size=rows)), kind)
    cells = st.none() | st.lists(st.none() | instances, max_size=3)
    return array(draw(st.lists(cells, min_size=rows, max_size=rows)), kind)


def array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Values as an array, also of types that pyarrow does not make from Python itself."""
    if pa.types.is_run_end_encoded(kind):
        return _encoded(pa.array(values, kind.value_type))
    is_large = pa.types.is_large_list(kind)
    if not (is_large or pa.types.is_list(kind)) or not pa.types.is_run_end_encoded(kind.value_type):
        return pa.array(values, kind)
    lists = pa.array(values, (pa.large_list if is_large else pa.list_)(kind.value_type.value_type))
    made = pa.LargeListArray if is_large else pa.ListArray
    return made.from_arrays(lists.offsets, _encoded(lists.values), mask=lists.is_null())


def _encoded(values: pa.Array) -> pa.Array:
    return pa.compute.run_end_encode(values, run_end_type=pa.int32())


def _foreign(
    entity: str,
    index: int,
    ids: Sequence[int],
    times: dict[str, list[int]],
    columns: dict[str, pa.Array],
) -> Foreign:
    kinds = {line.name: line for line in LINES}
    arrays = [pa.array([RowId.from_parts(one, 0) for one in ids], pa.binary(16))]
    control = {"rerun:kind": "control"}
    fields = [pa.field("rerun.controls.RowId", pa.binary(16), False, control)]
    for name, values in times.items():
        type_ = _TIME_TYPES[kinds[name].type.value]
        arrays.append(pa.array(values, pa.int64()).cast(type_))
        fields.append(
            pa.field(name, type_, False, {"rerun:kind": "index", "rerun:index_name": name})
        )
    for name, cells in columns.items():
        arrays.append(cells)
        about = {"rerun:kind": "data", "rerun:component": name}
        if ":" in name:
            about["rerun:archetype"] = f"rerun.archetypes.{name.partition(':')[0]}"
        fields.append(pa.field(name, cells.type, True, about))
    metadata = {"rerun:entity_path": entity, "sorbet:version": "0.1.3"}
    metadata["rerun:id"] = str(ChunkId.from_parts(1000 + index, 1))
    batch = pa.record_batch(arrays, schema=pa.schema(fields, metadata))
    types = {name: cells.type for name, cells in columns.items()}
    return Foreign(batch, entity, types, not times, tuple(ids))


_TIME_TYPES = {
    "sequence": pa.int64(),
    "duration": pa.duration("ns"),
    "timestamp": pa.timestamp("ns"),
}


def plain(one: Foreign) -> Foreign:
    """The same rows, each component as lists of its first type: what every reader understands."""
    columns: dict[str, pa.Array] = {}
    for name in one.types:
        cells = one.batch.column(name).to_pylist()
        if name == CLEAR:
            columns[name] = one.batch.column(name)
            continue
        if not pa.types.is_list(one.types[name]):
            # Runs have no nulls of their own: only what they repeat may be null.
            has_nulls = not pa.types.is_run_end_encoded(one.types[name])
            cells = [None if value is None and has_nulls else [value] for value in cells]
        instance = _TYPES[name][1][0]
        if pa.types.is_large_list(one.types[name]):
            instance = pa.list_(instance)  # a large list is an instance, and not a cell's list
        columns[name] = pa.array([_plain(cell) for cell in cells], pa.list_(instance))
    batch = one.batch
    for name, column in columns.items():
        at = batch.schema.get_field_index(name)
        batch = batch.set_column(at, batch.schema.field(at).with_type(column.type), column)
    return replace(one, batch=batch, types={name: column.type for name, column in columns.items()})


def _plain(value: Any) -> Any:
    """A Python value as the first type of its component takes it."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    return value


def file_of(made: Sequence[Foreign]) -> bytes:
    """The recording as an `.rrd` file, its chunks as they are."""
    encoder = StreamEncoder(manifest=False)
    info = SetStoreInfo(StoreInfo(STORE, StoreSource(6, b"other")), RowId.from_parts(1, 1))
    parts = [encoder.header(), encoder.encode(info)]
    for one in made:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, one.batch.schema) as writer:
            writer.write_batch(one.batch)
        payload = bytes(sink.getvalue())
        id_ = ChunkId.parse(one.batch.schema.metadata[b"rerun:id"].decode())
        message = ArrowMsg(STORE, payload, Compression.NONE, len(payload), id_, one.is_static)
        content = encode_content(message)
        parts.append(MESSAGE_HEADER.pack(ARROW_MSG, len(content)) + content)
    return b"".join([*parts, encoder.finish()])
