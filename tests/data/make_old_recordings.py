"""Makes `old-VERSION.rrd` with the Rerun SDK that is installed: small recordings of older SDKs.

They hold what later versions of the schema renamed, moved or left out. For each version, in an
environment of its own:

    python -m venv /tmp/old && /tmp/old/bin/pip install rerun-sdk==0.24.1
    /tmp/old/bin/python tests/data/make_old_recordings.py tests/data
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import rerun as rr

_HEADER = struct.Struct("<QQ")
_STREAM_HEADER_BYTES = 12
_END = 0


def log_all() -> None:
    """Log one entity for each thing that changed since."""
    scalars = getattr(rr, "Scalars", None) or rr.Scalar
    axes = {"axis_length": 2.0} if rr.__version__ < "0.28" else {}
    for frame in range(2):
        rr.set_time("frame", sequence=frame)
        rr.log("points", rr.Points3D([[frame, 1, 2], [3, 4, 5]], colors=[[255, 0, 0]]))
        rr.log("plot", scalars(float(frame)))
        rr.log("axes", rr.Transform3D(translation=[1, 2, frame], **axes))
        rr.log("any", rr.AnyValues(number=frame, text="text"))
        rr.log("poses", rr.InstancePoses3D(translations=[[1, 2, 3]], scales=[[1, 1, 1]]))
    if hasattr(rr, "SeriesLines"):
        rr.log("plot", rr.SeriesLines(colors=[255, 0, 0], names="red"), static=True)
    else:
        rr.log("plot", rr.SeriesLine(color=[255, 0, 0], name="red"), static=True)
    if hasattr(rr, "CoordinateFrame"):
        rr.log("frame", rr.CoordinateFrame("camera"), static=True)
    rr.log("points", rr.Clear(recursive=True))
    rr.send_recording_name("a name")


def without_end(data: bytes) -> bytes:
    """A recording without its end, where some versions have an index that is larger than it."""
    at = _STREAM_HEADER_BYTES
    while at < len(data):
        kind, size = _HEADER.unpack_from(data, at)
        if kind == _END:
            break
        at += _HEADER.size + size
    return data[:at]


def main() -> None:
    """Write the recording into the directory that is given."""
    path = Path(sys.argv[1]) / f"old-{rr.__version__}.rrd"
    rr.init("old_app", recording_id=f"old-{rr.__version__}", send_properties=True)
    rr.save(path)
    log_all()
    rr.disconnect()
    path.write_bytes(without_end(path.read_bytes()))


if __name__ == "__main__":
    main()
