"""One common Arrow type for data that was logged with several types, used by all queries.

The type is derived from the set of all types, never pairwise in order of arrival. So it does not
depend on the order of chunks: `uint32`, `int32` and `float64` give `float64` in any order.

- Numbers: the narrowest type that represents every value of every type exactly. `bool` has a common
  type only with integers, as 0 or 1. Decimals have one with integers and decimals.
- Instants: dates and timestamps in the finest unit among them. Timestamps of several time zones
  become UTC. A type with a time zone and one without have no common type.
- Times of day and durations: the finest unit among them.
- Text and bytes: large offsets if one type has them; different fixed sizes become `binary`.
- Lists: a list of the common item type; `fixed_size_list` only if all have the same size.
- Maps: a map of the common key and item types.
- Structs: all fields of all types. If the types agree on the order of fields it is kept, else
  fields are sorted by name.
- `null` takes the type of the others. A field is nullable if it is nullable, missing or `null` in
  one of the types.
- Names of list items and metadata of fields are kept if all types agree on them.
- All other types (unions, dictionaries, views, extensions, intervals) only match themselves.

Whether each value fits a finer unit cannot be derived from types: see `convert`.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

import pyarrow as pa
from pyarrow import lib

from forebay.errors import QueryError
from forebay.limits import TYPE_TOLD_CHARS_MAX

Types: TypeAlias = "Sequence[pa.DataType]"

_UNITS: Final = ("s", "ms", "us", "ns")
_DIGITS: Final = {8: 3, 16: 5, 32: 10, 64: 19}
"""Decimal digits of integers by their width in bits; `uint64` has one more."""

_MANTISSA_BITS: Final = {32: 24, 64: 53}
_DECIMALS: Final = ((38, pa.decimal128), (76, pa.decimal256))


def unified(types: Iterable[pa.DataType], entity_path: object, component: str) -> pa.DataType:
    """Return the type that represents all values of several types of one component.

    Args:
        types: At least one type; repetitions are expected.
        entity_path: The entity, for the error message.
        component: The identifier of the component, for the error message.

    Raises:
        QueryError: There is no common type. The message names two types that conflict; the choice
            does not depend on the order of `types`.
    """
    distinct = _distinct(types)
    if len(distinct) == 1:
        return distinct[0]
    try:
        return _common(distinct)
    except _NoCommonTypeError:
        first, second, where = _conflict(distinct)
    place = f" (they differ at {told_type('.'.join(where))})" if where else ""
    msg = (
        f"component {component!r} of {entity_path} was logged as {told_type(first)} and as "
        f"{told_type(second)}, and no type holds the values of both{place}; ask for other "
        "components, for a `range` with only one of the types, or for single cells with `latest_at`"
    )
    raise QueryError(msg)


def unified_or_null(
    types: Iterable[pa.DataType], entity_path: object, component: str
) -> pa.DataType:
    """Return `unified`, or the `null` type if there is no common type.

    For columns without a single cell, where the type does not matter.

    Args:
        types: As for `unified`.
        entity_path: As for `unified`.
        component: As for `unified`.
    """
    try:
        return unified(types, entity_path, component)
    except QueryError:
        return pa.null()


def same_type(one: pa.DataType, other: pa.DataType) -> bool:
    """Return whether two types are equal, including names and metadata of nested fields."""
    return one is other or bool(one.equals(other, check_metadata=True))


class _NoCommonTypeError(Exception):
    """Some types have no common type; `where` is the path of the nested fields that conflict."""

    def __init__(self, where: tuple[str, ...]) -> None:
        super().__init__(where)
        self.where = where


def _distinct(types: Iterable[pa.DataType]) -> list[pa.DataType]:
    """Return the distinct types."""
    by_identity = {id(kind): kind for kind in types}
    found: dict[str, list[pa.DataType]] = {}
    first: pa.DataType | None = None
    for kind in by_identity.values():
        if first is None:
            first = kind
        elif not same_type(kind, first):
            kin = found.setdefault(str(kind), [])
            if not any(same_type(kind, one) for one in kin):
                kin.append(kind)
    assert first is not None, "a column has at least one type"
    return [first, *(kind for kin in found.values() for kind in kin)]


def _conflict(distinct: Types) -> tuple[pa.DataType, pa.DataType, tuple[str, ...]]:
    """Return two types that conflict, and the path of nested fields in which they do."""
    ordered = sorted(distinct, key=str)

    def parts(kinds: Types) -> tuple[str, ...] | None:
        try:
            _common(_distinct(kinds))
        except _NoCommonTypeError as error:
            return error.where
        return None

    # The last type of the shortest conflicting prefix is one of the two.
    lengths = range(1, len(ordered))
    last = 1 + bisect.bisect_left(
        lengths, True, key=lambda length: parts(ordered[: length + 1]) is not None
    )
    for one in ordered[:last]:
        where = parts([one, ordered[last]])
        if where is not None:
            return one, ordered[last], where
    return ordered[0], ordered[last], ()


def told_type(kind: object) -> str:
    """Return the text of a type for an error message, cut to a bounded length."""
    text = str(kind)
    return text if len(text) <= TYPE_TOLD_CHARS_MAX else text[: TYPE_TOLD_CHARS_MAX - 1] + "…"


def _common(types: Types, where: tuple[str, ...] = ()) -> pa.DataType:
    """Return the common type of distinct types."""
    some = [kind for kind in types if kind.id != lib.Type_NA]
    if not some:
        return types[0]
    if len(some) == 1:
        kind = some[0]
    else:
        families = {_FAMILIES.get(kind.id) for kind in some}
        family = families.pop()
        if family is not None and not families:
            kind = family(some, where)
        elif all(kind == some[0] for kind in some):
            kind = min(some, key=str)  # other types that differ only in metadata
        else:
            raise _NoCommonTypeError(where)
    return kind if len(some) == len(types) else nullable(kind)


def nullable(kind: pa.DataType) -> pa.DataType:
    """Return a type for values that may be null, and make its nested fields nullable too.

    Below a null struct all fields are null, even if they are declared as not nullable.
    """
    if kind.id == lib.Type_STRUCT:
        return pa.struct([_nullable_field(field) for field in kind])
    if kind.id == lib.Type_FIXED_SIZE_LIST:
        return pa.list_(_nullable_field(kind.value_field), kind.list_size)
    return kind


def _nullable_field(field: pa.Field) -> pa.Field:
    return field.with_type(nullable(field.type)).with_nullable(True)


def _field(
    fields: Sequence[pa.Field], where: tuple[str, ...], *, missing: bool = False
) -> pa.Field:
    """Return the common field of several fields; `missing`: some types lack the field."""
    first = fields[0]
    types = _distinct([field.type for field in fields])
    names = {field.name for field in fields}
    kind = types[0] if len(types) == 1 else _common(types, (*where, first.name))
    is_nullable = any(field.nullable or field.type.id == lib.Type_NA for field in fields)
    return pa.field(
        first.name if len(names) == 1 else "item",
        nullable(kind) if missing else kind,
        missing or is_nullable,
        first.metadata if all(field.metadata == first.metadata for field in fields) else None,
    )


def _number(types: Types, where: tuple[str, ...]) -> pa.DataType:
    integers = [kind for kind in types if pa.types.is_integer(kind)]
    floats = [kind for kind in types if pa.types.is_floating(kind)]
    decimals = [kind for kind in types if pa.types.is_decimal(kind)]
    has_bool = len(integers) + len(floats) + len(decimals) < len(types)
    found: pa.DataType | None = None
    if not floats and not decimals:
        found = _integer(integers)
    elif has_bool or (floats and decimals):
        pass
    elif decimals:
        found = _decimal(decimals, integers)
    else:
        found = _float(floats, integers)
    if found is None:
        raise _NoCommonTypeError(where)
    return found


def _integer(integers: Types) -> pa.DataType | None:
    """Return the narrowest integer type that represents all; any integer can represent `bool`."""
    signed = max((kind.bit_width for kind in integers if _is_signed(kind)), default=0)
    unsigned = max((kind.bit_width for kind in integers if not _is_signed(kind)), default=0)
    if not signed:
        return _integer_of(unsigned, signed=False)
    width = max(signed, 2 * unsigned)
    return _integer_of(width, signed=True) if width <= 64 else None


def _is_signed(kind: pa.DataType) -> bool:
    return bool(pa.types.is_signed_integer(kind))


def _integer_of(width: int, *, signed: bool) -> pa.DataType:
    return pa.type_for_alias(f"{'' if signed else 'u'}int{width}")


def _float(floats: Types, integers: Types) -> pa.DataType | None:
    """Return the narrowest float type that represents all; 32 bits at least with integers."""
    width = max(kind.bit_width for kind in floats)
    bits = max((kind.bit_width - _is_signed(kind) for kind in integers), default=0)
    if bits:
        width = max(width, 32 if bits <= _MANTISSA_BITS[32] else 64)
        if bits > _MANTISSA_BITS[width]:
            return None
    return {16: pa.float16(), 32: pa.float32(), 64: pa.float64()}[width]


def _decimal(decimals: Types, integers: Types) -> pa.DataType | None:
    scale = max([kind.scale for kind in decimals] + [0 for _ in integers])
    whole = max(
        [kind.precision - kind.scale for kind in decimals]
        + [_DIGITS[kind.bit_width] + (kind == pa.uint64()) for kind in integers]
    )
    width = max(kind.bit_width for kind in decimals)
    for precision_max, make in _DECIMALS:
        if whole + scale <= precision_max and width <= make(1).bit_width:
            return make(whole + scale, scale)
    return None


def _instant(types: Types, where: tuple[str, ...]) -> pa.DataType:
    stamps = [kind for kind in types if kind.id == lib.Type_TIMESTAMP]
    if not stamps:
        return pa.date64()
    zones = {kind.tz for kind in stamps}
    if None in zones and len(zones) > 1:
        raise _NoCommonTypeError(where)
    if len(stamps) < len(types) and zones != {None}:
        raise _NoCommonTypeError(where)  # a date has no time zone
    units = [kind.unit for kind in stamps]
    units += ["ms" for kind in types if kind.id == lib.Type_DATE64]
    return pa.timestamp(_finest(units), zones.pop() if len(zones) == 1 else "UTC")


def _time_of_day(types: Types, where: tuple[str, ...]) -> pa.DataType:  # noqa: ARG001
    unit = _finest([kind.unit for kind in types])
    return pa.time32(unit) if unit in {"s", "ms"} else pa.time64(unit)


def _duration(types: Types, where: tuple[str, ...]) -> pa.DataType:  # noqa: ARG001
    return pa.duration(_finest([kind.unit for kind in types]))


def _finest(units: Iterable[str]) -> str:
    return max(units, key=_UNITS.index)


def _text(types: Types, where: tuple[str, ...]) -> pa.DataType:  # noqa: ARG001
    is_large = any(kind.id == lib.Type_LARGE_STRING for kind in types)
    return pa.large_string() if is_large else pa.string()


def _bytes(types: Types, where: tuple[str, ...]) -> pa.DataType:  # noqa: ARG001
    is_large = any(kind.id == lib.Type_LARGE_BINARY for kind in types)
    return pa.large_binary() if is_large else pa.binary()


def _list(types: Types, where: tuple[str, ...]) -> pa.DataType:
    item = _field([kind.value_field for kind in types], where)
    if any(kind.id == lib.Type_LARGE_LIST for kind in types):
        return pa.large_list(item)
    sizes = {kind.list_size if kind.id == lib.Type_FIXED_SIZE_LIST else None for kind in types}
    size = sizes.pop()
    return pa.list_(item) if sizes or size is None else pa.list_(item, size)


def _map(types: Types, where: tuple[str, ...]) -> pa.DataType:
    key = _field([kind.key_field for kind in types], where).with_nullable(False)
    item = _field([kind.item_field for kind in types], where)
    return pa.map_(key, item, keys_sorted=all(kind.keys_sorted for kind in types))


def _struct(types: Types, where: tuple[str, ...]) -> pa.DataType:
    orders = [[field.name for field in kind] for kind in types]
    if all(order == orders[0] for order in orders):
        together = zip(*types, strict=True)
        return pa.struct([_field(fields, where) for fields in together])
    if any(len(set(order)) < len(order) for order in orders):
        raise _NoCommonTypeError(where)  # a field name occurs twice, so it is ambiguous
    found: dict[str, list[pa.Field]] = {}
    for kind in types:
        for field in kind:
            found.setdefault(field.name, []).append(field)
    return pa.struct(
        [
            _field(fields, where, missing=len(fields) < len(types))
            for _, fields in sorted(found.items(), key=lambda item: item[0].encode())
        ]
    )


_Family: TypeAlias = "Callable[[Types, tuple[str, ...]], pa.DataType]"


def _ids(names: str) -> list[int]:
    # Older versions of Arrow lack the narrow decimals.
    return [getattr(lib, f"Type_{name}") for name in names.split() if hasattr(lib, f"Type_{name}")]


_FAMILIES: Final[dict[int, _Family]] = {
    id_: family
    for family, names in (
        (_number, "BOOL INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64"),
        (_number, "HALF_FLOAT FLOAT DOUBLE DECIMAL32 DECIMAL64 DECIMAL128 DECIMAL256"),
        (_instant, "DATE32 DATE64 TIMESTAMP"),
        (_time_of_day, "TIME32 TIME64"),
        (_duration, "DURATION"),
        (_text, "STRING LARGE_STRING"),
        (_bytes, "BINARY LARGE_BINARY FIXED_SIZE_BINARY"),
        (_list, "LIST LARGE_LIST FIXED_SIZE_LIST"),
        (_map, "MAP"),
        (_struct, "STRUCT"),
    )
    for id_ in _ids(names)
}
"""The function that combines types of one family, by the id of the type."""
