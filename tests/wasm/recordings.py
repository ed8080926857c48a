"""Larger recordings than the corpus has, by the real SDK, and damaged ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import rerun as rr

from tests.corpus import recording

ROWS = 2000


def write_rows(path: Path) -> Path:
    """2001 chunks of one row: scalars logged one by one, each let out at once."""
    environment = {**os.environ, "RERUN_FLUSH_NUM_ROWS": "1", "RERUN_ANALYTICS": "0"}
    command = [sys.executable, "-m", "tests.wasm.recordings", str(path)]
    root = Path(__file__).resolve().parents[2]
    subprocess.run(command, cwd=root, env=environment, check=True)
    return path


def _log_rows(path: Path) -> None:
    stream = rr.RecordingStream("rows", recording_id="rows")
    stream.save(path)
    for row in range(ROWS):
        stream.set_time("frame", sequence=row)
        stream.log(f"/plot/s{row % 4}", rr.Scalars(float(row)))
    stream.disconnect()


def write_large(path: Path, seed: int, steps: int) -> Path:
    """A step is four chunks of 500 scalars and one of 8000 points, 0.14 MB together."""
    stream = rr.RecordingStream(f"large-{seed}", recording_id=f"large-{seed}")
    stream.save(path)
    random = np.random.default_rng(seed)
    rows = 500
    for step in range(steps):
        frames = np.arange(step * rows, (step + 1) * rows)
        column = rr.TimeColumn("frame", sequence=frames)
        for line in range(4):
            noise = random.normal(size=rows) * 0.3
            values = np.sin(frames / (500 * (line + 1))) * 10 + noise
            stream.send_columns(f"/plot/s{line}", [column], rr.Scalars.columns(scalars=values))
        stream.set_time("frame", sequence=int(frames[0]))
        points = random.normal(size=(8000, 3)).astype(np.float32)
        stream.log("/world/points", rr.Points3D(points))
        stream.flush()
    stream.disconnect()
    return path


def damaged_copies(folder: Path) -> dict[str, Path]:
    """A recording cut short, and one with a damaged chunk."""
    whole = recording("one_row_chunks").read_bytes()
    cut = folder / "cut.rrd"
    cut.write_bytes(whole[: len(whole) // 2])
    flipped = bytearray(whole)
    middle = len(whole) // 2
    flipped[middle : middle + 200] = bytes(200)
    broken = folder / "broken.rrd"
    broken.write_bytes(flipped)
    return {"cut": cut, "broken": broken}


if __name__ == "__main__":
    _log_rows(Path(sys.argv[1]))
