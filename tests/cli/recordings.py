"""Recordings made with the real SDK, one of every kind, and what Rerun's own tool says of them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rerun as rr
import rerun.blueprint as rrb

APPLICATION = "forebay_cli_tests"
RERUN = Path(sys.executable).parent / "rerun"


def _recording(path: Path, recording_id: str | None = None) -> rr.RecordingStream:
    recording = rr.RecordingStream(APPLICATION, recording_id=recording_id or path.stem)
    recording.save(path)
    return recording


def static(path: Path) -> None:
    with _recording(path) as rec:
        rec.log("text", rr.TextDocument("once"), static=True)
        rec.log("text", rr.TextDocument("and again"), static=True)
        rec.log("points", rr.Points3D(np.ones((10, 3))), static=True)


def several_timelines(path: Path) -> None:
    with _recording(path) as rec:
        for i in range(500):
            rec.set_time("frame", sequence=i)
            rec.set_time("elapsed", duration=i * 0.01)
            rec.set_time("stamp", timestamp=1_700_000_000 + i)
            if i == 250:
                rec.reset_time()
                rec.set_time("other", sequence=i)
            rec.log("plot/a", rr.Scalars(float(i)))
            rec.log(f"plot/{i % 7}", rr.Scalars(float(i)))


def one_row_chunks(path: Path) -> None:
    with _recording(path) as rec:
        for i in range(300):
            rec.set_time("frame", sequence=i)
            rec.log("a", rr.Scalars(float(i)))
            rec.flush()


def bulky(path: Path) -> None:
    random = np.random.default_rng(0)
    with _recording(path) as rec:
        for i in range(3):
            rec.set_time("frame", sequence=i)
            noise = random.integers(0, 255, (1500, 2400, 3), np.uint8)  # 10.8 MB
            rec.log("camera/noise", rr.Image(noise))
            rec.log("camera/black", rr.Image(np.zeros((1500, 2400, 3), np.uint8)))
            rec.log("points", rr.Points3D(random.normal(size=(100_000, 3))))


def many_columns(path: Path) -> None:
    with _recording(path) as rec:
        for i in range(20):
            for line in range(30):
                rec.set_time(f"timeline number {line}", sequence=i)
            rec.log(
                "an/entity with spaces/and:colons",
                rr.AnyValues(**{f"value_{n}": [float(n)] * 50 for n in range(60)}),
            )


def blueprint(path: Path) -> None:
    layout = rrb.Blueprint(rrb.Spatial3DView(origin="/"), rrb.TimeSeriesView(origin="/plot"))
    with _recording(path) as rec:
        rec.send_blueprint(layout)
        rec.set_time("frame", sequence=1)
        rec.log("plot/a", rr.Scalars(1.0))


def columns(path: Path) -> None:
    with _recording(path) as rec:
        times = np.arange(10_000)
        rec.send_columns(
            "sent",
            indexes=[rr.TimeColumn("frame", sequence=times)],
            columns=rr.Scalars.columns(scalars=np.sin(times / 100)),
        )


def clears(path: Path) -> None:
    with _recording(path) as rec:
        for i in range(10):
            rec.set_time("frame", sequence=i)
            rec.log("world/a", rr.Points3D([[i, 0, 0]]))
            rec.log("world", rr.Clear(recursive=True))


def empty(path: Path) -> None:
    with _recording(path):
        pass


def several_stores(path: Path) -> None:
    parts = []
    for name in ("one", "two"):
        part = path.with_name(f"{path.stem}.{name}.part")
        with _recording(part, name) as rec:
            rec.set_time("frame", sequence=1)
            rec.log(name, rr.Scalars([1.0]))
            rec.log("both", rr.Scalars([1.0]))
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))


KINDS: dict[str, Callable[[Path], None]] = {
    make.__name__: make
    for make in (
        static,
        several_timelines,
        one_row_chunks,
        bulky,
        many_columns,
        blueprint,
        columns,
        clears,
        empty,
        several_stores,
    )
}


@dataclass(frozen=True)
class RerunStats:
    """What `rerun rrd stats` says, over all stores of a file."""

    chunks: int
    rows: int
    chunks_by_entity: dict[str, int]


def rerun_stats(path: Path) -> RerunStats | None:
    """`None` where Rerun refuses."""
    command = [RERUN, "rrd", "stats", "--continue-on-error", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None
    counts = dict(re.findall(r"^(num_chunks|num_rows) = (.+)$", done.stdout, re.MULTILINE))
    section = done.stdout.split("Num chunks per entity\n---------------------\n")[1]
    lines = (line.rpartition(": ") for line in section.split("\nNum chunks")[0].split("\n") if line)
    return RerunStats(
        _number(counts["num_chunks"]),
        _number(counts["num_rows"]),
        {path: _number(chunks) for path, _, chunks in lines},
    )


def _number(text: str) -> int:
    return int(re.sub(r"\D", "", text))
