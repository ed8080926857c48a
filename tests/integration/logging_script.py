"""Logs one kind of data with the real SDK: `python logging_script.py KIND TARGET [SIGNAL]`.

TARGET is a server's URL, or a file. The same KIND logs the same values wherever they go. With
SIGNAL (any word) it flushes, says so on standard output, and then waits to be killed.
"""

from __future__ import annotations

import sys

import numpy as np
import rerun as rr

SCALAR_ROWS, IMAGE_ROWS, CLOUD_ROWS = 1000, 40, 60


def scalars(rec: rr.RecordingStream) -> None:
    rec.log("about", rr.TextDocument("scalars"), static=True)
    for i in range(SCALAR_ROWS):
        rec.set_time("frame", sequence=i)
        rec.set_time("elapsed", duration=i * 0.005)
        rec.log("plot/sin", rr.Scalars(np.sin(i / 50)))
        rec.log("plot/many", rr.Scalars([i, i + 1, i + 2]))
        if i % 10 == 0:
            rec.log("log", rr.TextLog(f"line {i}"))


def images(rec: rr.RecordingStream) -> None:
    random = np.random.default_rng(1)
    rec.log("camera", rr.Pinhole(focal_length=100, width=160, height=120), static=True)
    for i in range(IMAGE_ROWS):
        rec.set_time("frame", sequence=i)
        rec.log("camera/rgb", rr.Image(random.integers(0, 255, (120, 160, 3), np.uint8)))
        rec.log("camera/depth", rr.DepthImage(np.full((120, 160), i, np.float32)))


def clouds(rec: rr.RecordingStream) -> None:
    random = np.random.default_rng(2)
    for i in range(CLOUD_ROWS):
        rec.set_time("frame", sequence=i)
        points = random.normal(size=(2000 + i, 3)).astype(np.float32)
        rec.log("lidar", rr.Points3D(points, colors=np.full((2000 + i, 3), i, np.uint8)))
        rec.log("lidar/pose", rr.Transform3D(translation=[i, 0, 0]))


KINDS = {"scalars": scalars, "images": images, "clouds": clouds}

if __name__ == "__main__":
    kind, target, *signal = sys.argv[1:]
    with rr.RecordingStream("integration", recording_id=kind) as recording:
        if target.startswith("rerun+http"):
            recording.connect_grpc(target)
        else:
            recording.save(target)
        KINDS[kind](recording)
        recording.flush()
        if signal:
            print("flushed", flush=True)  # noqa: T201
            sys.stdin.read()
