"""S1 to S6: live streams from the Rerun SDK over gRPC; latency from log call to queryable."""

from __future__ import annotations

import inspect
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from forebay.bench.figures import Figure, at_least, at_most
from forebay.bench.processes import Child, Stopwatch, memory_bytes
from forebay.bench.recordings import APPLICATION_ID, import_rerun
from forebay.hub import StoreHub
from forebay.model import ChunkAddition
from forebay.runtime import Event, monotonic_s, wall_clock_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forebay.bench.suite import Bench
    from forebay.chunk import Chunk
    from forebay.model import ChunkStoreEvent

WINDOWS = 5
"""Number of parts of a stream. The last part is compared with the second; the first is warm-up. At
full length a part is a minute."""


def stream(kind: str, url: str, seconds: float) -> dict[str, Any]:
    """Log with the Rerun SDK at the workload's rate; the result says how far it fell behind.

    Args:
        kind: Name of the stream.
        url: URL of the server.
        seconds: Duration.
    """
    rr = import_rerun()
    rec = rr.RecordingStream(APPLICATION_ID, recording_id=f"live-{kind}")
    rec.connect_grpc(url)
    hertz, log = _KINDS[kind](rr, rec)
    tick = Event()
    started_s = monotonic_s()
    late_s = 0.0
    count = int(seconds * hertz)
    done = 0
    with Stopwatch() as watch:
        for number in range(count):
            due_s = started_s + number / hertz
            ahead_s = due_s - monotonic_s()
            if ahead_s > 0.0005:
                tick.wait(ahead_s)
            late_s = max(late_s, -ahead_s)
            if -ahead_s > seconds:
                break  # this machine cannot produce the load; what was sent so far is measured
            log(number)
            done += 1
        rec.flush()
    rec.disconnect()
    return {**watch.times, "late_s": late_s, "hertz": hertz, "made_hertz": done / watch.wall_s}


def _scalars_150(rr: Any, rec: Any) -> tuple[float, Callable[[int], None]]:
    def log(number: int) -> None:
        rec.set_time("frame", sequence=number)
        for entity in range(150):
            rec.log(f"/scalar/{entity}", rr.Scalars(number / 7))

    return 30.0, log


def _poses(rr: Any, rec: Any) -> tuple[float, Callable[[int], None]]:
    def log(number: int) -> None:
        rec.set_time("frame", sequence=number)
        rec.log("/force", rr.Scalars(number / 7))
        rec.log("/pose", rr.Transform3D(translation=[number, 0, 0]))

    return 2000.0, log


def _two_cameras(rr: Any, rec: Any) -> tuple[float, Callable[[int], None]]:
    image = np.random.default_rng(7).integers(0, 256, (480, 640, 3), dtype=np.uint8)

    def log(_: int) -> None:
        for camera in ("/left", "/right"):
            rec.log(camera, rr.Image(image), static=True)

    return 180.0, log


def _large_camera(rr: Any, rec: Any) -> tuple[float, Callable[[int], None]]:
    image = np.random.default_rng(7).integers(0, 256, (800, 1280, 3), dtype=np.uint8)

    def log(number: int) -> None:
        rec.set_time("frame", sequence=number)
        rec.log("/camera", rr.Image(image))

    return 30.0, log


def _fifty_series(rr: Any, rec: Any) -> tuple[float, Callable[[int], None]]:
    def log(number: int) -> None:
        rec.set_time("frame", sequence=number)
        for entity in range(50):
            rec.log(f"/series/{entity}", rr.Scalars(number / 7))

    return 1000.0, log


_KINDS: dict[str, Callable[[Any, Any], tuple[float, Callable[[int], None]]]] = {
    "S1": _scalars_150,
    "S2": _poses,
    "S3": _two_cameras,
    "S4": _large_camera,
    "S6": _fifty_series,
}


