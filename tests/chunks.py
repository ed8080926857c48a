"""Chunks built by hand, as `make_chunk("/a", {"frame": [1, 2]}, {"S:x": [[1.0], None]})`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from forebay.chunk import ARROW_TIME_TYPES, Chunk, ChunkLayout
from forebay.model import ChunkId, EntityPath, RowId, Timeline, TimeType

_counter = itertools.count(1)
_layouts: dict[tuple[object, ...], ChunkLayout] = {}

Components = Mapping[str, "pa.Array | Sequence[Any]"]
Timelines = Mapping["str | Timeline", Sequence[int]]


def row_id(number: int) -> RowId:
    """The row id that counts as `number`: greater numbers are later rows."""
    return RowId.from_parts(number, 0)


def chunk_id(number: int) -> ChunkId:
    return ChunkId.from_parts(number, 1)


def make_chunk(
    entity: str,
    timelines: Timelines | None = None,
    components: Components | None = None,
    row_ids: Sequence[int | bytes] | None = None,
    id: int | bytes | None = None,  # noqa: A002
) -> Chunk:
    """A validated chunk, sorted by row id.

    Args:
        entity: The path.
        timelines: Times by timeline; a plain name means a sequence. None at all: a static chunk.
        components: Cells by identifier: lists, `None` for null, or a ready Arrow list array;
            lists of nothing but `None` and `[]` become lists of float64.
        row_ids: Numbers (see `row_id`) or 16 bytes each; fresh and rising unless given.
        id: A number or 16 bytes; fresh unless given.
    """
    columns = {name: _cells(cells) for name, cells in (components or {}).items()}
    times = {
        line if isinstance(line, Timeline) else Timeline(line, TimeType.SEQUENCE): values
        for line, values in (timelines or {}).items()
    }
    rows = [len(cells) for cells in (*columns.values(), *times.values())]
    count = rows[0] if rows else len(row_ids or ())
    assert all(n == count for n in rows), f"columns of different lengths: {rows}"
    if row_ids is None:
        row_ids = [next(_counter) for _ in range(count)]
    ids = [row_id(one) if isinstance(one, int) else RowId(one) for one in row_ids]
    assert len(ids) == count
    if id is None:
        id = next(_counter)  # noqa: A001
    chunk = chunk_id(id) if isinstance(id, int) else ChunkId(id)

    arrays: list[pa.Array] = [pa.array(ids, pa.binary(16))]
    fields = [pa.field("rerun.controls.RowId", pa.binary(16), False, {"rerun:kind": "control"})]
    for timeline, values in times.items():
        kind = ARROW_TIME_TYPES[timeline.type]
        arrays.append(pa.array(values, pa.int64()).cast(kind))
        about = {"rerun:kind": "index", "rerun:index_name": timeline.name}
        fields.append(pa.field(timeline.name, kind, False, about))
    for name, cells in columns.items():
        arrays.append(cells)
        fields.append(pa.field(name, cells.type, True, _described(name)))
    metadata = {"rerun:entity_path": EntityPath(entity), "rerun:id": str(chunk)}
    schema = pa.schema(fields, {**metadata, "sorbet:version": "0.1.3"})
    key = (EntityPath(entity), *((field.name, field.type) for field in fields))
    layout = _layouts.get(key)
    if layout is None:
        layout = _layouts[key] = ChunkLayout.from_schema(schema)
    return Chunk.validated(chunk, layout, pa.record_batch(arrays, schema=schema))


def _cells(cells: pa.Array | Sequence[Any]) -> pa.Array:
    if isinstance(cells, pa.Array):
        return cells
    array = pa.array(cells)
    if pa.types.is_null(array.type) or pa.types.is_null(array.type.value_type):
        return pa.array(cells, pa.list_(pa.float64()))
    return array


def _described(component: str) -> dict[str, str]:
    """As the SDK does: `Points3D:positions` belongs to `rerun.archetypes.Points3D`."""
    about = {"rerun:kind": "data", "rerun:component": component}
    if ":" in component:
        about["rerun:archetype"] = f"rerun.archetypes.{component.partition(':')[0]}"
    return about


CLEAR = "Clear:is_recursive"


def make_clear(
    entity: str, timelines: Timelines | None = None, *, recursive: bool, row: int | None = None
) -> Chunk:
    """One `Clear`, flat or recursive; static if there are no timelines."""
    cells = pa.array([[recursive]], pa.list_(pa.bool_()))
    return make_chunk(entity, timelines, {CLEAR: cells}, None if row is None else [row])
