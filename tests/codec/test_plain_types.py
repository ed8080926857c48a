"""Rare Arrow types become plain ones with the same values, within bounds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from forebay.chunk import Chunk, ConvertedChunk
from forebay.codec import ChunkDecoder, encode_chunk
from forebay.codec.chunks.plain_types import Room, UnreadableColumnError, plain_type, to_plain
from forebay.limits import EXPANDED_BYTES_MAX, EXPANDED_BYTES_MIN, EXPANDED_RATIO_MAX
from tests.codec.foreign import (
    cells_of,
    component,
    foreign_batch,
    message,
    read_by_rerun,
    read_here,
    write,
)
from tests.codec.support import STORE_ID

TEXT = ["a", "b", None, "a longer text than a view holds", ""]


def runs(ends: list[int], values: pa.Array, data_type: pa.DataType | None = None) -> pa.Array:
    return pa.RunEndEncodedArray.from_arrays(pa.array(ends, data_type or pa.int32()), values)


def lists(values: pa.Array) -> pa.Array:
    """Two lists of all values."""
    size = len(values)
    return pa.ListArray.from_arrays(pa.array([0, size // 2, size], pa.int32()), values)


VALUES: dict[str, pa.Array] = {
    "dictionary": pa.array(TEXT).dictionary_encode(),
    "dictionary of int8": pa.array(TEXT)
    .dictionary_encode()
    .cast(pa.dictionary(pa.int8(), "string")),
    "dictionary with a null value": pa.DictionaryArray.from_arrays(
        pa.array([0, 1, None, 1]), pa.array(["a", None])
    ),
    "dictionary of lists": pa.DictionaryArray.from_arrays(
        pa.array([0, 1, None, 0]), pa.array([[1], [2, 3]])
    ),
    "dictionary of structs": pa.DictionaryArray.from_arrays(
        pa.array([1, 0, 1]), pa.array([{"x": 1}, {"x": 2}])
    ),
    "empty dictionary": pa.array([], pa.dictionary(pa.int32(), pa.string())),
    "runs": runs([2, 5, 6], pa.array(["a", None, "b"])),
    "runs of int16": runs([1, 4], pa.array([1.5, 2.5]), pa.int16()),
    "runs of int64": runs([1, 4], pa.array([1, 2]), pa.int64()),
    "runs of lists": runs([2, 3], pa.array([[1], None])),
    "runs of a dictionary": runs([2, 3], pa.array(["a", "b"]).dictionary_encode()),
    "string view": pa.array(TEXT, pa.string_view()),
    "binary view": pa.array([b"a", None, b"x" * 50], pa.binary_view()),
    "list view": pa.array([[1, None], None, [2, 3], []], pa.list_view(pa.int64())),
    "large list view": pa.array([["a"], ["b", "c"]], pa.large_list_view(pa.string_view())),
    "list view that goes back": pa.ListViewArray.from_arrays(
        pa.array([2, 0, 0], pa.int32()), pa.array([1, 3, 0], pa.int32()), pa.array([1, 2, 3])
    ),
    "calendar interval": pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
    "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16, None], pa.binary(16))),
    "bool8": pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, None], pa.int8())),
    "struct of rare ones": pa.StructArray.from_arrays(
        [pa.array(["a", "b"]).dictionary_encode(), pa.array(["x", None], pa.string_view())],
        ["d", "v"],
    ),
    "map of rare ones": pa.MapArray.from_arrays(
        pa.array([0, 1, 2], pa.int32()),
        pa.array(["a", "b"], pa.string_view()),
        pa.array([1, 2]).dictionary_encode(),
    ),
    "fixed-size list of rare ones": pa.FixedSizeListArray.from_arrays(
        pa.array(["a", "b", None, "b"]).dictionary_encode(), 2
    ),
    "large list of rare ones": pa.LargeListArray.from_arrays(
        pa.array([0, 1, 3], pa.int64()), pa.array(["a", "b", "a"]).dictionary_encode()
    ),
    "sparse union of rare ones": pa.UnionArray.from_sparse(
        pa.array([0, 1], pa.int8()),
        [pa.array(["a", "b"]).dictionary_encode(), pa.array([1, 2])],
    ),
    "dense union of rare ones": pa.UnionArray.from_dense(
        pa.array([1, 0, 0], pa.int8()),
        pa.array([0, 0, 1], pa.int32()),
        [pa.array(["a", "b"], pa.string_view()), pa.array([1])],
    ),
}
if hasattr(pa, "decimal32"):  # not in every pyarrow
    VALUES |= {
        "decimal32": pa.array([Decimal("1.25"), None], pa.decimal32(5, 2)),
        "decimal64": pa.array([Decimal("-1.25"), Decimal("123456789.75")], pa.decimal64(12, 2)),
    }


def expected(name: str) -> list[Any]:
    """The values of two lists; of extension types those of their storage, as in Rerun."""
    array = VALUES[name]
    return lists(array.storage if isinstance(array, pa.ExtensionArray) else array).to_pylist()


def is_plain(data_type: pa.DataType) -> bool:
    return plain_type(data_type) is data_type


@pytest.mark.parametrize("name", VALUES)
def test_components_of_rare_types_are_read_as_rerun_reads_them(name: str, tmp_path: Path) -> None:
    for number, array in enumerate((lists(VALUES[name]), VALUES[name])):
        path = write(tmp_path / f"{number}.rrd", component(array))
        assert read_here(path) == read_by_rerun(path)


@pytest.mark.parametrize("name", VALUES)
def test_what_is_kept_is_plain(name: str) -> None:
    chunk = ChunkDecoder().decode(component(lists(VALUES[name])))
    column = chunk.component("c")
    assert is_plain(column.type)
    assert column.to_pylist() == expected(name)
    assert not getattr(chunk, "unread", ())


@pytest.mark.parametrize("name", VALUES)
def test_rerun_reads_what_we_write_of_them(name: str, tmp_path: Path) -> None:
    chunk = ChunkDecoder().decode(component(lists(VALUES[name])))
    path = write(tmp_path / "again.rrd", encode_chunk(STORE_ID, chunk))
    assert read_by_rerun(path) == {str(chunk.id): ("/a", cells_of(chunk))}


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
@pytest.mark.parametrize("name", VALUES)
def test_rare_types_in_compressed_buffers(name: str, compression: str) -> None:
    chunk = ChunkDecoder().decode(component(lists(VALUES[name]), compression=compression))
    assert chunk.component("c").to_pylist() == expected(name)


def test_a_type_that_is_nothing_else_is_not_read() -> None:
    """Only pyarrow's own numbers say that there are such types."""
    with pytest.raises(UnreadableColumnError, match="reads"):
        plain_type(pa.list_(_interval_of_months()))


