"""Makes the corpus: `python -m tests.corpus_logging DIRECTORY NAME...` (see `tests.corpus`)."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import rerun as rr
import rerun.blueprint as rrb

APPLICATION = "forebay_corpus"

WEIRD_NAMES = (
    "/we ird/ä:b/x.y",
    "a//b/",
    "/world/points[0]",
    "/日本語/데이터",
    "/हिन्दी/😀",
    "/new\nline",
    "/image10",
    "/image2",
    "/Image3",
    "/a-b/1.010",
    "/a1/1.02",
    "/__reserved/x",
    "/trailing\\",
)


def open_recording(target: Path, name: str) -> rr.RecordingStream:
    recording = rr.RecordingStream(APPLICATION, recording_id=name, send_properties=False)
    recording.save(target / f"{name}.rrd")
    return recording


def make_static(recording: rr.RecordingStream) -> None:
    for step in range(3):
        recording.log("/fixed", rr.Points3D([[step, 0, 0]], labels=[str(step)]), static=True)
    recording.log("/fixed", rr.TextDocument("static beside temporal"), static=True)
    recording.set_time("frame", sequence=7)
    recording.log("/fixed", rr.Points3D([[9, 9, 9]]))
    recording.log("/moving", rr.Scalars(1.0))


def make_indexes(recording: rr.RecordingStream) -> None:
    for step in range(50):
        recording.set_time("frame", sequence=step)
        recording.set_time("elapsed", duration=step / 8)
        recording.set_time("taken at", timestamp=1_700_000_000 + step / 4)
        if step % 10 == 5:
            recording.disable_timeline("elapsed")
        recording.log("/plot/s0", rr.Scalars(step / 2))
        recording.log("/plot/s1", rr.Scalars([step, -step]))
    recording.reset_time()
    recording.set_time("other", sequence=-3)
    recording.log("/plot/s0", rr.Scalars(-1.0))


def make_one_row_chunks(recording: rr.RecordingStream) -> None:
    for step in range(300):
        recording.set_time("frame", sequence=step)
        recording.set_time("elapsed", duration=step / 100)
        recording.log("/plot/s0", rr.Scalars(float(step)))
        if step % 50 == 0:
            recording.log("/text", rr.TextLog(f"step {step}", level="INFO"))


def make_images(recording: rr.RecordingStream) -> None:
    random = np.random.default_rng(0)
    for step in range(2):
        recording.set_time("frame", sequence=step)
        noise = random.integers(0, 256, (1536, 2304, 3), dtype=np.uint8)
        recording.log("/camera", rr.Image(noise))
        recording.log("/mask", rr.SegmentationImage(np.full((512, 512), step, np.uint8)))


def make_empty(recording: rr.RecordingStream) -> None:
    """Nothing at all."""


def make_unsorted(recording: rr.RecordingStream) -> None:
    order = np.random.default_rng(1).permutation(200)
    for place, step in enumerate(order):
        recording.set_time("frame", sequence=int(step) // 2)
        recording.set_time("elapsed", duration=place / 10)
        recording.log("/jumping", rr.Scalars(float(step)))


def make_many_components(recording: rr.RecordingStream) -> None:
    random = np.random.default_rng(2)
    for step in range(5):
        recording.set_time("frame", sequence=step)
        values = {f"value_{n}": random.random(step + 1) for n in range(40)}
        recording.log("/many", rr.AnyValues(**values))
        recording.log(
            "/boxes",
            rr.Boxes3D(
                centers=random.random((step, 3)),
                half_sizes=random.random((step, 3)),
                labels=[f"box {n}" for n in range(step)],
                colors=random.integers(0, 256, (step, 4), dtype=np.uint8),
            ),
            rr.AnyValues(texts=["ä", "日本", ""], flags=[True, False]),
        )
        recording.log("/lines", rr.LineStrips3D([random.random((n + 2, 3)) for n in range(step)]))


def make_weird_names(recording: rr.RecordingStream) -> None:
    recording.set_time("we ird: time/line", sequence=1)
    for name in WEIRD_NAMES:
        recording.log(name, rr.TextLog(name))


def make_clears(recording: rr.RecordingStream) -> None:
    for step in range(12):
        recording.set_time("frame", sequence=step)
        recording.log("/tree/leaf", rr.Scalars(float(step)))
        recording.log("/tree", rr.TextLog(f"step {step}"))
        if step == 4:
            recording.log("/tree", rr.Clear(recursive=False))
        if step == 7:
            recording.log("/tree", rr.Clear(recursive=True))
    recording.log("/gone", rr.Scalars(1.0))
    recording.log("/gone", rr.Clear(recursive=False), static=True)


def make_partial_updates(recording: rr.RecordingStream) -> None:
    for step in range(20):
        recording.set_time("frame", sequence=step)
        if step % 4 == 0:
            recording.log("/cloud", rr.Points3D([[step, 1, 2], [3, 4, 5]], colors=[255, 0, 0]))
        elif step % 4 == 1:
            recording.log("/cloud", rr.Points3D.from_fields(colors=[[0, step, 0]]))
        elif step % 4 == 2:
            recording.log("/cloud", rr.Points3D.from_fields(radii=[], labels=["a", "b"]))
        else:
            recording.log("/cloud", rr.Points3D.from_fields(clear_unset=True, radii=[0.5]))


def make_send_columns(recording: rr.RecordingStream) -> None:
    steps = np.arange(64)
    frames = rr.TimeColumn("frame", sequence=steps)
    elapsed = rr.TimeColumn("elapsed", duration=steps / 10)
    recording.send_columns(
        "/column", [frames, elapsed], rr.Scalars.columns(scalars=np.sin(steps / 10))
    )
    positions = np.arange(64 * 3, dtype=np.float32).reshape(64, 3)
    columns = rr.Points3D.columns(positions=positions).partition([4] * 16)
    recording.send_columns("/points", [rr.TimeColumn("frame", sequence=steps[:16])], columns)
    nested = pa.array([[1, 2], None, []], pa.list_(pa.int32()))
    recording.send_columns(
        "/nulls",
        [rr.TimeColumn("frame", sequence=steps[:3])],
        rr.AnyValues.columns(numbers=nested),
    )


def make_several_stores(target: Path) -> None:
    """One file with two recordings and a blueprint."""
    parts = []
    for number in range(2):
        name = f"several_{number}"
        recording = open_recording(target, name)
        recording.set_time("frame", sequence=number)
        recording.log("/shared", rr.Scalars(float(number)))
        recording.disconnect()
        parts.append(target / f"{name}.rrd")
    make_blueprint(target, "several_blueprint")
    parts.append(target / "several_blueprint.rbl")
    join(parts, target / "several_stores.rrd")


def make_concatenated(target: Path) -> None:
    """Several streams, one behind the other, as `cat` makes them; the first was cut off."""
    whole = (target / "indexes.rrd").read_bytes()
    first = open_recording(target, "first")
    first.set_time("frame", sequence=1)
    first.log("/first", rr.Scalars(1.0))
    first.disconnect()
    data = (target / "first.rrd").read_bytes()
    (target / "first.rrd").unlink()
    footer = int.from_bytes(data[-32:-24], "little")
    without_end = data[: footer - 16]
    (target / "concatenated.rrd").write_bytes(without_end + whole + data)


def make_blueprint(target: Path, name: str = "blueprint") -> None:
    view = rrb.TimeSeriesView(origin="/plot", name="Plot")
    rrb.Blueprint(rrb.Horizontal(view, rrb.Spatial3DView(origin="/world"))).save(
        APPLICATION, target / f"{name}.rbl"
    )


def join(parts: list[Path], whole: Path) -> None:
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    for part in parts:
        part.unlink()


FILES = {
    "blueprint": make_blueprint,
    "concatenated": make_concatenated,
    "several_stores": make_several_stores,
}
STREAMS = {
    "clears": make_clears,
    "empty": make_empty,
    "images": make_images,
    "indexes": make_indexes,
    "many_components": make_many_components,
    "one_row_chunks": make_one_row_chunks,
    "partial_updates": make_partial_updates,
    "send_columns": make_send_columns,
    "static": make_static,
    "unsorted": make_unsorted,
    "weird_names": make_weird_names,
}


def main(target: Path, names: list[str]) -> None:
    warnings.simplefilter("ignore")
    for name in sorted(names, key=lambda name: (name in FILES, name)):
        if name in FILES:
            FILES[name](target)
        else:
            recording = open_recording(target, name)
            STREAMS[name](recording)
            recording.disconnect()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
