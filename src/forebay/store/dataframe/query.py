"""Execution of dataframe queries: a query becomes a plan, a plan becomes a table or batches."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from forebay.limits import DATAFRAME_BATCH_BYTES, DATAFRAME_BATCH_ROWS
from forebay.model import TimeLike, Timeline, to_index_value
from forebay.model.contents import EVERYTHING, ContentFilter, Contents
from forebay.store.damage import despite_damage
from forebay.store.dataframe.arrays import CellColumn, ConstantColumn
from forebay.store.dataframe.cells import Cells, as_typed
from forebay.store.dataframe.clears import Clears, EntityClears
from forebay.store.dataframe.columns import (
    ComponentColumn,
    Snapshot,
    component_columns,
    index_field,
    list_type,
    settle_types,
)
from forebay.store.dataframe.index import (
    IndexValues,
    RowIndex,
    merged_index,
    parsed_index_values,
    restricted,
)
from forebay.store.dataframe.memory import Memory
from forebay.store.dataframe.rows import MISSING, ChunkRows, Int64s, LatestRows
from forebay.store.dataframe.runs import Placement, Runs, cleared_runs, filled_runs, plain_runs
from forebay.store.dataframe.times import GreatestTimes
from forebay.store.running import running
from forebay.store.unknown import is_without_time

if TYPE_CHECKING:
    from forebay.model import EntityPath


@dataclass(frozen=True, slots=True, kw_only=True)
class DataframeQuery:
    """The arguments of a dataframe query.

    Attributes:
        index: The timeline whose values make the rows. `None` gives one row of static data, and so
            does any name in a recording without timelines.
        contents: The selection of entities; see `ContentFilter`.
        components: Identifiers of components to keep; `None` keeps all.
        fill_latest_at: Show in each row the latest value so far. A cleared cell is empty only in
            the row of the clear; the next row has the old value again, as in Rerun's reader.
        respect_clears: With `fill_latest_at`: a cleared cell remains empty until the component is
            logged again, as in a latest-at query.
        using_index_values: Make one row per given value instead of per logged value.
        start: The least index value, inclusive; earlier values are still used for filling.
        end: The greatest index value, inclusive.
        include_semantically_empty_columns: Keep columns with only nulls and empty lists.
        include_tombstone_columns: Keep the columns of `Clear`.
    """

    index: str | None
    contents: Contents = EVERYTHING
    components: Collection[str] | None = None
    fill_latest_at: bool = False
    respect_clears: bool = False
    using_index_values: IndexValues | None = None
    start: TimeLike | None = None
    end: TimeLike | None = None
    include_semantically_empty_columns: bool = False
    include_tombstone_columns: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class DataframePlan:
    """A prepared query: rows are counted and cells located, but no data is copied yet.

    Attributes:
        schema: The schema of the dataframe.
        num_rows: The number of rows.
        times: The columns of the timelines.
        columns: The columns of the components.
    """

    schema: pa.Schema
    num_rows: int
    times: tuple[pa.Array, ...]
    columns: tuple[CellColumn | ConstantColumn, ...]

    @running
    def table(self) -> pa.Table:
        """Return all rows as one table."""
        if not len(self.schema):
            return self.schema.empty_table()
        memory = Memory(len(self.columns))
        arrays = [
            *self.times,
            *(
                pa.chunked_array(column.pieces(memory), field.type)
                for column, field in self._fields()
            ),
        ]
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def batches(
        self, max_rows: int = DATAFRAME_BATCH_ROWS, max_bytes: int = DATAFRAME_BATCH_BYTES
    ) -> pa.RecordBatchReader:
        """Return a reader that makes the rows batch by batch.

        Args:
            max_rows: The maximum number of rows per batch.
            max_bytes: The approximate maximum size of a batch in bytes; a batch has at least one
                row.
        """
        return pa.RecordBatchReader.from_batches(self.schema, self._batches(max_rows, max_bytes))

    def _batches(self, max_rows: int, max_bytes: int) -> Iterator[pa.RecordBatch]:
        first, memory = 0, Memory(len(self.columns))
        while first < self.num_rows and len(self.schema):
            stop = min(first + max(1, max_rows), self.num_rows)
            while stop - first > 1 and self._size_bytes(first, stop) > max_bytes:
                stop = first + (stop - first) // 2
            yield self._batch(first, stop, memory)
            first = stop

    @running
    def _batch(self, first: int, stop: int, memory: Memory) -> pa.RecordBatch:
        times = [array.slice(first, stop - first) for array in self.times]
        memory.expect(len(self.columns))
        cells = [column.piece(first, stop, memory) for column in self.columns]
        return pa.RecordBatch.from_arrays([*times, *cells], schema=self.schema)

    def _size_bytes(self, first: int, stop: int) -> int:
        return sum(column.size_bytes(first, stop) for column in self.columns)

    def _fields(self) -> Iterator[tuple[CellColumn | ConstantColumn, pa.Field]]:
        start = len(self.times)
        for number, column in enumerate(self.columns):
            yield column, self.schema.field(start + number)


@running
def dataframe(
    snapshot: Snapshot,
    index: str | None,
    *,
    contents: Contents = EVERYTHING,
    components: Collection[str] | None = None,
    fill_latest_at: bool = False,
    respect_clears: bool = False,
    using_index_values: IndexValues | None = None,
    start: TimeLike | None = None,
    end: TimeLike | None = None,
    include_semantically_empty_columns: bool = False,
    include_tombstone_columns: bool = False,
) -> pa.Table:
    """Return the dataframe of a snapshot; the arguments are explained at `DataframeQuery`.

    The first columns are all timelines by name; where the cells shown have different times, the
    greatest. Then follows every component of the selected entities as
    `/entity/path:Archetype:component`. A static component shows its value in every row.

    Raises:
        UnknownTimelineError: There are timelines, but none with the name of the index.
        UnknownComponentError: No selected entity has the component.
        ExpressionError: The contents are invalid, or an index value is repeated.
        TimeTypeError: A time does not fit the index.
        QueryError: The logged Arrow types of a component have no common type (`chunk.unify`).
    """
    query = DataframeQuery(
        index=index,
        contents=contents,
        components=components,
        fill_latest_at=fill_latest_at,
        respect_clears=respect_clears,
        using_index_values=using_index_values,
        start=start,
        end=end,
        include_semantically_empty_columns=include_semantically_empty_columns,
        include_tombstone_columns=include_tombstone_columns,
    )
    return plan(snapshot, query).table()


@despite_damage
def plan(snapshot: Snapshot, query: DataframeQuery) -> DataframePlan:
    """Prepare a query.

    Args:
        snapshot: The store.
        query: The query.

    Raises:
        QueryError: As for `dataframe`.
    """
    query = timeless_if_static(snapshot, query)
    columns = columns_of(snapshot, query)
    settle_types(columns, query.index)
    return plan_of(snapshot, query, columns)


def timeless_if_static(snapshot: Snapshot, query: DataframeQuery) -> DataframeQuery:
    """Return the query for static data if the snapshot has no timelines, else the same query.

    Args:
        snapshot: The store.
        query: The query.
    """
    query = replace(query, contents=ContentFilter.parse(query.contents))
    if is_without_time(snapshot.timelines(), query.index):
        return replace(query, index=None)
    return query


def columns_of(snapshot: Snapshot, query: DataframeQuery) -> list[ComponentColumn]:
    """Return the component columns of a query before their types are settled.

    Args:
        snapshot: The store.
        query: The query.

    Raises:
        UnknownTimelineError: There is no timeline with the name of the index.
        UnknownComponentError: No selected entity has one of the components.
        ExpressionError: The contents are invalid.
    """
    timeline = None if query.index is None else snapshot.timeline(query.index)
    columns = component_columns(
        snapshot,
        ContentFilter.parse(query.contents),
        components=query.components,
        static_only=query.index is None,
        include_semantically_empty_columns=query.include_semantically_empty_columns,
        include_tombstone_columns=query.include_tombstone_columns,
    )
    if timeline is not None:
        may_show = _Selection(query, timeline).may_show
        for column in columns:
            column.may_show = may_show
    return columns


def plan_of(
    snapshot: Snapshot, query: DataframeQuery, columns: list[ComponentColumn]
) -> DataframePlan:
    """Prepare a query whose columns and their types are known.

    Args:
        snapshot: The store.
        query: The query.
        columns: The columns from `columns_of`, after `settle_types`.
    """
    timeline = None if query.index is None else snapshot.timeline(query.index)
    timelines = [
        Timeline(name, time_type)
        for name, time_type in sorted(
            snapshot.timelines().items(), key=lambda item: item[0].encode()
        )
    ]
    schema = pa.schema([*map(index_field, timelines), *(column.arrow_field for column in columns)])
    if timeline is None:
        return _static_plan(schema, timelines, columns)
    return _Planner(snapshot, query, timeline, columns).plan(schema, timelines)


def _static_plan(
    schema: pa.Schema, timelines: list[Timeline], columns: list[ComponentColumn]
) -> DataframePlan:
    """Return the plan of one row without times."""
    times = tuple(pa.nulls(1, schema.field(number).type) for number in range(len(timelines)))
    constant = tuple(
        ConstantColumn(_static_value(column), 1, list_type(column.value_type)) for column in columns
    )
    return DataframePlan(schema, 1 if len(schema) else 0, times, constant)


def _static_value(column: ComponentColumn) -> pa.Array | None:
    """Return the instances of the static cell that is shown in every row, if there is one."""
    return None if column.static_value is None else as_typed(column.static_value, column)


class _Selection:
    """The rows that a query may show, by their times; used if a column has several types."""

    def __init__(self, query: DataframeQuery, timeline: Timeline) -> None:
        self._query = query
        self._timeline = timeline

    @functools.cached_property
    def _values(self) -> Int64s | None:
        given = self._query.using_index_values
        return None if given is None else parsed_index_values(given, self._timeline)

    def may_show(self, times: Int64s) -> npt.NDArray[np.bool_]:
        """Return which rows have an index value of the query, or fill a later row.

        Args:
            times: Times on the index, shape `(rows,)`.
        """
        start, end = (
            None if bound is None else to_index_value(bound, self._timeline)
            for bound in (self._query.start, self._query.end)
        )
        shown = np.ones(len(times), np.bool_)
        if end is not None:
            shown &= times <= end
        values = self._values
        if self._query.fill_latest_at:
            return shown if values is None else shown & (times <= values.max(initial=MISSING))
        if start is not None:
            shown &= times >= start
        # The reserved time is shown as the next greater value.
        return shown if values is None else shown & np.isin(np.maximum(times, MISSING + 1), values)


class _Planner:
    """The preparation of one query on an index."""

    def __init__(
        self,
        snapshot: Snapshot,
        query: DataframeQuery,
        timeline: Timeline,
        columns: list[ComponentColumn],
    ) -> None:
        self._query = query
        self._timeline = timeline
        self._columns = columns
        self._clears = Clears(snapshot, timeline.name)
        self._clears_of: dict[EntityPath, EntityClears | None] = {}
        self._rows: dict[tuple[int, ...], ChunkRows] = {}
        # A static cell hides all temporal cells, unless it is null.
        self._static = [_static_value(column) for column in columns]
        self._cells = [
            Cells(column, self._rows_of(column)) if value is None else None
            for column, value in zip(columns, self._static, strict=True)
        ]
        for column in columns:
            if column.entity_path not in self._clears_of:
                self._clears_of[column.entity_path] = self._clears.of(column.entity_path)

    def _rows_of(self, column: ComponentColumn) -> ChunkRows:
        """Return the rows of the column's chunks; columns with the same chunks share them."""
        key = tuple(map(id, column.chunks))
        rows = self._rows.get(key)
        if rows is None:
            rows = self._rows[key] = ChunkRows(column.chunks, self._timeline.name)
        return rows

    def plan(self, schema: pa.Schema, timelines: list[Timeline]) -> DataframePlan:
        logged = (
            merged_index(
                [
                    *(cells.rows.times for cells in self._cells if cells is not None),
                    *(clears.latest.times for clears in self._clears_of.values() if clears),
                ]
            )
            if self._query.using_index_values is None
            else parsed_index_values(self._query.using_index_values, self._timeline)
        )
        values = restricted(logged, self._query.start, self._query.end, self._timeline)
        exact = self._query.using_index_values is None and len(values) == len(logged)
        place = Placement(RowIndex(values), exact=exact)
        others = [
            GreatestTimes(timeline.name, len(values))
            for timeline in timelines
            if timeline.name != self._timeline.name
        ]
        columns = tuple(
            self._column(column, value, cells, place, others)
            for column, value, cells in zip(self._columns, self._static, self._cells, strict=True)
        )
        by_name = {other.timeline: other for other in others}
        times = tuple(
            _time_array(
                values if timeline.name == self._timeline.name else by_name[timeline.name].times(),
                schema.field(number).type,
            )
            for number, timeline in enumerate(timelines)
        )
        return DataframePlan(schema, len(values), times, columns)

    def _column(
        self,
        column: ComponentColumn,
        value: pa.Array | None,
        cells: Cells | None,
        place: Placement,
        others: list[GreatestTimes],
    ) -> CellColumn | ConstantColumn:
        num_rows, kind = len(place.index), list_type(column.value_type)
        if cells is None:
            return ConstantColumn(value, num_rows, kind)
        runs, empties = self._runs(cells, self._clears_of[column.entity_path], place)
        for other in others:
            other.add(cells, empties, runs)
        return CellColumn(cells, runs, sum(map(len, empties)), num_rows, kind)

    def _runs(
        self, cells: Cells, clears: EntityClears | None, place: Placement
    ) -> tuple[Runs, tuple[LatestRows, ...]]:
        """Return which cell is in which row, and the clears that are numbered after the cells."""
        if clears is None:
            runs = (filled_runs if self._query.fill_latest_at else plain_runs)(cells, None, place)
            return runs, ()
        if not self._query.fill_latest_at:
            return plain_runs(cells, clears, place), (clears.latest,)
        if not self._query.respect_clears:
            return filled_runs(cells, clears, place), (clears.latest,)
        sources = tuple(source.latest for source in clears.sources)
        return cleared_runs(cells, clears, place), (clears.latest, *sources)


def _time_array(times: Int64s, kind: pa.DataType) -> pa.Array:
    missing = times == MISSING
    validity = None
    if missing.any():
        validity = pa.py_buffer(np.packbits(~missing, bitorder="little"))
    data = np.ascontiguousarray(times)
    return pa.Array.from_buffers(kind, len(data), [validity, pa.py_buffer(data)])
