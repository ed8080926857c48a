"""The schema of a chunk that is written: its claims are true for the chunk's rows.

A chunk keeps the schema of its message, or that of the first of its parts. Merging, splitting and
sorting make claims of that schema untrue, and some senders' claims were never true. Rerun relies on
them: it uses bisection on a timeline that claims to be sorted, and rejects a file with a null in a
field that claims to have none. So the claims are derived again from the data.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final

import pyarrow as pa
from pyarrow import types

from forebay.chunk.layout import CHUNK_ID, IS_SORTED, SORBET_VERSION
from forebay.chunk.row_ids import are_sorted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forebay.chunk import Chunk

SORBET_VERSION_WRITTEN: Final = b"0.1.3"
"""The version for chunks without one, or with an older one: in memory all have this form."""

_SIZE: Final = b"rerun:heap_size_bytes"
"""The size of a chunk as older SDKs write it; it is not true for parts of the chunk."""


def outgoing_batch(chunk: Chunk) -> pa.RecordBatch:
    """Return the rows of a chunk under a schema whose claims are true for them.

    Args:
        chunk: The chunk; it is opened.
    """
    batch, layout = chunk.batch, chunk.layout
    sorted_by = {layout.row_ids: are_sorted(chunk.row_ids)}
    for name, index in layout.indexes.items():
        times = chunk.times(name)
        sorted_by[index.position] = bool((times[:-1] <= times[1:]).all())
    fields: list[pa.Field] = []
    columns: list[pa.Array] = []
    for position, (field, column) in enumerate(zip(batch.schema, batch.columns, strict=True)):
        about = {key: value for key, value in (field.metadata or {}).items() if key != IS_SORTED}
        if sorted_by.get(position, False):
            about[IS_SORTED] = b"true"
        kind = _honest_type(column) if _claims_no_nulls(column.type) else column.type
        columns.append(column if kind == column.type else column.cast(kind))
        is_component = position not in sorted_by
        fields.append(pa.field(field.name, kind, field.nullable or is_component, about))
    schema = pa.schema(fields, _metadata(chunk, batch.schema.metadata or {}))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _metadata(chunk: Chunk, came_with: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    metadata = {key: value for key, value in came_with.items() if key != _SIZE}
    if _version(metadata.get(SORBET_VERSION, b"")) < _version(SORBET_VERSION_WRITTEN):
        metadata[SORBET_VERSION] = SORBET_VERSION_WRITTEN
    metadata[CHUNK_ID] = str(chunk.id).encode()
    return metadata


def _version(text: bytes) -> tuple[int, ...]:
    return tuple(map(int, re.findall(rb"\d{1,9}", text)[:3]))


@functools.lru_cache(maxsize=1024)
def _claims_no_nulls(kind: pa.DataType) -> bool:
    """Return whether a nested value of a type claims never to be null."""
    children = [kind.field(number) for number in range(kind.num_fields)]
    return any(not child.nullable or _claims_no_nulls(child.type) for child in children)


def _honest_type(column: pa.Array) -> pa.DataType:
    """Return the type of a column, with nested fields nullable where they have nulls."""
    kind = column.type
    is_struct = types.is_struct(kind)
    is_variable = types.is_list(kind) or types.is_large_list(kind)
    if not (is_struct or is_variable or types.is_fixed_size_list(kind)):
        return kind
    present = column.drop_null() if column.null_count else column
    inner = [present.field(n) for n in range(kind.num_fields)] if is_struct else [present.flatten()]
    fields = [
        pa.field(field.name, _honest_type(values), field.nullable or bool(values.null_count))
        for field, values in zip(
            [kind.field(n) for n in range(kind.num_fields)], inner, strict=True
        )
    ]
    if is_struct:
        return pa.struct(fields)
    if types.is_list(kind):
        return pa.list_(fields[0])
    return (
        pa.large_list(fields[0])
        if types.is_large_list(kind)
        else pa.list_(fields[0], kind.list_size)
    )
