"""Range queries: one row per logged row, in time order, without a Python loop over rows."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from forebay.chunk import converted, same_type, unified, unified_or_null
from forebay.chunk.arrays import are_valid, positions
from forebay.chunk.layout import ROW_ID_TYPE
from forebay.chunk.row_ids import latest_first, row_id_halves
from forebay.limits import RANGE_PIECE_BYTES_MAX
from forebay.store.dataframe.columns import has_cells, list_type
from forebay.store.running import running

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from forebay.chunk import Chunk, ChunkLayout, RowIdArray
    from forebay.store.entity import EntityIndex

Rows: TypeAlias = "slice | npt.NDArray[np.intp]"
"""Rows of one chunk: a slice if they are adjacent, which avoids a copy, else positions."""

ROW_ID: Final = "row_id"

_NO_TIMES: Final = np.empty(0, np.int64)
_NO_ROW_IDS: Final = np.empty(0, "S16")


def rows_in_range(
    chunk: Chunk, timeline: str, start: int, end: int, components: Iterable[str]
) -> Rows | None:
    """Return the rows with a time in `[start, end]` and at least one of `components`.

    Args:
        chunk: The chunk; it must have the timeline.
        timeline: The name of the timeline.
        start: The least time, inclusive.
        end: The greatest time, inclusive.
        components: Identifiers of components.

    Returns:
        The rows in the order in which the chunk stores them; `None` if there are none.
    """
    times = chunk.times(timeline)
    wanted = (times >= start) & (times <= end)
    present = _present(chunk, components)
    if present is not None:
        wanted &= present
    return _compact(np.flatnonzero(wanted))


def column_types(
    index: EntityIndex,
    components: Sequence[str],
    parts: Sequence[tuple[Chunk, Rows]],
    static: Mapping[str, tuple[Chunk, int]],
) -> dict[str, pa.DataType]:
    """Return the type of each column of a range: a list type that represents all its cells.

    Args:
        index: The entity.
        components: The columns.
        parts: The rows that the range selects.
        static: Chunk and row of the static cell of each component whose result is static.

    Raises:
        QueryError: The cells of a component have no common type.
    """
    layouts = _distinct_layouts(chunk for chunk, _ in parts)
    found: dict[str, pa.DataType] = {}
    without_cells: list[str] = []
    for name in components:
        if name in static:
            found[name] = static[name][0].layout.components[name].type
            continue
        types = [layout.components[name].type for layout in layouts if name in layout.components]
        if len(types) > 1 and not all(same_type(kind, types[0]) for kind in types):
            values = _types_of_cells(parts, name)
            types = [list_type(unified(values, index.path, name))] if values else []
        if types:
            found[name] = types[0]
        else:
            without_cells.append(name)
    if without_cells:
        found |= known_types(index, without_cells)
        return {name: found[name] for name in components}
    return found


def _types_of_cells(parts: Sequence[tuple[Chunk, Rows]], component: str) -> list[pa.DataType]:
    """Return the instance types of a component's cells; rows without a cell have no influence."""
    return [
        chunk.layout.components[component].type.value_type
        for chunk, rows in parts
        if component in chunk.layout.components and has_cells(_picked_cells(chunk, rows, component))
    ]


def known_types(index: EntityIndex, components: Iterable[str]) -> dict[str, pa.DataType]:
    """Return the type of each component over the whole store, as lists of instances.

    A type is a list of `null` if the instances have no common type. It is the latest known type if
    garbage collection removed the last cell.

    Args:
        index: The entity.
        components: Identifiers of components.
    """
    temporal = (leaf.chunk for leaf in index.leaves())
    layouts = _distinct_layouts(itertools.chain(index.static_chunks, temporal))
    found: dict[str, pa.DataType] = {}
    for name in components:
        types = [layout.components[name].type for layout in layouts if name in layout.components]
        if not types:
            found[name] = index.columns[name].type
        elif all(same_type(kind, types[0]) for kind in types):
            found[name] = types[0]
        else:
            values = [kind.value_type for kind in types]
            found[name] = list_type(unified_or_null(values, index.path, name))
    return found


