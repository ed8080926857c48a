"""A robot arm: six joint angles, the pose of its hand and an occasional log line, at 200 Hz."""

from __future__ import annotations

import math
import sys

import rerun as rr

from forebay.cli.demo_scripts import paced

HZ = 200


def main(url: str) -> None:
    """Log to the server at `url` until standard input ends."""
    with rr.RecordingStream("forebay_demo", recording_id="arm") as recording:
        recording.connect_grpc(url)
        recording.log("arm", rr.TextDocument("A robot arm with six joints."), static=True)
        for tick in paced(HZ):
            seconds = tick / HZ
            recording.set_time("tick", sequence=tick)
            recording.set_time("time", duration=seconds)
            angles = [math.sin(seconds * (joint + 1) * 0.7) for joint in range(6)]
            for joint, angle in enumerate(angles):
                recording.log(f"arm/joint{joint}", rr.Scalars(angle))
            hand = [math.cos(angles[0]), math.sin(angles[0]), angles[1]]
            recording.log("arm/hand", rr.Transform3D(translation=hand))
            if tick % HZ == 0:
                recording.log("arm/log", rr.TextLog(f"{seconds:.0f} s without a collision"))


if __name__ == "__main__":
    main(sys.argv[1])
