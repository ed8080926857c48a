"""The examples run as they stand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import rerun as rr

EXAMPLES = Path(__file__).parents[2] / "examples"


def run_example(name: str, *args: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_tested() -> None:
    names = {path.name for path in EXAMPLES.glob("*.py")}
    assert names == {"live_query.py", "load_and_query.py", "watch.py"}


def test_live_query() -> None:
    out = run_example("live_query.py")
    assert "at frame 500: -0.959" in out
    assert "'frame': [997, 998, 999]" in out


def test_load_and_query(tmp_path: Path) -> None:
    path = tmp_path / "a.rrd"
    with rr.RecordingStream("examples", recording_id="loaded") as recording:
        recording.save(path)
        recording.set_time("frame", sequence=7)
        recording.log("a/b", rr.Scalars([1.0, 2.0]))
    out = run_example("load_and_query.py", path)
    assert "frame (sequence) from 7 to 7" in out
    assert "/a/b Scalars:scalars: 2 values, set at 7" in out


def test_watch() -> None:
    out = run_example("watch.py")
    assert "rows of /position" in out
    for robot in ("robot-1", "robot-2"):
        assert f"{robot} #1: " in out
    assert "messages committed" in out
