"""Whether two batches hold the same cells, bit by bit where they are numbers."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_BITS = {2: pa.uint16(), 4: pa.uint32(), 8: pa.uint64()}


def same_batches(one: pa.RecordBatch, other: pa.RecordBatch) -> bool:
    """Whether names, types, rows and cells are equal; not a number equals itself."""
    if one.schema.names != other.schema.names or one.num_rows != other.num_rows:
        return False
    return all(same(a, b) for a, b in zip(one.columns, other.columns, strict=True))


def same(one: pa.Array, other: pa.Array) -> bool:  # noqa: PLR0911 - one for each kind of type
    """Whether two arrays are equal."""
    if one.type != other.type or len(one) != len(other):
        return False
    if one.equals(other):
        return True
    type_ = one.type
    if pa.types.is_floating(type_):
        bits = _BITS[type_.bit_width // 8]
        return bool(one.view(bits).equals(other.view(bits)))
    if not pa.types.is_nested(type_) or not one.is_null().equals(other.is_null()):
        return False
    if pa.types.is_struct(type_):
        return all(same(a, b) for a, b in zip(one.flatten(), other.flatten(), strict=True))
    if (
        pa.types.is_fixed_size_list(type_)
        or pa.types.is_list(type_)
        or pa.types.is_large_list(type_)
    ):
        lengths = pc.list_value_length(one).equals(pc.list_value_length(other))
        return lengths and same(one.flatten(), other.flatten())
    return repr(one.to_pylist()) == repr(other.to_pylist())
