"""Conversion between Arrow and NumPy without `pa.array` and `to_numpy`.

Both of these import pandas if it is installed. That takes half a second at the first call in a
process, possibly while a store's lock is held.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Bools = npt.NDArray[np.bool_]


def positions(rows: npt.NDArray[np.integer]) -> pa.Int64Array:
    """Return row positions in the form that `pa.Array.take` accepts, shape `(len(rows),)`.

    Args:
        rows: Positions of any integer type, shape `(rows,)`.
    """
    data = np.ascontiguousarray(rows, np.int64)
    return pa.Array.from_buffers(pa.int64(), len(data), [None, pa.py_buffer(data)], 0)


def truths(flags: pa.BooleanArray) -> Bools:
    """Return the values of a boolean array, shape `(len(flags),)`.

    Args:
        flags: The array. The result is undefined where a value is null.
    """
    bits = flags.buffers()[1]
    if bits is None or not len(flags):
        return np.zeros(0, np.bool_)
    first, stop = flags.offset, flags.offset + len(flags)
    octets = np.frombuffer(bits, np.uint8, (stop + 7) // 8 - first // 8, first // 8)
    unpacked = np.unpackbits(octets, count=first % 8 + len(flags), bitorder="little")
    return unpacked[first % 8 :].view(np.bool_)


def are_valid(column: pa.Array) -> Bools:
    """Return a mask of the values that are not null, shape `(len(column),)`.

    Args:
        column: An array of any type.
    """
    return truths(column.is_valid())


def integers(column: pa.Array) -> npt.NDArray[np.int64]:
    """Return the values of an array of integers, shape `(len(column),)`.

    Args:
        column: An array of integers of any width. The result is undefined where a value is null.
    """
    bits = column.buffers()[1]
    if bits is None or not len(column):
        return np.zeros(0, np.int64)
    width = column.type.bit_width // 8
    kind = np.dtype(f"{'i' if pa.types.is_signed_integer(column.type) else 'u'}{width}")
    values = np.frombuffer(bits, kind, len(column), width * column.offset)
    return values.astype(np.int64)


def lists_of(
    data_type: pa.DataType, offsets: npt.NDArray[np.int64], is_null: Bools, values: pa.Array
) -> pa.Array:
    """Build an array of lists, or of large lists, from offsets, a null mask and values.

    Args:
        data_type: The type of the lists.
        offsets: The offsets of the lists in `values`, shape `(lists + 1,)`.
        is_null: The lists that are null, shape `(lists,)`.
        values: The concatenated items of all lists.
    """
    is_large = pa.types.is_large_list(data_type)
    ends = pa.py_buffer(np.ascontiguousarray(offsets, np.int64 if is_large else np.int32))
    validity = pa.py_buffer(np.packbits(~is_null, bitorder="little")) if is_null.any() else None
    return pa.Array.from_buffers(data_type, len(is_null), [validity, ends], children=[values])


def flattened(values: pa.StructArray) -> list[pa.Array]:
    """The fields of structs, null where the structs are; a union stays as it is.

    `StructArray.flatten` gives a union nulls of its own, and that ends the process.
    """
    children = [values.type.field(number) for number in range(values.type.num_fields)]
    if not any(pa.types.is_union(child.type) for child in children):
        return list(values.flatten())
    return [
        values.field(number)
        if pa.types.is_union(child.type)
        else pc.struct_field(values, indices=[number])
        for number, child in enumerate(children)
    ]
