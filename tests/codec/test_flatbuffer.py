"""The primitives that read flatbuffers: values, defaults of absent fields, and hostile offsets."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.codec.chunks.flatbuffer import i64, pairs, slot, table, u8, u16

# A root offset, a vtable with three fields (the second one absent), the table, and a vector.
VTABLE = struct.pack("<HHHHH", 10, 16, 4, 0, 12)
ROOT = struct.pack("<I", 14)
TABLE = struct.pack("<iQI", 10, 7, 4)
VECTOR = struct.pack("<Iqqqq", 2, 1, 2, 3, -4)
BUFFER = memoryview(ROOT + VTABLE + TABLE + VECTOR)


def test_fields_are_found_by_their_slot_in_the_vtable() -> None:
    root = table(BUFFER, 0)
    assert root == 14
    assert slot(BUFFER, root, 4) == root + 4
    assert i64(BUFFER, slot(BUFFER, root, 4)) == 7
    assert u16(BUFFER, slot(BUFFER, root, 4)) == 7
    assert u8(BUFFER, slot(BUFFER, root, 4)) == 7
    assert pairs(BUFFER, slot(BUFFER, root, 8)) == [(1, 2), (3, -4)]


@pytest.mark.parametrize("number", [6, 10, 400], ids=["absent", "behind-the-vtable", "far"])
def test_an_absent_field_has_position_zero_and_its_default(number: int) -> None:
    position = slot(BUFFER, table(BUFFER, 0), number)
    assert position == 0
    assert u8(BUFFER, position) == u16(BUFFER, position) == i64(BUFFER, position) == 0
    assert pairs(BUFFER, position) == []


def test_a_vtable_in_front_of_the_buffer_is_refused() -> None:
    data = bytearray(BUFFER)
    struct.pack_into("<i", data, 14, 15)
    with pytest.raises(IndexError, match="in front of its flatbuffer"):
        slot(memoryview(data), 14, 4)


def test_a_vector_that_is_longer_than_the_buffer_is_refused() -> None:
    data = bytearray(BUFFER)
    struct.pack_into("<I", data, len(ROOT + VTABLE + TABLE), 3)
    with pytest.raises(IndexError, match="not within its flatbuffer"):
        pairs(memoryview(data), slot(memoryview(data), 14, 8))


@given(st.binary(min_size=len(BUFFER), max_size=len(BUFFER)))
def test_any_bytes_give_values_or_one_of_two_errors(raw: bytes) -> None:
    data = memoryview(raw)
    try:
        root = table(data, 0)
        for number in (4, 6, 8):
            position = slot(data, root, number)
            assert position >= 0
            u8(data, position)
            u16(data, position)
            i64(data, position)
            pairs(data, position)
    except (struct.error, IndexError):
        pass
