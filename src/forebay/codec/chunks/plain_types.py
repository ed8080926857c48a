"""Conversion of rare Arrow types to plain types with the same values.

Stores, queries and exports support only plain layouts: numbers, text, lists, structs, maps, unions.
Dictionaries, run-end encoding, views, small decimals and extension types represent the same values
in another way. They are converted to plain types when a message is decoded. A few bytes of a run, a
dictionary or a view can represent billions of values, so every step charges the bytes it is about
to allocate to a `Room` first.

Arrays must come from a validated record batch: whole, at offset 0.
"""

from __future__ import annotations

from typing import Final, Protocol, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import lib

from forebay.chunk.arrays import are_valid, integers, lists_of, positions
from forebay.limits import EXPANDED_BYTES_MAX, EXPANDED_BYTES_MIN, EXPANDED_RATIO_MAX

_Sizes: TypeAlias = npt.NDArray[np.int64]

_PLAIN_NAMES: Final = """
NA BOOL UINT8 INT8 UINT16 INT16 UINT32 INT32 UINT64 INT64 HALF_FLOAT FLOAT DOUBLE
DATE32 DATE64 TIME32 TIME64 TIMESTAMP DURATION INTERVAL_MONTH_DAY_NANO DECIMAL128 DECIMAL256
STRING LARGE_STRING BINARY LARGE_BINARY FIXED_SIZE_BINARY
"""


def _type_ids(names: str) -> frozenset[int]:
    """Return ids of Arrow types by name; names that this version of pyarrow lacks are skipped."""
    found = (getattr(lib, f"Type_{name}", None) for name in names.split())
    return frozenset([number for number in found if number is not None])


_PLAIN: Final = _type_ids(_PLAIN_NAMES)
_DICTIONARY: Final = _type_ids("DICTIONARY")
_RUNS: Final = _type_ids("RUN_END_ENCODED")
_VIEWS: Final = _type_ids("STRING_VIEW BINARY_VIEW")
_LIST_VIEWS: Final = _type_ids("LIST_VIEW LARGE_LIST_VIEW")
_SMALL_DECIMALS: Final = _type_ids("DECIMAL32 DECIMAL64")
_LISTS: Final = _type_ids("LIST LARGE_LIST MAP")
_LARGE: Final = _type_ids("LARGE_STRING LARGE_BINARY LARGE_LIST LARGE_LIST_VIEW")
_VARIABLE: Final = _type_ids("STRING LARGE_STRING BINARY LARGE_BINARY")
_UNIONS: Final = _type_ids("SPARSE_UNION DENSE_UNION")

_DECIMAL_SCALE_MAX: Final = 76
"""The maximum number of digits of the widest decimal; Python fails on some larger scales."""
_ELEMENT_BYTES_MIN: Final = 8
"""The minimum number of bytes an element is charged with, for the position of its value."""
_VIEW_WORDS: Final = 4
"""A view has 16 bytes; the first four are its length."""
_DECIMALS: Final = _type_ids("DECIMAL32 DECIMAL64 DECIMAL128 DECIMAL256")
_EXTENSION_NAME: Final = b"ARROW:extension:name"


class UnreadableColumnError(ValueError):
    """The data of a column cannot be converted to a plain type."""


class Gate(Protocol):
    """Whom to ask before a message becomes larger.

    Attributes:
        bytes_max: What one message may become beyond its size.
    """

    @property
    def bytes_max(self) -> int:
        """See above."""
        ...

    def begin(self, num_bytes: int) -> None:
        """Wait until a message may become so many bytes."""
        ...


class Room:
    """The number of bytes that the data of one message may still use."""

    def __init__(self, size_bytes: int, gate: Gate | None = None) -> None:
        """Make the budget for a message.

        Args:
            size_bytes: The size of the message in bytes; the budget is a multiple, within fixed
                bounds.
            gate: Asked before the bytes are used; it also bounds them.
        """
        bytes_max = EXPANDED_BYTES_MAX if gate is None else gate.bytes_max
        self._left = min(bytes_max, max(EXPANDED_BYTES_MIN, EXPANDED_RATIO_MAX * size_bytes))
        self._size_bytes = size_bytes
        self._gate = gate
        self._taken = 0

    def take(self, count: int) -> None:
        """Charge bytes before they are allocated.

        Args:
            count: The number of bytes.

        Raises:
            UnreadableColumnError: The budget is exceeded.
        """
        if count > self._left:
            msg = (
                f"it would become {count:,} bytes, out of a message of {self._size_bytes:,}; "
                f"{self._left:,} are allowed (EXPANDED_BYTES_MAX, EXPANDED_RATIO_MAX)"
            )
            raise UnreadableColumnError(msg)
        self._left -= count
        self._taken += count
        if self._gate is not None:
            self._gate.begin(self._taken)


