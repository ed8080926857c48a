"""A lidar: 20,000 coloured points at 10 Hz."""

from __future__ import annotations

import sys

import numpy as np
import rerun as rr

from forebay.cli.demo_scripts import paced

HZ = 10
NUM_POINTS = 20_000


def main(url: str) -> None:
    """Log to the server at `url` until standard input ends."""
    random = np.random.default_rng(7)
    angles = random.uniform(0.0, 2.0 * np.pi, NUM_POINTS)
    heights = random.uniform(-1.0, 2.0, NUM_POINTS)
    with rr.RecordingStream("forebay_demo", recording_id="lidar") as recording:
        recording.connect_grpc(url)
        for sweep in paced(HZ):
            recording.set_time("sweep", sequence=sweep)
            recording.set_time("time", duration=sweep / HZ)
            distances = 10.0 + np.sin(5.0 * angles + sweep * 0.1)
            points = np.stack(
                [distances * np.cos(angles), distances * np.sin(angles), heights], axis=-1
            ).astype(np.float32)
            shade = ((heights + 1.0) * 85).astype(np.uint8)
            colors = np.stack([shade, 255 - shade, np.full_like(shade, 128)], axis=-1)
            recording.log("lidar/points", rr.Points3D(points, colors=colors))


if __name__ == "__main__":
    main(sys.argv[1])
