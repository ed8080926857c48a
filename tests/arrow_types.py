"""Arrow types and values of all kinds, and what a value is, whatever type it stands in."""

from __future__ import annotations

import math
from decimal import Context, Decimal
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa

UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
DAY_NS = 86_400 * 10**9

NUMBERS = (
    *(pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64()),
    *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    *(pa.float16(), pa.float32(), pa.float64()),
    *(pa.decimal128(5, 2), pa.decimal128(7, -2), pa.decimal128(38, 0), pa.decimal256(60, 20)),
)
INSTANTS = (
    *(pa.date32(), pa.date64()),
    *(pa.timestamp(unit) for unit in UNITS),
    *(pa.timestamp("s", "UTC"), pa.timestamp("ns", "Europe/Berlin"), pa.timestamp("ms", "+02:00")),
)
TIMES = (pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"))
DURATIONS = tuple(pa.duration(unit) for unit in UNITS)
TEXTS = (pa.string(), pa.large_string())
BYTES = (pa.binary(), pa.large_binary(), pa.binary(2), pa.binary(3))
FAMILIES = (NUMBERS, INSTANTS, TIMES, DURATIONS, TEXTS, BYTES)
LEAVES = (*(kind for family in FAMILIES for kind in family), pa.null())
NAMES = ("a", "b", "c")
_WIDE = Context(prec=100)

leaves = st.sampled_from(LEAVES)


@st.composite
def _nested(draw: st.DrawFn, inner: st.SearchStrategy[pa.DataType]) -> pa.DataType:
    def field(name: str) -> pa.Field:
        kind = draw(inner)
        return pa.field(name, kind, draw(st.booleans()) or kind == pa.null())

    shape = draw(st.sampled_from(("list", "large", "fixed", "struct", "struct", "map")))
    if shape == "list":
        return pa.list_(field(draw(st.sampled_from(("item", "element")))))
    if shape == "large":
        return pa.large_list(field("item"))
    if shape == "fixed":
        return pa.list_(field("item"), draw(st.integers(0, 2)))
    if shape == "map":
        return pa.map_(draw(st.sampled_from((pa.string(), pa.int8(), pa.int16()))), field("value"))
    names = draw(st.lists(st.sampled_from(NAMES), max_size=3, unique=True))
    return pa.struct([field(name) for name in names])


types = st.recursive(leaves, _nested, max_leaves=4)


@st.composite
def kin(draw: st.DrawFn, kind: pa.DataType) -> pa.DataType:
    """A type that is like another but for something, at any depth."""

    def field(of: pa.Field) -> pa.Field:
        like = draw(kin(of.type))
        return pa.field(of.name, like, draw(st.booleans()) or like == pa.null())

    if draw(st.integers(0, 19)) == 0:
        return draw(leaves)
    if pa.types.is_struct(kind):
        fields = [field(one) for one in kind if draw(st.integers(0, 3))]
        missing = [name for name in NAMES if name not in {one.name for one in kind}]
        if missing and draw(st.booleans()):
            fields.append(pa.field(missing[0], draw(leaves)))
        return pa.struct(draw(st.permutations(fields)))
    if pa.types.is_map(kind):
        return pa.map_(draw(st.sampled_from((kind.key_type, pa.int32()))), field(kind.item_field))
    if pa.types.is_nested(kind):
        item = field(kind.value_field)
        made = [pa.list_(item), pa.large_list(item), pa.list_(item, 1), pa.list_(item, 2)]
        return draw(st.sampled_from(made))
    for family in FAMILIES:
        if kind in family:
            return draw(st.sampled_from(family))
    return draw(leaves)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[pa.DataType, pa.DataType]:
    """Two types, mostly ones that have something in common."""
    one = draw(types)
    return one, draw(kin(one) if draw(st.integers(0, 5)) else types)


def values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Values of a type, extreme ones among them, as `pa.array` takes them; no nulls at the top."""
    if pa.types.is_struct(kind):
        return st.fixed_dictionaries({field.name: _maybe(field) for field in kind})
    if pa.types.is_map(kind):
        entry = st.tuples(values(kind.key_type), _maybe(kind.item_field))
        return st.lists(entry, max_size=2)
    if pa.types.is_fixed_size_list(kind):
        size = kind.list_size
        return st.lists(_maybe(kind.value_field), min_size=size, max_size=size)
    if pa.types.is_nested(kind):
        return st.lists(_maybe(kind.value_field), max_size=2)
    return _leaf_values(kind)


def _maybe(field: pa.Field) -> st.SearchStrategy[Any]:
    inner = values(field.type)
    return st.none() | inner if field.nullable else inner


def _leaf_values(kind: pa.DataType) -> st.SearchStrategy[Any]:  # noqa: PLR0911
    if kind == pa.null():
        return st.none()
    if kind == pa.bool_():
        return st.booleans()
    if pa.types.is_floating(kind):
        return st.floats(width=kind.bit_width)
    if pa.types.is_decimal(kind):
        most = 10**kind.precision - 1
        return st.integers(-most, most).map(lambda n: Decimal(n).scaleb(-kind.scale, _WIDE))
    if pa.types.is_fixed_size_binary(kind):
        return st.binary(min_size=kind.byte_width, max_size=kind.byte_width)
    if kind in TEXTS:
        return st.text(max_size=3)
    if kind in BYTES:
        return st.binary(max_size=3)
    if kind == pa.date64():
        return st.integers(-(2**36), 2**36).map(lambda day: day * 86_400_000)
    bits = kind.bit_width
    if pa.types.is_unsigned_integer(kind):
        return _numbers(0, 2**bits - 1)
    if pa.types.is_time(kind):
        return _numbers(0, DAY_NS // UNITS[kind.unit] - 1)
    return _numbers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _numbers(least: int, greatest: int) -> st.SearchStrategy[int]:
    return st.integers(max(least, -9), 9) | st.integers(least, greatest)


def array(items: list[Any], kind: pa.DataType) -> pa.Array:
    """An array of values as `values` gives them: times and dates are integers."""
    if not pa.types.is_nested(kind):
        if pa.types.is_temporal(kind):
            return pa.array(items, pa.int32() if kind.bit_width == 32 else pa.int64()).view(kind)
        return pa.array(items, kind)
    buffers = [None]
    if None in items:
        buffers = [pa.array([item is not None for item in items]).buffers()[1]]
    there = [item for item in items if item is not None]
    if pa.types.is_struct(kind):
        # Below a null stands what its type allows.
        children = [
            array([_blank(f) if item is None else item[f.name] for item in items], f.type)
            for f in kind
        ]
        return pa.Array.from_buffers(kind, len(items), buffers, children=children)
    if pa.types.is_fixed_size_list(kind):
        blank = [_blank(kind.value_field)] * kind.list_size
        flat = [inner for item in items for inner in (blank if item is None else item)]
        return pa.Array.from_buffers(
            kind, len(items), buffers, children=[array(flat, kind.value_type)]
        )
    ends = [0]
    for item in items:
        ends.append(ends[-1] + len(item or ()))
    width = pa.int64() if pa.types.is_large_list(kind) else pa.int32()
    buffers = [*buffers, pa.array(ends, width).buffers()[1]]
    flat = [inner for item in there for inner in item]
    if pa.types.is_map(kind):
        keys = array([key for key, _ in flat], kind.key_type)
        inner = array([value for _, value in flat], kind.item_type)
        entries = pa.struct([kind.key_field, kind.item_field])
        child = pa.Array.from_buffers(entries, len(flat), [None], children=[keys, inner])
    else:
        child = array(flat, kind.value_type)
    return pa.Array.from_buffers(kind, len(items), buffers, children=[child])


def _blank(field: pa.Field) -> Any:  # noqa: PLR0911
    """Something that a field can hold: null if it may."""
    kind = field.type
    if field.nullable:
        return None
    if pa.types.is_struct(kind):
        return {inner.name: _blank(inner) for inner in kind}
    if pa.types.is_fixed_size_list(kind):
        return [_blank(kind.value_field)] * kind.list_size
    if pa.types.is_nested(kind):
        return []
    if pa.types.is_fixed_size_binary(kind):
        return bytes(kind.byte_width)
    if kind in TEXTS or kind in BYTES:
        return "" if kind in TEXTS else b""
    if kind == pa.bool_():
        return False
    return Decimal(0) if pa.types.is_decimal(kind) else 0


def plain(values: pa.Array | pa.ChunkedArray) -> list[Any]:
    """What each value is, whatever type it stands in.

    Numbers as Python compares them, instants, times and durations in nanoseconds; of structs the
    fields that are not null, for one that is missing is null.
    """
    if isinstance(values, pa.ChunkedArray):
        return [value for chunk in values.chunks for value in plain(chunk)]
    return [_plain(value) for value in values]


def _plain(value: pa.Scalar) -> Any:  # noqa: PLR0911
    kind = value.type
    if not value.is_valid:
        return None
    if pa.types.is_struct(kind):
        fields = {field.name: _plain(value[field.name]) for field in kind}
        return "struct", {name: inner for name, inner in fields.items() if inner is not None}
    if pa.types.is_map(kind):
        entries = value.values
        return "map", list(zip(plain(entries.field(0)), plain(entries.field(1)), strict=True))
    if pa.types.is_nested(kind):
        return "list", plain(value.values)
    if pa.types.is_date32(kind):
        return "instant", value.value * DAY_NS
    if pa.types.is_date64(kind):
        return "instant", value.value * UNITS["ms"]
    if pa.types.is_timestamp(kind):
        return "zoned" if kind.tz else "instant", value.value * UNITS[kind.unit]
    if pa.types.is_time(kind):
        return "time", value.value * UNITS[kind.unit]
    if pa.types.is_duration(kind):
        return "duration", value.value * UNITS[kind.unit]
    if pa.types.is_floating(kind):
        number = float(value.as_py())
        if math.isnan(number):
            return "nan"
        is_negative_zero = number == 0 and math.copysign(1, number) < 0
        return "-0.0" if is_negative_zero else number
    return value.as_py()
