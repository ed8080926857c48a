"""Dataframes of several recordings in one table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import pyarrow as pa

from forebay.chunk import layout as chunk_layout
from forebay.errors import QueryError, UnknownTimelineError
from forebay.model import EntityPath
from forebay.store.dataframe.columns import Snapshot, settle_types
from forebay.store.dataframe.index import IndexValues
from forebay.store.dataframe.query import (
    DataframeQuery,
    columns_of,
    plan_of,
    timeless_if_static,
)
from forebay.store.unknown import is_without_time, unknown

RECORDING_ID: Final = "rerun_recording_id"
"""The first column of a dataframe of several recordings."""

_ANY_FLAGS: Final = (b"rerun:is_static", b"rerun:is_tombstone")
_ALL_FLAG: Final = b"rerun:is_semantically_empty"


def dataframes(
    snapshots: Mapping[str, Snapshot] | Iterable[tuple[str, Snapshot]],
    index: str | None,
    *,
    using_index_values: IndexValues | Mapping[str, IndexValues] | None = None,
    **arguments: Any,
) -> pa.Table:
    """Return the concatenated dataframes of several recordings.

    The first column, `rerun_recording_id`, has the recording of each row. A column that a recording
    lacks is null in its rows. A recording without the index has no rows. If no recording has any
    timeline, each has one row of its static data.

    Args:
        snapshots: Snapshots by recording id, in the order of the rows. Use pairs if several
            applications have a recording with the same id.
        index: As for `dataframe`.
        using_index_values: Index values for all recordings, or by recording id; recordings without
            an entry then have no rows.
        arguments: The other arguments of `dataframe`.

    Raises:
        UnknownTimelineError: There are timelines, but no recording has the index.
        QueryError: A timeline has different types, or an error of `dataframe`.
    """
    named = list(snapshots.items() if isinstance(snapshots, Mapping) else snapshots)
    if index is not None:
        named = _having(named, index)
    if isinstance(using_index_values, Mapping):
        by_recording = using_index_values
        named = [(name, snapshot) for name, snapshot in named if name in by_recording]
    else:
        by_recording = {name: using_index_values for name, _ in named}
    asked = []
    for name, snapshot in named:
        query = DataframeQuery(index=index, using_index_values=by_recording[name], **arguments)
        query = timeless_if_static(snapshot, query)
        asked.append((name, snapshot, query, columns_of(snapshot, query)))
    # The type of a column is derived from all recordings together, as within one.
    settle_types([column for *_, columns in asked for column in columns], index)
    tables = [
        (name, plan_of(snapshot, query, columns).table())
        for name, snapshot, query, columns in asked
    ]
    schema = _unified((name, table.schema) for name, table in tables)
    parts = [
        pa.Table.from_arrays(list(_columns(name, table, schema)), schema=schema)
        for name, table in tables
    ]
    return pa.concat_tables(parts) if parts else schema.empty_table()


def _having(named: list[tuple[str, Snapshot]], index: str) -> list[tuple[str, Snapshot]]:
    having = [(name, snapshot) for name, snapshot in named if index in snapshot.timelines()]
    if not having:
        if all(is_without_time(snapshot.timelines(), index) for _, snapshot in named):
            return named
        there = {line for _, snapshot in named for line in snapshot.timelines()}
        raise unknown(UnknownTimelineError, "timeline", index, there, "any recording")
    return having


def _unified(schemas: Iterable[tuple[str, pa.Schema]]) -> pa.Schema:
    """Return the schema with all columns: timelines by name, then components in Rerun's order."""
    fields: dict[_Key, tuple[str, pa.Field]] = {}
    for recording, schema in schemas:
        for field in schema:
            known = fields.setdefault(_key(field), (recording, field))
            if known[1].type != field.type:
                msg = (
                    f"column {field.name!r} is {known[1].type} in recording {known[0]!r} and "
                    f"{field.type} in {recording!r}; query them one by one, or leave it out"
                )
                raise QueryError(msg)
            fields[_key(field)] = known[0], _merged(known[1], field)
    ordered = sorted((field for _, field in fields.values()), key=_order)
    leading = pa.field(
        RECORDING_ID, pa.string(), nullable=False, metadata={chunk_layout.KIND: b"control"}
    )
    return pa.schema([leading, *ordered])


_Key: TypeAlias = "tuple[str, bytes | None, bytes | None]"


def _key(field: pa.Field) -> _Key:
    """Return the identity of a column: components of different archetypes may share a name."""
    metadata = field.metadata
    return (
        field.name,
        metadata.get(chunk_layout.ARCHETYPE),
        metadata.get(chunk_layout.COMPONENT_TYPE),
    )


def _merged(field: pa.Field, other: pa.Field) -> pa.Field:
    mine, theirs = dict(field.metadata), other.metadata
    for flag in _ANY_FLAGS:
        if flag in theirs:
            mine[flag] = theirs[flag]
    if _ALL_FLAG not in theirs:
        mine.pop(_ALL_FLAG, None)
    return field.with_metadata(mine)


def _order(field: pa.Field) -> tuple[Any, ...]:
    metadata = field.metadata
    if metadata[chunk_layout.KIND] == b"index":
        return 0, field.name.encode()
    return (
        1,
        EntityPath(metadata[chunk_layout.ENTITY_PATH].decode()).sort_key,
        metadata.get(chunk_layout.ARCHETYPE, b""),
        metadata[chunk_layout.COMPONENT],
        metadata.get(chunk_layout.COMPONENT_TYPE, b""),
    )


def _columns(
    recording: str, table: pa.Table, schema: pa.Schema
) -> Iterator[pa.Array | pa.ChunkedArray]:
    rows = table.num_rows
    places = {_key(field): number for number, field in enumerate(table.schema)}
    yield pa.repeat(pa.scalar(recording, pa.string()), rows)
    for field in list(schema)[1:]:
        place = places.get(_key(field))
        yield pa.nulls(rows, field.type) if place is None else table.column(place)
