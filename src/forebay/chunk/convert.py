"""Conversion of Arrow arrays to the common type of a column (see `unify`), without loss of values.

Nested arrays are decomposed and rebuilt, because Arrow's own cast drops fields of structs and does
not support missing fields. The results of Arrow's casts are checked, because not all casts report
an overflow.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import lib

from forebay.chunk.arrays import are_valid, flattened, positions
from forebay.chunk.unify import nullable, told_type
from forebay.errors import QueryError


def converted(values: pa.Array, kind: pa.DataType, entity_path: object, component: str) -> pa.Array:
    """Convert values to the type that `unified` returned for them and for others.

    Args:
        values: An array of any type that was passed to `unified`. An array of lists that are all
            null may have another type.
        kind: The target type.
        entity_path: The entity, for the error message.
        component: The identifier of the component, for the error message.

    Returns:
        `values` itself if it has the target type, else an array of the same length.

    Raises:
        QueryError: A value does not fit the finer unit of `kind`.
    """
    if values.type == kind:
        return values
    try:
        return _converted(values, kind)
    except _DoesNotFitError as error:
        msg = (
            f"component {component!r} of {entity_path} was logged as {told_type(error.own)} and as "
            f"{told_type(error.kind)}, and not all values of one fit into the other; ask for "
            "other components, for a `range` with only one of the types, or for single cells with "
            "`latest_at`"
        )
        raise QueryError(msg) from error


def as_nullable(values: pa.Array) -> pa.Array:
    """Return the same values in a type that permits nulls in structs and fixed-size lists.

    Args:
        values: An array of any type.
    """
    return _converted(values, nullable(values.type))


def _converted(values: pa.Array, kind: pa.DataType) -> pa.Array:
    own = values.type
    if own == kind:
        return values
    if own.id == lib.Type_NA or not len(values):
        return pa.nulls(len(values), kind)
    return _CONVERSIONS[own.id](values, kind) if own.id in _CONVERSIONS else _leaf(values, kind)


class _DoesNotFitError(Exception):
    """Some values of one type cannot be represented in another type."""

    def __init__(self, own: pa.DataType, kind: pa.DataType) -> None:
        super().__init__(own, kind)
        self.own = own
        self.kind = kind


def _leaf(values: pa.Array, kind: pa.DataType) -> pa.Array:
    try:
        found = values.cast(kind)
        # Arrow's cast of a time of day from seconds to milliseconds wraps around on overflow. So
        # cast back and compare.
        fits = not pa.types.is_temporal(kind) or found.cast(values.type, safe=False).equals(values)
    except pa.ArrowException as error:
        raise _DoesNotFitError(values.type, kind) from error
    if not fits:
        raise _DoesNotFitError(values.type, kind)
    return found


def _struct(values: pa.StructArray, kind: pa.StructType) -> pa.Array:
    own = values.type
    names = [field.name for field in own]
    by_place = names == [field.name for field in kind]
    # A value below a null has no meaning, and could overflow in a finer unit.
    bare = flattened(values) if values.null_count else None
    children = []
    for number, field in enumerate(kind):
        if not by_place and field.name not in names:
            children.append(pa.nulls(len(values), field.type))
            continue
        place = number if by_place else names.index(field.name)
        child = bare[place] if bare is not None and field.nullable else values.field(place)
        children.append(_converted(child, field.type))
    return pa.Array.from_buffers(kind, len(values), [_validity(values)], children=children)


def _list(values: pa.Array, kind: pa.DataType) -> pa.Array:
    values, offsets = _offsets(values)
    first, last = int(offsets[0]), int(offsets[-1])
    child = _converted(values.values.slice(first, last - first), kind.value_type)
    return _from_offsets(kind, offsets - first, values, child)


def _fixed_size_list(values: pa.FixedSizeListArray, kind: pa.DataType) -> pa.Array:
    size = values.type.list_size
    if kind.id == lib.Type_FIXED_SIZE_LIST:
        child = values.values.slice(values.offset * size, len(values) * size)
        child = _converted(child, kind.value_type)
        return pa.Array.from_buffers(kind, len(values), [_validity(values)], children=[child])
    # `flatten` omits the values below nulls.
    child = _converted(values.flatten(), kind.value_type)
    offsets = np.zeros(len(values) + 1, np.int64)
    np.cumsum(np.where(are_valid(values), size, 0), out=offsets[1:])
    return _from_offsets(kind, offsets, values, child)


def _map(values: pa.MapArray, kind: pa.MapType) -> pa.Array:
    values, offsets = _offsets(values)
    first, last = int(offsets[0]), int(offsets[-1])
    entries = pa.Array.from_buffers(
        pa.struct([kind.key_field, kind.item_field]),
        last - first,
        [None],
        children=[
            _converted(values.keys.slice(first, last - first), kind.key_type),
            _converted(values.items.slice(first, last - first), kind.item_type),
        ],
    )
    return _from_offsets(kind, offsets - first, values, entries)


def _offsets(values: pa.Array) -> tuple[pa.Array, npt.NDArray[np.integer]]:
    """Return lists and their offsets; lists below nulls are made empty."""
    count = len(values)
    dtype = np.dtype(np.int64 if values.type.id == lib.Type_LARGE_LIST else np.int32)
    buffer = values.buffers()[1]
    if buffer is None or not count:
        return values, np.zeros(count + 1, dtype)
    offsets = np.frombuffer(buffer, dtype, count + 1, dtype.itemsize * values.offset)
    if values.null_count and bool((np.diff(offsets)[~are_valid(values)] > 0).any()):
        return _offsets(values.take(positions(np.arange(count))))
    return values, offsets


def _from_offsets(
    kind: pa.DataType, offsets: npt.NDArray[np.integer], values: pa.Array, child: pa.Array
) -> pa.Array:
    """Return lists of a type with the given offsets, null where `values` is null."""
    dtype = np.int64 if kind.id == lib.Type_LARGE_LIST else np.int32
    if len(child) > np.iinfo(dtype).max:
        raise _DoesNotFitError(values.type, kind)
    data = pa.py_buffer(np.ascontiguousarray(offsets, dtype))
    return pa.Array.from_buffers(
        kind, len(offsets) - 1, [_validity(values), data], children=[child]
    )


def _validity(values: pa.Array) -> pa.Buffer | None:
    if not values.null_count:
        return None
    return pa.py_buffer(np.packbits(are_valid(values), bitorder="little"))


_CONVERSIONS: Final = {
    lib.Type_STRUCT: _struct,
    lib.Type_LIST: _list,
    lib.Type_LARGE_LIST: _list,
    lib.Type_FIXED_SIZE_LIST: _fixed_size_list,
    lib.Type_MAP: _map,
}
"""Converters of nested arrays, by the id of their Arrow type."""
