"""The type of a column that was logged with several: pairs by hand, and the laws of the rule."""

from __future__ import annotations

import itertools
import random

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given, settings

from forebay.chunk.unify import nullable, same_type, unified, unified_or_null
from forebay.errors import QueryError
from forebay.limits import TYPE_TOLD_CHARS_MAX
from tests import arrow_types

F = pa.field
NONE = None


def union_of(*types: pa.DataType) -> pa.DataType | str:
    """The common type, or the text of the error."""
    try:
        return unified(types, "/a", "S:x")
    except QueryError as error:
        return str(error)


U8, I8, I16, I32, I64 = pa.uint8(), pa.int8(), pa.int16(), pa.int32(), pa.int64()
XY = pa.struct([F("x", I8), F("y", pa.string())])
BARE = pa.struct([F("x", I8, nullable=False)])
UNION = pa.dense_union([F("a", I8), F("b", pa.string())])

PAIRS = [
    # integers
    (I8, I64, I64),
    (U8, pa.uint32(), pa.uint32()),
    (U8, I8, I16),
    (pa.uint16(), I8, I32),
    (pa.uint32(), I64, I64),
    (pa.uint32(), I8, I64),
    (pa.uint64(), I8, NONE),
    (pa.bool_(), I64, I64),
    (pa.bool_(), I8, I8),
    (pa.bool_(), U8, U8),
    # floats
    (pa.float16(), pa.float32(), pa.float32()),
    (pa.float16(), pa.float64(), pa.float64()),
    (pa.float16(), I8, pa.float32()),
    (pa.float32(), I16, pa.float32()),
    (pa.float32(), pa.uint16(), pa.float32()),
    (pa.float32(), I32, pa.float64()),
    (pa.float64(), pa.uint32(), pa.float64()),
    (pa.float64(), I64, NONE),
    (pa.float32(), pa.uint64(), NONE),
    (pa.bool_(), pa.float64(), NONE),
    # decimals
    (pa.decimal128(5, 2), pa.decimal128(6, 4), pa.decimal128(7, 4)),
    (pa.decimal128(5, 2), pa.decimal256(5, 2), pa.decimal256(5, 2)),
    (pa.decimal128(38, 0), pa.decimal128(38, 10), pa.decimal256(48, 10)),
    (pa.decimal256(76, 0), pa.decimal128(38, 10), NONE),
    (pa.decimal128(5, 2), I64, pa.decimal128(21, 2)),
    (pa.decimal128(5, 2), pa.uint64(), pa.decimal128(22, 2)),
    (pa.decimal128(5, -2), I8, pa.decimal128(7, 0)),
    (pa.decimal128(5, 2), pa.float64(), NONE),
    (pa.decimal128(5, 2), pa.bool_(), NONE),
    # time
    (pa.date32(), pa.date64(), pa.date64()),
    (pa.date32(), pa.timestamp("s"), pa.timestamp("s")),
    (pa.date64(), pa.timestamp("s"), pa.timestamp("ms")),
    (pa.date32(), pa.timestamp("ns"), pa.timestamp("ns")),
    (pa.date32(), pa.timestamp("ns", "UTC"), NONE),
    (pa.timestamp("s"), pa.timestamp("us"), pa.timestamp("us")),
    (pa.timestamp("s", "UTC"), pa.timestamp("ns", "UTC"), pa.timestamp("ns", "UTC")),
    (
        pa.timestamp("s", "Europe/Berlin"),
        pa.timestamp("ms", "Europe/Berlin"),
        pa.timestamp("ms", "Europe/Berlin"),
    ),
    (pa.timestamp("s", "Europe/Berlin"), pa.timestamp("s", "+02:00"), pa.timestamp("s", "UTC")),
    (pa.timestamp("s"), pa.timestamp("s", "UTC"), NONE),
    (pa.time32("s"), pa.time32("ms"), pa.time32("ms")),
    (pa.time32("s"), pa.time64("us"), pa.time64("us")),
    (pa.time64("us"), pa.time64("ns"), pa.time64("ns")),
    (pa.duration("s"), pa.duration("ms"), pa.duration("ms")),
    (pa.duration("s"), I64, NONE),
    (pa.time32("s"), pa.timestamp("s"), NONE),
    # text and bytes
    (pa.string(), pa.large_string(), pa.large_string()),
    (pa.binary(), pa.large_binary(), pa.large_binary()),
    (pa.binary(2), pa.binary(3), pa.binary()),
    (pa.binary(2), pa.large_binary(), pa.large_binary()),
    (pa.string(), pa.binary(), NONE),
    (pa.string(), I8, NONE),
    # lists
    (pa.list_(I8), pa.list_(I64), pa.list_(I64)),
    (pa.list_(F("item", I8, nullable=False)), pa.list_(I8), pa.list_(I8)),
    (pa.list_(F("element", I8)), pa.list_(I8), pa.list_(I8)),
    (pa.list_(I8), pa.large_list(U8), pa.large_list(I16)),
    (pa.list_(I8, 2), pa.list_(I16, 2), pa.list_(I16, 2)),
    (pa.list_(I8, 2), pa.list_(I8, 3), pa.list_(I8)),
    (pa.list_(I8, 2), pa.large_list(I8), pa.large_list(I8)),
    (pa.list_(I8), pa.list_(pa.string()), NONE),
    (pa.list_(I8), I8, NONE),
    (pa.map_(pa.string(), I8), pa.map_(pa.string(), I64), pa.map_(pa.string(), I64)),
    (pa.map_(pa.string(), I8), pa.map_(I8, I8), NONE),
    (
        pa.map_(pa.string(), I8, keys_sorted=True),
        pa.map_(pa.string(), I8),
        pa.map_(pa.string(), I8),
    ),
    # structs
    (pa.struct([F("x", I8)]), XY, XY),
    (pa.struct([F("y", pa.string()), F("x", I64)]), XY, pa.struct([F("x", I64), F("y", "string")])),
    (
        pa.struct([F("b", I8), F("a", I8)]),
        pa.struct([F("b", I64), F("a", I8)]),
        pa.struct([F("b", I64), F("a", I8)]),
    ),
    (BARE, pa.struct([F("x", I8)]), pa.struct([F("x", I8)])),
    (BARE, pa.struct([]), pa.struct([F("x", I8)])),
    (BARE, pa.null(), pa.struct([F("x", I8)])),
    (pa.struct([F("s", BARE)]), pa.struct([]), pa.struct([F("s", pa.struct([F("x", I8)]))])),
    (pa.list_(pa.struct([F("x", I8)])), pa.list_(XY), pa.list_(XY)),
    (pa.list_(pa.struct([F("x", I8)]), 2), pa.list_(XY, 2), pa.list_(XY, 2)),
    (pa.map_(I8, pa.struct([F("x", I8)])), pa.map_(I8, XY), pa.map_(I8, XY)),
    (pa.struct([F("x", I8)]), pa.struct([F("x", pa.string())]), NONE),
    (pa.struct([F("x", I8), F("x", I8)]), pa.struct([F("x", I64), F("x", I8)]), "by place"),
    (pa.struct([F("x", I8), F("x", I8)]), pa.struct([F("x", I8)]), NONE),
    # others
    (pa.null(), pa.string(), pa.string()),
    (pa.null(), UNION, UNION),
    (pa.list_(pa.null()), pa.list_(BARE), pa.list_(pa.struct([F("x", I8)]))),
    (UNION, I8, NONE),
    (UNION, pa.dense_union([F("a", I8)]), NONE),
    (pa.struct([F("u", UNION)]), XY, pa.struct([F("u", UNION), *XY])),
]