def _interval_of_months() -> pa.DataType:
    """A type that pyarrow reads, though it makes none."""
    schema = pa.schema([pa.field("x", pa.month_day_nano_interval())])
    data = bytearray(schema.serialize())
    for at in range(0, len(data) - 1, 2):
        if data[at : at + 2] == b"\2\0":
            other = bytes(data[:at]) + b"\0\0" + bytes(data[at + 2 :])
            try:
                found = pa.ipc.read_schema(pa.py_buffer(other)).field(0).type
            except (pa.ArrowException, NotImplementedError, OSError):
                continue
            if "month_interval" in str(found):
                return found
    raise AssertionError


def test_decimals_with_an_absurd_scale_are_not_read() -> None:
    for scale in (1000, -1000):
        with pytest.raises(UnreadableColumnError, match="scale"):
            plain_type(pa.list_(pa.decimal128(10, scale)))


# --- nested at random ---

plain_leaves = st.sampled_from(
    [
        pa.array([1, None, 3, 4], pa.int32()),
        pa.array(["a", None, "b", "a longer text than a view"]),
        pa.array([True, None, False, True]),
        pa.array([dt.date(2020, 1, 1), None, None, dt.date(1970, 1, 1)]),
    ]
)


def _rarer(array: pa.Array, values: list[Any], kind: str) -> tuple[pa.Array, list[Any]]:
    """The same values in a rarer form, or nested; what they are is worked out without pyarrow."""
    size = len(array)
    back = pa.array(list(range(size))[::-1], pa.int32())
    match kind:
        case "dictionary":
            return pa.DictionaryArray.from_arrays(back, array), values[::-1]
        case "runs":
            return runs(list(range(1, size + 1)), array), values
        case "struct":
            names = ["x", "y"]
            structs = pa.StructArray.from_arrays([array, array], names)
            return structs, [dict.fromkeys(names, value) for value in values]
        case "list":
            offsets = pa.array(range(size + 1), pa.int32())
            return pa.ListArray.from_arrays(offsets, array), [[value] for value in values]
        case "list view":
            ones = pa.array([1] * size, pa.int32())
            views = pa.ListViewArray.from_arrays(back, ones, array)
            return views, [[value] for value in values[::-1]]
        case _:
            return pa.FixedSizeListArray.from_arrays(array, 1), [[value] for value in values]