# --- types ---


def plain_type(data_type: pa.DataType) -> pa.DataType:
    """Return the plain type that represents all values of a type.

    Args:
        data_type: Any Arrow type. A plain type is returned as the same object.

    Raises:
        UnreadableColumnError: There is none.
    """
    number = data_type.id
    if number in _DECIMALS and abs(data_type.scale) > _DECIMAL_SCALE_MAX:
        msg = f"{data_type} has a scale that Python's decimals do not support"
        raise UnreadableColumnError(msg)
    if number in _PLAIN:
        return data_type
    if number in _DICTIONARY or number in _RUNS:
        return plain_type(data_type.value_type)
    if number in _VIEWS:
        return pa.string() if data_type == pa.string_view() else pa.binary()
    if number in _SMALL_DECIMALS:
        return pa.decimal128(data_type.precision, data_type.scale)
    if isinstance(data_type, pa.BaseExtensionType):
        return plain_type(data_type.storage_type)
    return _plain_nested(data_type)


def _plain_nested(data_type: pa.DataType) -> pa.DataType:  # noqa: PLR0911 - one for each type
    number = data_type.id
    fields = [data_type.field(child) for child in range(data_type.num_fields)]
    plain = [plain_field(one) for one in fields]
    if number in _LIST_VIEWS:
        return pa.large_list(plain[0]) if number in _LARGE else pa.list_(plain[0])
    is_known = number in _LISTS or number in _UNIONS
    is_known = is_known or number in (lib.Type_STRUCT, lib.Type_FIXED_SIZE_LIST)
    if not is_known:
        msg = f"Arrow's type {data_type} is not one that Forebay reads"
        raise UnreadableColumnError(msg)
    if all(one is other for one, other in zip(fields, plain, strict=True)):
        return data_type
    if number == lib.Type_MAP:
        entries = plain[0].type
        return pa.map_(entries.field(0), entries.field(1), data_type.keys_sorted)
    if number == lib.Type_STRUCT:
        return pa.struct(plain)
    if number == lib.Type_FIXED_SIZE_LIST:
        return pa.list_(plain[0], data_type.list_size)
    if number in _UNIONS:
        return pa.union(plain, data_type.mode, data_type.type_codes)
    return pa.large_list(plain[0]) if number in _LARGE else pa.list_(plain[0])


def plain_field(field: pa.Field) -> pa.Field:
    """Return a field with its plain type; the same object if the type is plain already.

    Args:
        field: Any Arrow field.

    Raises:
        UnreadableColumnError: There is no plain type.
    """
    before = field.type  # a new object on each access
    data_type = plain_type(before)
    if data_type is before:
        return field
    described = field.with_type(data_type)
    if isinstance(before, pa.BaseExtensionType):
        metadata = dict(field.metadata or {})
        metadata.setdefault(_EXTENSION_NAME, before.extension_name.encode())
        described = described.with_metadata(metadata)
    return described


# --- data ---


def to_plain(  # noqa: PLR0911 - one for each type
    array: pa.Array, target: pa.DataType, room: Room
) -> pa.Array:
    """Convert a valid array to its plain type.

    Args:
        array: The values, at offset 0.
        target: `plain_type` of their type.
        room: The budget that the result is charged to.

    Raises:
        UnreadableColumnError: The budget is exceeded, or this version of pyarrow cannot convert the
            array.
    """
    if array.type.equals(target, check_metadata=True):
        return array
    number = array.type.id
    if number in _DICTIONARY:
        return _taken(to_plain(array.dictionary, target, room), array.indices, room)
    if number in _RUNS:
        return _runs(array, to_plain(array.values, target, room), room)
    if number in _VIEWS:
        room.take(_view_bytes(array))
        return _cast(array, target)
    if number in _SMALL_DECIMALS:
        room.take(16 * len(array))
        return _cast(array, target)
    if number in _LIST_VIEWS:
        return _list_views(array, target, room)
    if isinstance(array, pa.ExtensionArray):
        return to_plain(array.storage, target, room)
    return _rebuilt(array, target, room)


def _cast(array: pa.Array, target: pa.DataType) -> pa.Array:
    try:
        return array.cast(target)
    except pa.ArrowNotImplementedError as error:
        msg = f"this version of pyarrow does not decode {array.type}: {error}"
        raise UnreadableColumnError(msg) from error