@pytest.mark.parametrize(("one", "other", "wanted"), PAIRS, ids=str)
def test_pairs_in_both_orders(
    one: pa.DataType, other: pa.DataType, wanted: pa.DataType | str | None
) -> None:
    found, reverse = union_of(one, other), union_of(other, one)
    if wanted == "by place":
        wanted = pa.struct([F("x", I64), F("x", I8)])
    if wanted is None:
        assert isinstance(found, str)
        assert found == reverse
        assert "component 'S:x' of /a was logged as" in found
        assert f"as {one} and" in found or f"as {one}," in found
        assert f"as {other} and" in found or f"as {other}," in found
        assert unified_or_null([one, other], "/a", "S:x") == pa.null()
    else:
        assert found == wanted
        assert isinstance(reverse, pa.DataType)
        assert same_type(found, reverse)


def test_the_type_is_chosen_from_all_and_not_from_one_after_another() -> None:
    types = [pa.uint32(), pa.int32(), pa.float64()]
    assert {union_of(*order) for order in itertools.permutations(types)} == {pa.float64()}
    assert isinstance(union_of(union_of(*types[:2]), types[2]), str)


def test_the_error_names_two_types_that_part_and_where() -> None:
    deep = [pa.struct([F("p", pa.list_(pa.struct([F("q", kind)])))]) for kind in (I8, "string")]
    text = union_of(pa.null(), deep[0], pa.struct([F("z", I8)]), deep[1])
    assert isinstance(text, str)
    assert f"logged as {deep[0]} and as {deep[1]}, and no type" in text
    assert "they differ at p.item.q" in text
    many = [*(pa.timestamp(unit) for unit in arrow_types.UNITS), *deep, I8, I16]
    texts = {union_of(*random.Random(seed).sample(many, len(many))) for seed in range(20)}
    assert len(texts) == 1