@settings(deadline=None, max_examples=150)
@given(
    plain_leaves,
    st.lists(
        st.sampled_from(["dictionary", "runs", "struct", "list", "list view", "fixed"]), max_size=4
    ),
)
def test_any_nesting_keeps_its_values(leaf: pa.Array, kinds: list[str]) -> None:
    # A message cannot say that a dictionary's values are a dictionary.
    assume(("dictionary", "dictionary") not in pairwise(kinds))
    array, values = leaf, leaf.to_pylist()
    for kind in kinds:
        array, values = _rarer(array, values, kind)
    column = pa.ListArray.from_arrays(pa.array([0, 1, len(array)], pa.int32()), array)
    chunk = ChunkDecoder().decode(component(column))
    assert is_plain(chunk.component("c").type)
    assert chunk.component("c").to_pylist() == [values[:1], values[1:]]


# --- what a few bytes may become ---


def reason_of(chunk: Chunk) -> str:
    assert isinstance(chunk, ConvertedChunk)
    ((name, reason),) = chunk.unread
    assert name == "c"
    return reason


def with_another(array: pa.Array, **options: Any) -> Chunk:
    """A chunk of a component `c` and a plain one `d`."""
    others = pa.array([[7]] * len(array))
    batch = foreign_batch((array, {"rerun:component": "c"}), (others, {"rerun:component": "d"}))
    return ChunkDecoder().decode(message(batch, **options))


MANY = 2_000_000_000
LONG_TEXT = "x" * 100_000
COUNT = 50_000


def one_list(values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)


def views_of_one_text() -> pa.Array:
    views = np.zeros((COUNT, 4), np.int32)
    views[:, 0] = len(LONG_TEXT)
    views[:, 1] = int.from_bytes(LONG_TEXT[:4].encode(), "little")
    buffers = [None, pa.py_buffer(views.tobytes()), pa.py_buffer(LONG_TEXT.encode())]
    return pa.Array.from_buffers(pa.string_view(), COUNT, buffers)


BOMBS: dict[str, Callable[[], pa.Array]] = {
    "a run": lambda: runs([MANY], pa.array([LONG_TEXT])),
    "a run of nulls": lambda: runs([MANY], pa.nulls(1)),
    "a dictionary": lambda: pa.DictionaryArray.from_arrays(
        pa.array([0] * COUNT, pa.int8()), [LONG_TEXT]
    ),
    "views": views_of_one_text,
    "list views": lambda: pa.ListViewArray.from_arrays(
        pa.array([0] * COUNT, pa.int32()),
        pa.array([len(LONG_TEXT)] * COUNT, pa.int32()),
        pa.array([1] * len(LONG_TEXT), pa.int64()),
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_would_become_too_large_costs_its_column(name: str) -> None:
    before = pa.total_allocated_bytes()
    chunk = with_another(one_list(BOMBS[name]()))
    assert "EXPANDED_BYTES_MAX" in reason_of(chunk)
    assert list(chunk.components) == ["d"]
    assert pa.total_allocated_bytes() - before < 16 << 20


def test_nested_runs_are_counted_at_each_level() -> None:
    inner = pa.ListArray.from_arrays(
        pa.array([0, 30_000], pa.int32()), runs([30_000], pa.array(["x"]))
    )
    outer = pa.ListArray.from_arrays(pa.array([0, 30_000], pa.int32()), runs([30_000], inner))
    assert "EXPANDED_BYTES_MAX" in reason_of(with_another(outer))


def test_room_is_in_proportion_within_its_bounds() -> None:
    for size, allowed in (
        (1, EXPANDED_BYTES_MIN),
        (100_000, 100_000 * EXPANDED_RATIO_MAX),
        (1 << 30, EXPANDED_BYTES_MAX),
    ):
        Room(size).take(allowed)
        room = Room(size)
        room.take(allowed - 1)
        with pytest.raises(UnreadableColumnError):
            room.take(2)


def test_an_array_of_its_plain_type_is_handed_back() -> None:
    array = pa.array([[1.0]])
    assert to_plain(array, plain_type(array.type), Room(0)) is array