def _rebuilt(array: pa.Array, target: pa.DataType, room: Room) -> pa.Array:
    """Convert the children of a nested array to plain types."""
    number = array.type.id
    children = (
        [array.values]
        if number in _LISTS or number == lib.Type_FIXED_SIZE_LIST
        else [array.field(child) for child in range(array.type.num_fields)]
    )
    plain = [
        to_plain(child, target.field(place).type, room) for place, child in enumerate(children)
    ]
    own = array.buffers()[: _num_buffers(number)]
    return pa.Array.from_buffers(target, len(array), own, children=plain)


def _num_buffers(number: int) -> int:
    if number == lib.Type_DENSE_UNION:
        return 3
    return 2 if number in _LISTS or number == lib.Type_SPARSE_UNION else 1


def _taken(values: pa.Array, indices: pa.Array, room: Room) -> pa.Array:
    sizes = _element_bytes(values)
    places = integers(indices)[are_valid(indices)]
    room.take(int(sizes[places].sum()) + _ELEMENT_BYTES_MIN * len(indices))
    return values.take(indices)


def _runs(array: pa.Array, values: pa.Array, room: Room) -> pa.Array:
    size = len(array)
    ends = np.minimum(integers(array.run_ends), size)
    lengths = np.diff(ends, prepend=0)
    sizes = _element_bytes(values)[: len(lengths)] + _ELEMENT_BYTES_MIN
    # In floating point a product that is too large does not wrap around.
    total = float((sizes.astype(np.float64) * lengths).sum())
    room.take(int(total))
    return values.take(positions(np.repeat(np.arange(len(lengths)), lengths)))


def _view_bytes(array: pa.Array) -> int:
    """Return the bytes of all text; the array may store a text once, many times or unused."""
    if not len(array):
        return 0
    words = np.frombuffer(array.buffers()[1], np.int32, _VIEW_WORDS * len(array))
    lengths = words[::_VIEW_WORDS].astype(np.int64)
    return int(lengths[are_valid(array)].sum()) + _ELEMENT_BYTES_MIN * len(array)


def _list_views(array: pa.Array, target: pa.DataType, room: Room) -> pa.Array:
    """Convert lists at arbitrary positions among the values to consecutive lists."""
    child = to_plain(array.values, target.value_type, room)
    is_null = ~are_valid(array)
    lengths = np.where(is_null, 0, integers(array.sizes))
    # An empty list may begin anywhere.
    begins = np.where(lengths == 0, 0, integers(array.offsets))
    ends_of = np.concatenate([[0], np.cumsum(_element_bytes(child) + _ELEMENT_BYTES_MIN)])
    total = (ends_of[begins + lengths] - ends_of[begins]).astype(np.float64).sum()
    room.take(int(total) + _ELEMENT_BYTES_MIN * len(array))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    places = np.repeat(begins - offsets[:-1], lengths) + np.arange(offsets[-1])
    return lists_of(target, offsets, is_null, child.take(positions(places)))


# --- sizes ---


def _element_bytes(array: pa.Array) -> _Sizes:  # noqa: PLR0911 - one for each type
    """Return the size of each element of a plain array in bytes, shape `(elements,)`."""
    number, size = array.type.id, len(array)
    if not size or number == lib.Type_NA:
        return np.zeros(size, np.int64)
    if number in _VARIABLE:
        return np.diff(_offsets(array, number))
    if number in _LISTS:
        ends_of = np.concatenate([[0], np.cumsum(_element_bytes(array.values))])
        offsets = _offsets(array, number)
        return cast("_Sizes", ends_of[offsets[1:]] - ends_of[offsets[:-1]] + _ELEMENT_BYTES_MIN)
    if number == lib.Type_FIXED_SIZE_LIST:
        width = array.type.list_size
        sizes = _element_bytes(array.values)[: size * width]
        return cast("_Sizes", sizes.reshape(size, width).sum(axis=1))
    children = [array.field(child) for child in range(array.type.num_fields)]
    if number == lib.Type_DENSE_UNION:
        most = max([int(_element_bytes(child).max(initial=0)) for child in children], default=0)
        return np.full(size, most + _ELEMENT_BYTES_MIN, np.int64)
    if number == lib.Type_STRUCT or number in _UNIONS:
        sizes = np.ones(size, np.int64)
        for child in children:
            sizes += _element_bytes(child)[:size]
        return sizes
    return np.full(size, -(-array.type.bit_width // 8), np.int64)


def _offsets(array: pa.Array, number: int) -> _Sizes:
    kind = np.dtype(np.int64 if number in _LARGE else np.int32)
    begin = kind.itemsize * array.offset
    offsets = np.frombuffer(array.buffers()[1], kind, len(array) + 1, begin)
    return offsets.astype(np.int64)
