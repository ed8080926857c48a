"""Conversion of nested components to columns of numbers, for example as input of a model.

A component's cell is a list of instances, and an instance may itself be a list, a struct or a
vector. `flatten` keeps the rows and makes one column per number of a cell. `explode` makes one row
per instance.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forebay.chunk.arrays import are_valid, positions
from forebay.chunk.convert import as_nullable
from forebay.errors import QueryError, UnknownComponentError, told
from forebay.limits import FLATTEN_INSTANCES_MAX
from forebay.store.dataframe.columns import list_offsets
from forebay.store.dataframe.memory import repeat

Columns = Collection[str] | None


def flatten(
    table: pa.Table, columns: Columns = None, *, max_instances: int = FLATTEN_INSTANCES_MAX
) -> pa.Table:
    """Replace nested columns by one flat column per part of each instance; rows are unchanged.

    A column of lists with at most one instance keeps its name. Otherwise the number of the instance
    is appended. Parts of a vector are numbered, parts of a struct are named:
    `/a:Points3D:positions` becomes `…positions.0.0`, `…positions.0.1`, … if some row has two
    points, else `…positions.0`, …. Missing values are null.

    Args:
        table: A dataframe, or any table.
        columns: The names of the columns to flatten; `None` means all nested ones. Other columns
            are kept.
        max_instances: The length of the longest list that is converted to columns.

    Returns:
        A table with the same number of rows.

    Raises:
        UnknownComponentError: There is no column of that name.
        QueryError: A list is longer than `max_instances`; `explode` has no such limit.
    """
    wanted = _wanted(table, columns)
    arrays: list[pa.Array] = []
    fields: list[pa.Field] = []
    for number, field in enumerate(table.schema):
        if field.name not in wanted:
            arrays.append(table.column(number))
            fields.append(field)
            continue
        column = _combined(table.column(number))
        for name, part in _parts(field.name, column, max_instances):
            arrays.append(part)
            fields.append(pa.field(name, part.type, metadata=field.metadata))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=table.schema.metadata))


def explode(table: pa.Table, columns: Columns = None) -> pa.Table:
    """Make one row per instance; values of other columns are repeated.

    Several columns are exploded in parallel: a row becomes as many rows as its longest list has
    instances, and shorter lists are padded with nulls. A row with only nulls and empty lists
    becomes one row of nulls. Vectors and structs are kept; `flatten` the result to split them.

    Args:
        table: A dataframe, or any table.
        columns: The names of the columns to explode; `None` means all columns of lists.

    Raises:
        UnknownComponentError: There is no column of that name.
        QueryError: A column is not a list column.
    """
    wanted = _wanted(table, columns, lists_only=columns is None)
    for name in wanted:
        if not pa.types.is_list(table.schema.field(name).type):
            msg = f"column {name!r} is {table.schema.field(name).type}, not a list: leave it out"
            raise QueryError(msg)
    if not wanted:
        return table
    lists = {name: _combined(table.column(name)) for name in wanted}
    lengths = {name: _lengths(column) for name, column in lists.items()}
    rows_of = np.maximum(1, np.max(list(lengths.values()), axis=0, initial=0))
    row = repeat(np.arange(table.num_rows), rows_of)
    within = np.arange(len(row)) - repeat(np.cumsum(rows_of) - rows_of, rows_of)
    arrays: list[pa.Array | pa.ChunkedArray] = []
    fields: list[pa.Field] = []
    for number, field in enumerate(table.schema):
        if field.name not in wanted:
            arrays.append(table.column(number).take(positions(row)))
            fields.append(field)
            continue
        column = lists[field.name]
        position = list_offsets(column)[:-1][row] + within
        missing = within >= lengths[field.name][row]
        instances = column.values.take(pa.array(position, mask=missing))
        instances = as_nullable(instances) if missing.any() else instances
        arrays.append(instances)
        fields.append(pa.field(field.name, instances.type, metadata=field.metadata))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=table.schema.metadata))


def _wanted(table: pa.Table, columns: Columns, *, lists_only: bool = False) -> set[str]:
    if columns is None:
        nested = pa.types.is_list if lists_only else pa.types.is_nested
        return {field.name for field in table.schema if nested(field.type)}
    names = {columns} if isinstance(columns, str) else set(columns)
    missing = sorted(names - set(table.column_names))
    if missing:
        msg = f"no column {missing[0]!r}; there is: {told(map(repr, table.column_names))}"
        raise UnknownComponentError(msg)
    return names


def _combined(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0, column.type)


def _lengths(column: pa.ListArray) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Return the number of instances in each row; 0 where the row is null."""
    lengths = np.diff(list_offsets(column))
    return np.where(are_valid(column), lengths, 0) if column.null_count else lengths


def _parts(name: str, column: pa.Array, max_instances: int) -> Iterator[tuple[str, pa.Array]]:
    """Split a column repeatedly until no part is nested."""
    kind = column.type
    if pa.types.is_struct(kind):
        fields = [column.field(number) for number in range(kind.num_fields)]
        for inner, part in zip(kind, fields, strict=True):
            masked = _masked(part, column)
            yield from _parts(f"{name}.{inner.name}", masked, max_instances)
    elif pa.types.is_fixed_size_list(kind):
        for number in range(kind.list_size):
            part = pc.list_element(column, number) if len(column) else column.flatten()
            yield from _parts(f"{name}.{number}", part, max_instances)
    elif pa.types.is_list(kind):
        instances = _instances(name, column, max_instances)
        for number, part in enumerate(instances):
            label = name if len(instances) == 1 else f"{name}.{number}"
            yield from _parts(label, part, max_instances)
    else:
        yield name, column


def _instances(name: str, column: pa.ListArray, max_instances: int) -> Sequence[pa.Array]:
    """Return the first instances of all rows, the second ones, and so on; null where missing."""
    lengths = _lengths(column)
    longest = int(lengths.max(initial=1))
    if longest > max_instances:
        msg = (
            f"column {name!r} has a row of {longest} instances, which would make as many columns "
            f"(at most {max_instances}); leave it out, explode it into rows, or raise max_instances"
        )
        raise QueryError(msg)
    starts = list_offsets(column)[:-1]
    return [
        column.values.take(pa.array(starts + number, mask=lengths <= number))
        for number in range(longest)
    ]


def _masked(part: pa.Array, of: pa.Array) -> pa.Array:
    """Return a field of a struct, null where the struct is null."""
    if not of.null_count:
        return part
    return part.take(pa.array(np.arange(len(part)), mask=~np.asarray(of.is_valid())))