def _distinct_layouts(chunks: Iterable[Chunk]) -> list[ChunkLayout]:
    return list({id(chunk.layout): chunk.layout for chunk in chunks}.values())


def static_table(index: EntityIndex, components: Mapping[str, pa.DataType]) -> pa.Table:
    """Return the visible static cells as logged: one row per logged row with visible cells.

    Args:
        index: The entity.
        components: The component columns wanted, with their types.

    Returns:
        A table with the columns `row_id` and one per component; there is no time column.
    """
    owners = {name: index.static_owners[name] for name in components if name in index.static_owners}
    rows = {(owner.id, row): (owner, row) for owner, row in owners.values()}
    places = sorted(rows.values(), key=lambda place: place[0].row_id_at(place[1]))
    row_ids = [owner.row_id_at(row) for owner, row in places]
    columns: list[pa.Array | pa.ChunkedArray] = [row_id_column(np.array(row_ids, "S16"))]
    for name, wanted in components.items():
        winner = owners.get(name)
        cells = [
            _cells(owner, slice(row, row + 1), name, wanted)
            if winner is not None and winner[0] is owner and winner[1] == row
            else pa.nulls(1, wanted)
            for owner, row in places
        ]
        columns.append(pa.chunked_array(cells, wanted))
    return pa.table(columns, names=[ROW_ID, *components])


def _present(chunk: Chunk, components: Iterable[str]) -> npt.NDArray[np.bool_] | None:
    """Return a mask of the rows that have at least one of the components; `None` means all rows."""
    present = np.zeros(chunk.num_rows, dtype=np.bool_)
    for name in components:
        if name in chunk.layout.components:
            column = chunk.component(name)
            if not column.null_count:
                return None
            present |= are_valid(column)
    return present


def _compact(rows: npt.NDArray[np.intp]) -> Rows | None:
    if not len(rows):
        return None
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if last - first + 1 == len(rows) else rows


@running
def range_table(
    parts: Sequence[tuple[Chunk, Rows]],
    timeline: tuple[str, pa.DataType],
    components: Mapping[str, pa.DataType],
    static: Mapping[str, tuple[Chunk, int]],
) -> pa.Table:
    """Build the result of a range query: a row of static cells, then rows by (time, row id).

    Args:
        parts: Chunks of one entity in order of arrival, with the rows to take.
        timeline: Name and Arrow type of the first column.
        components: The component columns wanted, with their types.
        static: Chunk and row of the static cell of each component that has one.
    """
    times = np.concatenate([chunk.times(timeline[0])[rows] for chunk, rows in parts] or [_NO_TIMES])
    row_ids = np.concatenate([chunk.row_ids[rows] for chunk, rows in parts] or [_NO_ROW_IDS])
    order = _ordering(times, row_ids, parts)
    columns: list[list[pa.Array]] = [
        [positions(times if order is None else times[order]).view(timeline[1])],
        [row_id_column(row_ids if order is None else row_ids[order])],
    ]
    for name, wanted in components.items():
        if name in static:
            columns.append([pa.nulls(len(times), wanted)])
            continue
        cells = [_cells(chunk, rows, name, wanted) for chunk, rows in parts]
        columns.append(cells if order is None else _reordered(cells, order))
    if static:
        columns = [
            [first, *rest]
            for first, rest in zip(_static_row(timeline, components, static), columns, strict=True)
        ]
    types = [timeline[1], ROW_ID_TYPE, *components.values()]
    arrays = [pa.chunked_array(*column) for column in zip(columns, types, strict=True)]
    return pa.table(arrays, names=[timeline[0], ROW_ID, *components])


def _static_row(
    timeline: tuple[str, pa.DataType],
    components: Mapping[str, pa.DataType],
    static: Mapping[str, tuple[Chunk, int]],
) -> list[pa.Array]:
    """Return one value per column: a null time, the greatest row id, and the static cells."""
    row_id = max(chunk.row_id_at(row) for chunk, row in static.values())
    row: list[pa.Array] = [pa.nulls(1, timeline[1]), row_id_column(np.array([row_id], "S16"))]
    for name, wanted in components.items():
        if name in static:
            chunk, at = static[name]
            row.append(_cells(chunk, slice(at, at + 1), name, wanted))
        else:
            row.append(pa.nulls(1, wanted))
    return row


