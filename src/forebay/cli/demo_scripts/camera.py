"""A camera: images of 640 x 480 RGB and their brightness, at 20 Hz."""

from __future__ import annotations

import sys

import numpy as np
import rerun as rr

from forebay.cli.demo_scripts import paced

HZ = 20
HEIGHT, WIDTH = 480, 640


def main(url: str) -> None:
    """Log to the server at `url` until standard input ends."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    with rr.RecordingStream("forebay_demo", recording_id="camera") as recording:
        recording.connect_grpc(url)
        pinhole = rr.Pinhole(focal_length=500.0, width=WIDTH, height=HEIGHT)
        recording.log("camera", pinhole, static=True)
        for frame in paced(HZ):
            recording.set_time("frame", sequence=frame)
            moving = [rows + 3 * frame, columns - 2 * frame, rows + columns + frame]
            image = np.stack(moving, axis=-1).astype(np.uint8)
            recording.log("camera/image", rr.Image(image))
            recording.log("camera/brightness", rr.Scalars(float(image.mean())))


if __name__ == "__main__":
    main(sys.argv[1])
