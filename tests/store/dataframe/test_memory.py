"""The arithmetic under a dataframe's arrays, against the plain way of doing it."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from forebay.limits import DATAFRAME_SLAB_BYTES
from forebay.store.dataframe.memory import Memory, bitmap_after, spread


@given(st.lists(st.integers(0, 4), max_size=12), st.integers(1, 3))
def test_values_are_spread_as_numpy_repeats_them(times: list[int], width: int) -> None:
    values = np.arange(len(times) * width).reshape(-1, width)
    expected = np.repeat(values, times, axis=0)
    out = np.full_like(expected, -1)
    spread(values, np.array(times, np.int64), out)
    assert np.array_equal(out, expected)


@given(st.integers(1, 20), st.integers(1, 5), st.integers(0, 9))
def test_equal_distances_but_the_last_are_spread_alike(count: int, each: int, last: int) -> None:
    times = np.array([*[each] * (count - 1), last], np.int64)
    out = np.full(int(times.sum()), -1)
    spread(np.arange(count), times, out)
    assert np.array_equal(out, np.repeat(np.arange(count), times))


@given(st.data())
def test_all_rows_are_valid_but_the_first(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 70))
    lead = data.draw(st.integers(0, count))
    bits = np.unpackbits(np.frombuffer(bitmap_after(lead, count), np.uint8), bitorder="little")
    assert bits.tolist() == [0] * lead + [1] * (count - lead) + [0] * (-count % 8)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3000)), min_size=1, max_size=4))
def test_offsets_rise_after_the_leading_rows(asked: list[tuple[int, int]]) -> None:
    memory = Memory(1)
    for lead, lists in asked:
        offsets = memory.rising(lead, lead + lists)
        assert np.array_equal(offsets, np.maximum(np.arange(lead + lists + 1) - lead, 0))


@pytest.mark.parametrize("count", [10, 100_001, 300_000, 2_000_000])
def test_arrays_of_one_dataframe_do_not_overlap(count: int) -> None:
    before = pa.total_allocated_bytes()
    memory = Memory(12)
    arrays = [memory.empty(count, np.float64) for _ in range(12)]
    for number, array in enumerate(arrays):
        array[:] = number
    assert [(array.min(), array.max()) for array in arrays] == [(n, n) for n in range(12)]
    taken = pa.total_allocated_bytes() - before
    assert taken <= 12 * count * 8 + 12 * 64 + 64, "nothing is allocated that nobody needs"
    del memory, array
    kept = arrays.pop()
    arrays.clear()
    assert pa.total_allocated_bytes() - before <= max(DATAFRAME_SLAB_BYTES, kept.nbytes)
