"""The recordings that the workloads load, made with the Rerun SDK from fixed seeds and cached.

Thresholds decide how rows are divided into chunks, not the batcher's clock, so that a busy machine
makes the same recordings as an idle one.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forebay.bench.processes import Stopwatch, run
from forebay.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable

SDK_VERSION = "0.41"
APPLICATION_ID = "forebay_bench"
NEVER_S = 86_400.0
ENTITIES = 20
BATCH_ROWS = 740
"""Rows of a chunk in L1: what the default batcher produces on an idle machine."""

IMU_BATCH_ROWS = 660
"""3.3 kHz for the 200 ms of the default batcher."""

POINTS = 1500


def cache_dir() -> Path:
    """Return the cache directory: `FOREBAY_BENCH_DIR`, or a folder in the temporary directory."""
    named = os.environ.get("FOREBAY_BENCH_DIR")
    return Path(named) if named else Path(tempfile.gettempdir()) / "forebay-bench"


def recording(kind: str, rows: int, seed: int = 7, *, fresh: bool = True) -> Path:
    """Return the path of a recording, which is made now unless it is in the cache.

    The cache is shared by all interpreters; a change of the maker's source makes a new recording.

    Args:
        kind: One of `MAKERS`.
        rows: Number of rows (of frames, for the large ones).
        seed: Seed of its random values, and part of its recording id.
        fresh: Make it in a process of its own: the SDK writes the end of a file when it exits.

    Raises:
        MissingExtraError: The SDK is not installed.
    """
    maker = hashlib.sha256(inspect.getsource(MAKERS[kind]).encode()).hexdigest()[:8]
    path = cache_dir() / f"{kind}-{rows}-{seed}-{maker}.rrd"
    if not path.exists():
        import_rerun()
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".part{os.getpid()}")
        run((make, {"kind": kind, "rows": rows, "seed": seed, "path": str(part)}), fresh=fresh)
        part.rename(path)
    return path


def recording_id(kind: str, seed: int = 7) -> str:
    """Return the recording id in such a file."""
    return f"{kind}-{seed}"


def import_rerun() -> Any:
    """Import and return the Rerun SDK.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import rerun  # noqa: PLC0415
    except ImportError as error:
        msg = "the benchmarks need the Rerun SDK: pip install 'forebay[bench]'"
        raise MissingExtraError(msg) from error
    return rerun


def make(kind: str, rows: int, seed: int, path: str) -> dict[str, Any]:
    """Write a recording; a job for a process of its own.

    Args:
        kind: One of `MAKERS`.
        rows: Number of rows.
        seed: Seed of its random values.
        path: The file.
    """
    with Stopwatch() as watch:
        MAKERS[kind](rows, seed, path)
    return watch.times


def open_stream(kind: str, seed: int, path: str | None, **thresholds: Any) -> Any:
    """Return a recording stream whose batcher uses only thresholds, not time."""
    rr = import_rerun()
    config = rr.ChunkBatcherConfig(**{"flush_tick": NEVER_S, **thresholds})
    stream = rr.RecordingStream(
        APPLICATION_ID, recording_id=recording_id(kind, seed), batcher_config=config
    )
    if path is not None:
        stream.save(path)
    return stream


def _close(stream: Any) -> None:
    stream.flush()
    stream.disconnect()


def _scalars(kind: str, rows: int, seed: int, path: str, rows_per_chunk: int) -> None:
    rr = import_rerun()
    values = np.random.default_rng(seed).standard_normal(rows)
    stream = open_stream(kind, seed, path, flush_num_rows=rows_per_chunk)
    for row in range(rows):
        stream.set_time("frame", sequence=row)
        stream.log(f"/plot/s{row % ENTITIES}", rr.Scalars(values[row]))
    _close(stream)


def _batched(rows: int, seed: int, path: str) -> None:
    """L1: scalars in turns over 20 entities, a frame each."""
    _scalars("batched", rows, seed, path, BATCH_ROWS)


def _tiny(rows: int, seed: int, path: str) -> None:
    """L2: the same, a chunk for every row."""
    _scalars("tiny", rows, seed, path, 1)


def _bulky(rows: int, seed: int, path: str) -> None:
    """L3: an image, a point cloud, a transform, a scalar and a log line a frame.

    Half of each image is noise, half a moving ramp; clouds are noise.
    """
    rr = import_rerun()
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:120, 0:160]
    ramp = np.stack([x, y, x + y], -1).astype(np.uint8)
    stream = open_stream("bulky", seed, path)
    for frame in range(rows):
        stream.set_time("frame", sequence=frame)
        image = np.roll(ramp, frame, axis=1)
        image[:60] = rng.integers(0, 256, (60, 160, 3), dtype=np.uint8)
        stream.log("/camera", rr.Image(image))
        cloud = rng.standard_normal((POINTS, 3), dtype=np.float32)
        colors = rng.integers(0, 256, (POINTS, 3), dtype=np.uint8)
        stream.log("/lidar", rr.Points3D(cloud, colors=colors))
        stream.log("/robot", rr.Transform3D(translation=[frame, 0, 0]))
        stream.log("/battery", rr.Scalars(frame / rows))
        stream.log("/log", rr.TextLog(f"frame {frame}"))
    _close(stream)


def _columns(rows: int, seed: int, path: str) -> None:
    """Q3: like L1, with three more components (a moving point) per scalar; sent by columns."""
    rr = import_rerun()
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(rows)
    stream = open_stream("columns", seed, path)
    for first in range(0, rows, BATCH_ROWS * ENTITIES):
        frames = np.arange(first, min(first + BATCH_ROWS * ENTITIES, rows))
        for entity in range(ENTITIES):
            mine = frames[frames % ENTITIES == entity]
            if not len(mine):
                continue
            columns = rr.Scalars.columns(scalars=values[mine])
            if entity == 0:
                places = np.stack([values[mine], mine, mine], -1).astype(np.float32)
                colors = (mine % 2**24 * 256 + 255).astype(np.uint32)
                columns = rr.Points3D.columns(positions=places, colors=colors, radii=values[mine])
            time = rr.TimeColumn("frame", sequence=mine)
            stream.send_columns(f"/plot/s{entity}", indexes=[time], columns=columns)
    _close(stream)


def _imu(rows: int, seed: int, path: str) -> None:
    """S5: acceleration and turn rate at 3.3 kHz, half of the rows each, in chunks of 200 ms."""
    rr = import_rerun()
    rng = np.random.default_rng(seed)
    stream = open_stream("imu", seed, path)
    each = rows // 2
    for first in range(0, each, IMU_BATCH_ROWS):
        samples = np.arange(first, min(first + IMU_BATCH_ROWS, each))
        seconds = samples / 3300
        for entity in ("/imu/accel", "/imu/gyro"):
            axes = rng.standard_normal(len(samples) * 3)
            columns = rr.Scalars.columns(scalars=axes).partition([3] * len(samples))
            times = [rr.TimeColumn("t", duration=seconds), rr.TimeColumn("n", sequence=samples)]
            stream.send_columns(entity, indexes=times, columns=columns)
    _close(stream)


MAKERS: dict[str, Callable[[int, int, str], None]] = {
    "batched": _batched,
    "tiny": _tiny,
    "bulky": _bulky,
    "columns": _columns,
    "imu": _imu,
}