def served(kind: str, seconds: float, memory_limit: int = 0) -> dict[str, Any]:
    """Receive such a stream in a server, and record when each row became queryable.

    Args:
        kind: Name of the stream.
        seconds: Duration.
        memory_limit: Memory limit of the hub, in bytes. 0 for none.
    """
    from forebay.server import serve  # noqa: PLC0415 - an extra

    samples: list[tuple[float, float, int]] = []
    memory: list[tuple[float, int]] = []

    def note(event: ChunkStoreEvent[Chunk]) -> None:
        if not isinstance(event.diff, ChunkAddition):
            return
        chunk = event.diff.chunk
        now_ns = wall_clock_ns()
        for row in {0, chunk.num_rows - 1}:
            logged_ns = int.from_bytes(chunk.row_id_at(row)[:8], "big")
            samples.append((monotonic_s(), (now_ns - logged_ns) / 1e6, chunk.num_rows))

    options: dict[str, Any] = {"memory_limit": memory_limit} if memory_limit else {}
    with serve("127.0.0.1:0", hub=StoreHub(**options)) as server:
        server.hub.subscribe(note)
        sender = Child((stream, {"kind": kind, "url": server.url, "seconds": seconds}))
        sender.wait_until_ready()
        started_s = monotonic_s()
        sender.go()
        tick = Event()
        with Stopwatch() as watch:
            while sender.is_running and monotonic_s() < started_s + 3 * seconds + 30:
                tick.wait(0.1)
                memory.append((monotonic_s(), memory_bytes()))
            sent = sender.result()
        server.hub.flush(60.0)
        stats = [db.ingestion_stats() for db in server.hub.recordings()]
        rows = sum(db.num_rows for db in server.hub.recordings())
    return {
        **watch.times,
        **_windows(samples, memory),
        "rows": rows,
        "sender_late_s": sent["late_s"],
        "hertz": sent["hertz"],
        "made_hertz": sent["made_hertz"],
        "lost": sum(one.rejected + one.dropped + one.in_flight for one in stats),
    }


def _windows(
    samples: list[tuple[float, float, int]], memory: list[tuple[float, int]]
) -> dict[str, Any]:
    if not samples:
        return {"p99_ms": [], "memory_mb": [], "samples": 0}
    first, last = samples[0][0], samples[-1][0]
    length = max((last - first) / WINDOWS, 1e-6)
    p99, resident = [], []
    for window in range(WINDOWS):
        since, until = first + window * length, first + (window + 1) * length
        found = sorted(ms for at, ms, _ in samples if since <= at <= until)
        p99.append(found[len(found) * 99 // 100] if found else float("nan"))
        held = [size for at, size in memory if since <= at <= until]
        resident.append(median(held) / 1e6 if held else float("nan"))
    return {"p99_ms": p99, "memory_mb": resident, "samples": len(samples)}


def _live(bench: Bench, kind: str, memory_limit: int = 0) -> tuple[Figure, dict[str, Any]]:
    seconds = bench.pick(quick=0.5, short=6.0, full=300.0)
    run = bench.run(served, kind=kind, seconds=seconds, memory_limit=memory_limit)
    p99 = run["p99_ms"]
    behind = run["made_hertz"] < 0.95 * run["hertz"]
    note = (
        f"the sender made {run['made_hertz']:.0f} of {run['hertz']:.0f} Hz here" if behind else ""
    )
    return (
        Figure(
            kind,
            f"p99 from log to queryable: last part over second, of {seconds:g} s",
            p99[-1] / p99[1] if p99 else float("nan"),
            target=at_most(1.2),
            values=run,
            note=note,
        ),
        run,
    )


def scalars(bench: Bench) -> Iterator[Figure]:
    """S1: 150 scalar entities in a loop."""
    yield _live(bench, "S1")[0]


def poses(bench: Bench) -> Iterator[Figure]:
    """S2: scalars and poses at 2 kHz."""
    yield _live(bench, "S2")[0]


def cameras(bench: Bench) -> Iterator[Figure]:
    """S3: two cameras log static images, which replace each other, so memory must not grow."""
    figure, run = _live(bench, "S3")
    yield figure
    yield _memory("S3", run)


def limited(bench: Bench) -> Iterator[Figure]:
    """S4: a large camera under a memory limit: 1 GiB, or less for a stream too short to fill it."""
    limit = bench.pick(quick=64 << 20, short=256 << 20, full=1 << 30)
    knows = "memory_limit" in inspect.signature(StoreHub.__init__).parameters
    figure, run = _live(bench, "S4", limit if knows else 0)
    yield figure
    yield _memory("S4", run, "" if knows else "there is no memory limit yet: it grows")


def _memory(kind: str, run: dict[str, Any], note: str = "") -> Figure:
    held = run["memory_mb"] or [float("nan")] * WINDOWS
    return Figure(
        kind,
        "resident memory: last part over middle",
        held[-1] / held[WINDOWS // 2],
        target=at_most(1.2),
        values={"memory_mb": held},
        note=note,
    )


def series(bench: Bench) -> Iterator[Figure]:
    """S6: 50 series at 1 kHz; no row may be lost."""
    figure, run = _live(bench, "S6")
    yield figure
    expected = run["rows"] + run["lost"]
    yield Figure("S6", "rows kept", run["rows"] / max(expected, 1), target=at_least(1), values={})