def test_the_error_is_short_whatever_the_types() -> None:
    wide = pa.struct([F(f"field{number}", I8) for number in range(5000)])
    text = union_of(wide, pa.list_(wide))
    assert isinstance(text, str)
    assert len(text) < 3 * TYPE_TOLD_CHARS_MAX + 400


def test_metadata_and_names_stay_where_all_agree() -> None:
    def item(name: str, metadata: dict[str, str]) -> pa.DataType:
        return pa.list_(F(name, I8, metadata=metadata))

    same, other = item("item", {"k": "v"}), item("item", {"k": "w"})
    assert same_type(unified([same, item("item", {"k": "v"})], "/a", "c"), same)
    for types in ([same, other], [other, same]):
        assert same_type(unified(types, "/a", "c"), pa.list_(I8))
    for types in ([item("a", {}), item("b", {})], [item("b", {}), item("a", {})]):
        assert same_type(unified(types, "/a", "c"), pa.list_(I8))


@given(arrow_types.types)
def test_a_type_with_itself_is_itself(kind: pa.DataType) -> None:
    assert union_of(kind, kind) == kind
    assert same_type(unified([kind, pa.null()], "/a", "c"), nullable(kind))


@given(arrow_types.pairs())
def test_the_order_of_two_says_nothing(pair: tuple[pa.DataType, pa.DataType]) -> None:
    found, reverse = union_of(*pair), union_of(*pair[::-1])
    if isinstance(found, str):
        assert found == reverse
    else:
        assert isinstance(reverse, pa.DataType)
        assert same_type(found, reverse)
        assert same_type(unified([found, *pair], "/a", "c"), found)  # it holds both already


@settings(max_examples=300)
@given(st.data())
def test_the_order_of_many_says_nothing_and_steps_hold_as_much(data: st.DataObject) -> None:
    first = data.draw(arrow_types.types)
    types = [first, *(data.draw(arrow_types.kin(first)) for _ in range(2))]
    found = [union_of(*order) for order in itertools.permutations(types)]
    if isinstance(found[0], str):
        assert len(set(found)) == 1
        return
    assert all(isinstance(one, pa.DataType) and same_type(one, found[0]) for one in found)
    for one, two, three in itertools.permutations(types):
        # Step by step there may be no type, or a wider one (`uint16`, `int16` and `float32` are
        # `float32` together, but `int32` and `float32` are `float64`); never a narrower one.
        step = union_of(one, two)
        if isinstance(step, str):
            continue  # `int8` and `uint64` have a type only together with a decimal
        steps = union_of(step, three)
        assert isinstance(steps, str) or same_type(unified([steps, found[0]], "/a", "c"), steps)
