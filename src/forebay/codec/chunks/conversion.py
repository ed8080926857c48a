"""Conversion of columns whose form in the message differs from the form in a store.

It is planned once per distinct schema. Most schemas need none, and their chunks have no extra cost.
Otherwise there is a `Conversion`: it removes or reorders columns (older SDKs), wraps components
that are not lists into lists of one instance, and converts rare Arrow types to plain ones. If a
component cannot be converted, only its column is left out; the rest of the message becomes a chunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pyarrow as pa

from forebay.chunk import UnreadColumn
from forebay.chunk.arrays import Bools, are_valid, lists_of, positions
from forebay.chunk.layout import COMPONENT, CONTROL_KINDS, INDEX_KINDS, KIND
from forebay.codec.chunks.plain_types import UnreadableColumnError, plain_field, to_plain
from forebay.errors import InvalidChunkError

if TYPE_CHECKING:
    from forebay.codec.chunks.migration import Migrated
    from forebay.codec.chunks.plain_types import Room

_NAME_CHARS_MAX: Final = 200


class _Step(NamedTuple):
    """The conversion of one column of a record batch.

    Attributes:
        position: Its number among the columns that are read.
        plain: The field after conversion to a plain type.
        field: The field in the chunk.
        is_wrapped: Whether each value becomes a list of one.
    """

    position: int
    plain: pa.Field
    field: pa.Field
    is_wrapped: bool


class Converted(NamedTuple):
    """The columns of a message after conversion.

    Attributes:
        batch: The columns of the chunk.
        unread: The columns that could not be read.
    """

    batch: pa.RecordBatch
    unread: tuple[UnreadColumn, ...]


@dataclass(frozen=True, slots=True)
class Conversion:
    """The conversion that all chunks of one schema need.

    Attributes:
        read: The numbers of the columns to read from the message.
        unread: Columns that cannot be read for any chunk of this schema.
        steps: The conversion of each column that is read, in the order of the chunk's columns.
    """

    read: tuple[int, ...]
    unread: tuple[UnreadColumn, ...]
    steps: tuple[_Step, ...]

    def convert(self, batch: pa.RecordBatch, room: Room, schema: pa.Schema) -> Converted:
        """Convert the columns of a batch to the form that a store keeps.

        Args:
            batch: The columns listed in `read`, validated.
            room: The memory that their data may use after conversion.
            schema: The schema of the chunks.

        Raises:
            InvalidChunkError: No component is left.
        """
        arrays = []
        fields = []
        unread = list(self.unread)
        for step in self.steps:
            array = batch.column(step.position)
            try:
                plain = _plain(array, step, room)
            except UnreadableColumnError as error:
                unread.append(UnreadColumn(_component(step.field), str(error)))
                continue
            arrays.append(plain)
            fields.append(step.field)
        refuse_if_empty(fields, tuple(unread))
        narrowed = schema if len(fields) == len(schema) else pa.schema(fields, schema.metadata)
        return Converted(pa.RecordBatch.from_arrays(arrays, schema=narrowed), tuple(unread))


def _plain(array: pa.Array, step: _Step, room: Room) -> pa.Array:
    if _kind(step.field) in INDEX_KINDS:
        return array.view(step.field.type)
    plain = to_plain(array, step.plain.type, room)
    return _wrapped(plain, _are_null(array), step.field.type, room) if step.is_wrapped else plain


class Planned(NamedTuple):
    """The schema of the chunks of one schema, and the conversion to it.

    Attributes:
        schema: The schema of the chunks.
        conversion: The conversion; `None` if the data can be read as `schema` directly.
    """

    schema: pa.Schema
    conversion: Conversion | None


def planned(wire: pa.Schema, migration: Migrated | None) -> Planned:
    """Plan the conversion of the chunks of a schema.

    Args:
        wire: The schema of the message.
        migration: The schema in the current form, if the message has an older form.

    Raises:
        InvalidChunkError: Row ids or times have an invalid type, or no component can be read.
    """
    schema = wire if migration is None else migration.schema
    positions = tuple(range(len(wire))) if migration is None else migration.positions
    steps: list[_Step] = []
    read: list[int] = []
    unread: list[UnreadColumn] = []
    columns = list(schema)
    for position, column in zip(positions, columns, strict=True):
        try:
            step = _step(len(read), column)
        except UnreadableColumnError as error:
            unread.append(UnreadColumn(_component(column), str(error)))
            continue
        read.append(position)
        steps.append(step)
    if (
        migration is None
        and not unread
        and all(step.field is one for one, step in zip(columns, steps, strict=True))
    ):
        return Planned(wire, None)
    fields = [step.field for step in steps]
    planned_schema = pa.schema(fields, metadata=schema.metadata)
    is_same = positions == tuple(range(len(wire))) and not unread
    if is_same and all(_is_read_as(one, step) for one, step in zip(columns, steps, strict=True)):
        return Planned(planned_schema, None)
    refuse_if_empty(fields, tuple(unread))
    order = sorted(read)
    moved = [step._replace(position=order.index(read[step.position])) for step in steps]
    return Planned(planned_schema, Conversion(tuple(order), tuple(unread), tuple(moved)))


def refuse_if_empty(fields: list[pa.Field], unread: tuple[UnreadColumn, ...]) -> None:
    """Check that at least one component remains if some columns cannot be read.

    Args:
        fields: The fields that remain.
        unread: The columns that cannot be read.

    Raises:
        InvalidChunkError: No component remains.
    """
    if unread and not any(_kind(one) not in (*CONTROL_KINDS, *INDEX_KINDS) for one in fields):
        first = unread[0]
        others = f", nor are {len(unread) - 1} others" if len(unread) > 1 else ""
        msg = f"component column {first.component!r} is not read{others}: {first.reason}"
        raise InvalidChunkError(msg)


def _step(position: int, column: pa.Field) -> _Step:
    kind = _kind(column)
    if kind in CONTROL_KINDS:
        return _Step(position, column, column, is_wrapped=False)
    if kind in INDEX_KINDS:
        # The time zone only affects display: the stored time is UTC in every zone.
        is_zoned = pa.types.is_timestamp(column.type) and column.type.tz is not None
        plain = column.with_type(pa.timestamp(column.type.unit)) if is_zoned else column
        return _Step(position, plain, plain, is_wrapped=False)
    if pa.types.is_list(column.type):
        plain = plain_field(column)
        return _Step(position, plain, plain, is_wrapped=False)
    # This includes other kinds of lists: each row is one value, as in Rerun.
    plain = plain_field(column)
    wrapped = plain.with_type(pa.list_(pa.field("item", plain.type)))
    return _Step(position, plain, wrapped, is_wrapped=True)


def _is_read_as(wire: pa.Field, step: _Step) -> bool:
    """Return whether the message stores a column in the form in which it is to be read."""
    return not step.is_wrapped and (step.plain is wire or _kind(wire) in INDEX_KINDS)


def _wrapped(array: pa.Array, is_null: Bools, target: pa.DataType, room: Room) -> pa.ListArray:
    """Wrap each value into a list of one; a row without a value remains null."""
    room.take(4 * len(array))
    offsets = np.concatenate([[0], np.cumsum(~is_null)])
    values = array.take(positions(np.flatnonzero(~is_null))) if is_null.any() else array
    return lists_of(target, offsets, is_null, values)


def _are_null(array: pa.Array) -> Bools:
    """Return the rows that the array itself marks as null, as in Rerun; values are not examined."""
    if isinstance(array, pa.ExtensionArray):
        return _are_null(array.storage)
    if isinstance(array, pa.DictionaryArray):
        return _are_null(array.indices)
    if isinstance(array, pa.NullArray | pa.UnionArray | pa.RunEndEncodedArray):
        return np.zeros(len(array), np.bool_)
    return ~are_valid(array)


def _kind(column: pa.Field) -> bytes:
    metadata = column.metadata
    return metadata[KIND] if metadata and KIND in metadata else b"data"


def _component(column: pa.Field) -> str:
    metadata = column.metadata or {}
    name = metadata.get(COMPONENT) or column.name.encode()
    text = name[: 4 * _NAME_CHARS_MAX].decode(errors="replace")
    return text if len(text) <= _NAME_CHARS_MAX else f"{text[:_NAME_CHARS_MAX]}…"
