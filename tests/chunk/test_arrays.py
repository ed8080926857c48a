"""Arrow to NumPy and back without pandas."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import rerun as rr
from hypothesis import given
from hypothesis import strategies as st

from forebay.chunk.arrays import are_valid, positions, truths

FLAGS = st.lists(st.none() | st.booleans(), max_size=40)


@given(flags=FLAGS, start=st.integers(0, 40), length=st.integers(0, 40))
def test_bits_are_read_wherever_they_begin(
    flags: list[bool | None], start: int, length: int
) -> None:
    array = pa.array(flags, pa.bool_()).slice(start, length)
    expected = flags[start : start + length]
    valid = are_valid(array)
    assert valid.dtype == np.bool_
    assert valid.tolist() == [flag is not None for flag in expected]
    assert (truths(array) & valid).tolist() == [bool(flag) for flag in expected]


@given(rows=st.lists(st.integers(0, 9), max_size=20), kind=st.sampled_from([np.int32, np.int64]))
def test_positions_are_those_given(rows: list[int], kind: type[np.signedinteger]) -> None:
    values = pa.array(range(10))
    assert values.take(positions(np.array(rows, kind))).to_pylist() == rows


PROGRAM = """
import sys
import forebay

db = forebay.load(sys.argv[1]).recordings()[0]
for entity in db.entity_paths():
    db.latest_at("frame", 4, entity)
    db.range("frame", 0, 9, entity)
    db.range(None, None, None, entity)
for index in (None, "frame", "tick"):
    for respect in (False, True):
        db.dataframe(index, fill_latest_at=respect, respect_clears=respect)
db.drop_time_range("frame", 3, 4)
db.gc(1)
assert "pandas" not in sys.modules
"""


@pytest.mark.skipif(importlib.util.find_spec("pandas") is None, reason="there is no pandas")
def test_no_query_and_no_change_imports_pandas(tmp_path: Path) -> None:
    """That takes half a second, and some of it would happen with a store's lock held."""
    path = tmp_path / "x.rrd"
    with rr.RecordingStream("pandas", recording_id="x") as rec:
        rec.save(path)
        rec.log("still", rr.Points3D([[1, 2, 3]]), static=True)
        for frame in (5, 1, 3, 3, 4):
            rec.set_time("frame", sequence=frame)
            if frame > 1:
                rec.set_time("tick", sequence=-frame)
            rec.log(
                "a", rr.Points3D([[1, 2, 3]] * (frame % 3), labels=["x"] if frame > 3 else None)
            )
            rec.log("b", rr.Scalars(frame))
            rec.log("b", rr.Clear(recursive=frame > 3))
    subprocess.run([sys.executable, "-c", PROGRAM, str(path)], check=True, timeout=120)