def row_id_column(row_ids: RowIdArray) -> pa.Array:
    """Return row ids as an Arrow `FixedSizeBinary(16)` column.

    Args:
        row_ids: The row ids, shape `(rows,)`.
    """
    data = pa.py_buffer(np.ascontiguousarray(row_ids))
    return pa.Array.from_buffers(pa.binary(16), len(row_ids), [None, data])


def _ordering(
    times: npt.NDArray[np.int64], row_ids: RowIdArray, parts: Sequence[tuple[Chunk, Rows]]
) -> npt.NDArray[np.intp] | None:
    """Return the permutation to (time, row id) order; `None` if the rows have this order already.

    Of rows equal in both, those of chunks that arrived first come last, because they count in a
    latest-at query (`latest_first`).
    """
    if bool(np.all(times[:-1] < times[1:])):
        return None
    nanos, counters = row_id_halves(row_ids)
    order = np.lexsort((counters, nanos, times))
    if len(parts) > 1 and _have_equals(order, times, nanos, counters):
        counts = [_count(rows) for _, rows in parts]
        order = np.lexsort((latest_first(counts), counters, nanos, times))
    return None if bool(np.all(order[:-1] < order[1:])) else order


def _have_equals(
    order: npt.NDArray[np.intp], key: npt.NDArray[Any], *others: npt.NDArray[Any]
) -> bool:
    """Return whether two adjacent rows in the given order are equal in all keys."""
    ordered = key[order]
    ties = np.flatnonzero(ordered[1:] == ordered[:-1])
    for other in others:
        if not len(ties):
            return False
        ties = ties[other[order[ties]] == other[order[ties + 1]]]
    return bool(len(ties))


def _count(rows: Rows) -> int:
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


def _reordered(cells: Sequence[pa.Array], order: npt.NDArray[np.intp]) -> list[pa.Array]:
    """Return all rows in another order, in several arrays if one array would be very large."""
    size = sum(int(array.nbytes) for array in cells)
    if size <= RANGE_PIECE_BYTES_MAX:
        return [pa.concat_arrays(cells).take(positions(order))]
    starts = np.cumsum([0, *map(len, cells)])
    step = max(1, len(order) * RANGE_PIECE_BYTES_MAX // size)
    return [
        piece
        for first in range(0, len(order), step)
        for piece in _picked(cells, starts, order[first : first + step])
    ]


def _picked(
    cells: Sequence[pa.Array], starts: npt.NDArray[np.intp], rows: npt.NDArray[np.intp]
) -> list[pa.Array]:
    """Return some rows of concatenated arrays, split in halves until each fits into one array."""
    source = np.searchsorted(starts, rows, side="right") - 1
    parts = [
        cells[part].take(positions(rows[source == part] - starts[part]))
        for part in np.unique(source)
    ]
    back = np.argsort(np.argsort(source, kind="stable"))
    try:
        return [pa.concat_arrays(parts).take(positions(back))]
    except pa.ArrowInvalid:  # more than Arrow's 32-bit offsets can address
        half = len(rows) // 2
        if not half:
            raise
        return _picked(cells, starts, rows[:half]) + _picked(cells, starts, rows[half:])


def _cells(chunk: Chunk, rows: Rows, component: str, wanted: pa.DataType) -> pa.Array:
    if component not in chunk.layout.components:
        return pa.nulls(_count(rows), wanted)
    column = _picked_cells(chunk, rows, component)
    return converted(column, wanted, chunk.entity_path, component)


def _picked_cells(chunk: Chunk, rows: Rows, component: str) -> pa.ListArray:
    column = chunk.component(component)
    if isinstance(rows, slice):
        return column.slice(rows.start, rows.stop - rows.start)
    return column.take(positions(rows))
