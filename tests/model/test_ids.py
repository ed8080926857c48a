from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.model import ChunkId, RowId, StoreId, StoreKind, Tuid

uint64 = st.integers(0, 2**64 - 1)


@given(uint64, uint64, uint64, uint64)
def test_ids_compare_as_time_then_counter(a: int, b: int, c: int, d: int) -> None:
    one, other = Tuid.from_parts(a, b), Tuid.from_parts(c, d)
    assert (one.time_ns, one.inc) == (a, b)
    assert (one < other) == ((a, b) < (c, d))
    assert (one == other) == ((a, b) == (c, d))


@given(uint64, uint64)
def test_text_survives(time_ns: int, inc: int) -> None:
    row_id, chunk_id = RowId.from_parts(time_ns, inc), ChunkId.from_parts(time_ns, inc)
    assert RowId.parse(str(row_id)) == row_id
    assert ChunkId.parse(str(chunk_id)) == chunk_id
    assert str(chunk_id) == f"chunk_{time_ns:016X}{inc:016x}"
    assert ChunkId.parse(f"{time_ns:016x}{inc:016x}") == chunk_id


@pytest.mark.parametrize("value", [b"", bytes(15), bytes(17)])
def test_an_id_has_sixteen_bytes(value: bytes) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        RowId(value)


def test_store_ids_are_values() -> None:
    recording, blueprint = StoreId.recording("app", "x"), StoreId.blueprint("app", "x")
    assert recording == StoreId(StoreKind.RECORDING, "app", "x")
    assert recording != blueprint
    assert recording.is_recording
    assert blueprint.is_blueprint
    assert len({recording, blueprint, StoreId.recording("app", "x")}) == 2
