from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from forebay.chunk.row_ids import are_sorted, row_id_array, row_id_halves, sorting

# Bytes at the edges of sign and of NumPy's idea of where a string ends.
edge_bytes = st.sampled_from([0, 1, 0x7F, 0x80, 0xFF])
row_ids = st.one_of(
    st.lists(edge_bytes, min_size=16, max_size=16).map(bytes),
    st.binary(min_size=16, max_size=16),
    st.integers(0, 300).map(lambda n: n.to_bytes(8, "big") + bytes(8)),
)


def column(ids: list[bytes]) -> pa.Array:
    return pa.array(ids, pa.binary(16))


@given(st.lists(row_ids))
def test_sorting_is_that_of_the_bytes(ids: list[bytes]) -> None:
    array = row_id_array(column(ids))
    order = sorting(array)
    assert [ids[place] for place in order] == sorted(ids)
    assert are_sorted(array) == (ids == sorted(ids))
    assert are_sorted(array[order])


def test_sorting_keeps_the_order_of_equals() -> None:
    ids = [bytes(16), b"\1" + bytes(15)] * 5
    assert sorting(row_id_array(column(ids))).tolist() == [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]


@given(st.lists(row_ids, min_size=1), st.data())
def test_slices_see_their_own_part(ids: list[bytes], draw: st.DataObject) -> None:
    begin = draw.draw(st.integers(0, len(ids)))
    end = draw.draw(st.integers(begin, len(ids)))
    array = row_id_array(column(ids)[begin:end])
    assert array.tobytes() == b"".join(ids[begin:end])


@given(st.lists(row_ids))
def test_halves_are_nanoseconds_and_counter(ids: list[bytes]) -> None:
    times, counters = row_id_halves(row_id_array(column(ids)))
    assert times.dtype == counters.dtype == np.uint64
    assert times.tolist() == [int.from_bytes(each[:8], "big") for each in ids]
    assert counters.tolist() == [int.from_bytes(each[8:], "big") for each in ids]


def test_viewing_copies_nothing() -> None:
    ids = column([bytes(16)] * 3)
    assert row_id_array(ids).__array_interface__["data"][0] == ids.buffers()[1].address
