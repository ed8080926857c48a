"""Values in the common type of their column: as they were logged, or an error."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from forebay.chunk.convert import as_nullable, converted
from forebay.chunk.unify import unified
from forebay.errors import QueryError
from tests.arrow_types import array, pairs, plain, values

F = pa.field


def convert(items: pa.Array, kind: pa.DataType) -> pa.Array:
    return converted(items, kind, "/a", "S:x")


@settings(max_examples=400)
@given(st.data())
def test_values_stay_what_they_are(data: st.DataObject) -> None:
    kind, other = data.draw(pairs())
    try:
        common = unified([kind, other], "/a", "S:x")
    except QueryError:
        return
    logged = array(data.draw(st.lists(st.none() | values(kind), max_size=4)), kind)
    start = data.draw(st.integers(0, len(logged)))
    logged = logged.slice(start)
    try:
        found = convert(logged, common)
    except QueryError as error:
        assert "fit into the other" in str(error)  # noqa: PT017
        assert any(unit in str(common) for unit in ("[ms", "[us", "[ns"))
        return
    found.validate(full=True)
    assert found.type == common
    assert plain(found) == plain(logged)


@pytest.mark.parametrize(
    ("number", "kind", "common"),
    [
        (2**62, pa.timestamp("s"), pa.timestamp("ns")),
        (-(2**62), pa.timestamp("s", "UTC"), pa.timestamp("ms", "UTC")),
        (2**31 - 1, pa.date32(), pa.timestamp("ns")),
        (86_400_000 * 2**36, pa.date64(), pa.timestamp("ns")),
        (2**62, pa.duration("s"), pa.duration("ms")),
        (2**31 - 1, pa.time32("s"), pa.time32("ms")),  # which Arrow wraps around to -1 s
        (2**62, pa.time64("us"), pa.time64("ns")),
    ],
)
def test_a_value_beyond_the_finer_unit_is_an_error(
    number: int, kind: pa.DataType, common: pa.DataType
) -> None:
    shapes = [
        (number, kind, common),
        ([number], pa.list_(kind), pa.list_(common)),
        ({"x": number}, pa.struct([F("x", kind)]), pa.struct([F("x", common)])),
    ]
    for value, own, wanted in shapes:
        with pytest.raises(QueryError) as caught:
            convert(array([value], own), wanted)
        text = str(caught.value)
        assert f"component 'S:x' of /a was logged as {kind} and as {common}, and not all" in text
    assert plain(convert(array([0, None], kind), common)) == plain(array([0, None], kind))


def test_what_lies_below_a_null_is_no_value() -> None:
    """Senders leave there what they like: it may be too large for the finer unit."""
    seconds = pa.array([2**62, 1], pa.int64()).view(pa.timestamp("s"))
    mask = pa.array([True, False])
    finer = pa.timestamp("ns")
    below = [
        pa.StructArray.from_arrays([seconds], fields=[F("x", pa.timestamp("s"))], mask=mask),
        pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), seconds, mask=mask),
        pa.FixedSizeListArray.from_arrays(seconds, 1, mask=mask),
    ]
    wanted = [pa.struct([F("x", finer)]), pa.list_(finer), pa.list_(finer)]
    for logged, kind in zip(below, wanted, strict=True):
        found = convert(logged, kind)
        found.validate(full=True)
        assert plain(found) == plain(logged)
        assert plain(found)[0] is None


def test_slices_of_nested_arrays() -> None:
    entries = [[("k", 1)], None, [("l", 2), ("m", None)], []]
    logged = pa.array(entries, pa.map_(pa.string(), pa.int8()))
    found = convert(logged.slice(1), pa.map_(pa.string(), pa.int64()))
    found.validate(full=True)
    assert found.to_pylist() == entries[1:]
    vectors = pa.array([[1, 2], None, [3, None]], pa.list_(pa.int8(), 2))
    for kind in (pa.list_(pa.int64(), 2), pa.list_(pa.int64()), pa.large_list(pa.int8())):
        found = convert(vectors.slice(1), kind)
        found.validate(full=True)
        assert found.to_pylist() == [None, [3, None]]


def test_a_type_that_is_there_already_costs_nothing() -> None:
    logged = pa.array([{"x": [1]}])
    assert convert(logged, pa.struct([F("x", pa.list_(pa.int64()))])) is logged


def test_as_nullable_says_what_taking_nulls_made() -> None:
    kind = pa.struct([F("v", pa.list_(F("item", pa.int8(), nullable=False), 2), nullable=False)])
    taken = pa.array([{"v": [1, 2]}], kind).take(pa.array([0, None]))
    found = as_nullable(taken)
    found.validate(full=True)
    assert found.type == pa.struct([F("v", pa.list_(pa.int8(), 2))])
    assert found.to_pylist() == [{"v": [1, 2]}, None]
    assert as_nullable(pa.array(np.arange(3))).type == pa.int64()
