"""L1 to L4: load recordings until they can be queried."""

from __future__ import annotations

import mmap
from statistics import median
from typing import TYPE_CHECKING, Any

from forebay.bench.answers import digest_rerun, digest_snapshot
from forebay.bench.figures import Cost, Figure, Target, at_least, at_most
from forebay.bench.processes import Stopwatch
from forebay.codec import StreamDecoder
from forebay.hub import StoreHub, load
from forebay.model import ArrowMsg, Compression

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from forebay.bench.processes import Job
    from forebay.bench.suite import Bench

RERUN = "Rerun 0.41"


# ---- jobs: each is measured in a process of its own ------------------------------------


def load_ours(paths: list[str], answer: bool = False, at_once: bool = True) -> dict[str, Any]:
    """Load files with Forebay, in parallel or one after another.

    Args:
        paths: The files.
        answer: Also return digests of the stores.
        at_once: Load them in parallel.
    """
    hub = StoreHub()
    with Stopwatch() as watch:
        for group in [paths] if at_once else [[path] for path in paths]:
            load(*group, hub=hub)
    found: dict[str, Any] = {**watch.times, "rows": sum(db.num_rows for db in hub.recordings())}
    if answer:
        found["answer"] = [digest_snapshot(db.snapshot()) for db in _by_id(hub)]
    return found


def _by_id(hub: StoreHub) -> list[Any]:
    return sorted(hub.recordings(), key=lambda db: db.store_id.recording_id)


def load_rerun(paths: list[str], answer: bool = False) -> dict[str, Any]:
    """Load files with Rerun, one after another, and keep all of them."""
    from rerun.chunk import RrdReader  # noqa: PLC0415

    with Stopwatch() as watch:
        stores = [RrdReader(path).stream().collect() for path in paths]
    found: dict[str, Any] = watch.times
    if answer:
        order = sorted(range(len(paths)), key=lambda i: _recording_id(paths[i]))
        found["answer"] = [digest_rerun(stores[i]) for i in order]
    return found


def _recording_id(path: str) -> str:
    from rerun.chunk import RrdReader  # noqa: PLC0415

    found: str = RrdReader(path).recordings()[0].recording_id
    return found


def decompress_only(path: str, how: str) -> dict[str, Any]:
    """Read a file and decompress its payloads into fresh memory, and nothing else.

    The positions of the payloads are determined before the clock starts, which also warms up the
    file cache.

    Args:
        path: The recording.
        how: `cramjam` or `pyarrow` decompress into a mapping of large pages; `pool` decompresses
            into pyarrow's memory pool.
    """
    import pyarrow as pa  # noqa: PLC0415

    payloads = _payloads(path)
    size = sum(length for _, length, _ in payloads)
    with Stopwatch() as watch, open(path, "rb", buffering=0) as file:  # noqa: PTH123 - unbuffered
        total = file.seek(0, 2)
        file.seek(0)
        source = memoryview(_huge(total))
        done = 0
        while count := file.readinto(source[done:]):
            done += count
        if how == "pool":
            codec = pa.Codec("lz4_raw")
            kept = [
                codec.decompress(source[at : at + length], size) for at, length, size in payloads
            ]
        else:
            kept = _into_slab(source, payloads, how)
    return {**watch.times, "bytes": size, "kept": len(kept)}


def _into_slab(
    source: memoryview, payloads: Sequence[tuple[int, int, int]], how: str
) -> list[memoryview]:
    slab = memoryview(_huge(sum(size + 64 for _, _, size in payloads)))
    kept = []
    at_out = 0
    if how == "cramjam":
        from cramjam import lz4  # noqa: PLC0415

        decompress = lz4.decompress_block_into
    for at, length, size in payloads:
        out = slab[at_out : at_out + size]
        decompress(source[at : at + length], out, output_len=size)
        kept.append(out)
        at_out += (size + 63) & ~63
    return kept


def _huge(size: int) -> mmap.mmap:
    # Private: shared anonymous memory, which is Python's default, gets no huge pages.
    mapping = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        mapping.madvise(mmap.MADV_HUGEPAGE)
    return mapping


def _payloads(path: str) -> list[tuple[int, int, int]]:
    """Return offset, length and decompressed size of every compressed payload in a file."""
    with open(path, "rb") as file:  # noqa: PTH123
        data = file.read()
    found = []
    start = 0
    for msg in StreamDecoder().feed(data):
        if isinstance(msg, ArrowMsg) and msg.compression is Compression.LZ4:
            payload = bytes(msg.payload)
            at = data.index(payload, start)
            found.append((at, len(payload), msg.uncompressed_size))
            start = at + len(payload)
    return found


# ---- workloads -------------------------------------------------------------------------------


def batched(bench: Bench) -> Iterator[Figure]:
    """L1: load a recording in chunks of many rows. Yields how many times faster than Rerun."""
    rows = bench.pick(quick=4000, short=200_000, full=200_000)
    path = bench.recording("batched", rows)
    yield _compared_with_rerun(bench, "L1", f"{rows:,} rows, batched", path, at_least(2))


def tiny(bench: Bench) -> Iterator[Figure]:
    """L2: load a recording of one-row chunks. Yields how many times faster than Rerun."""
    rows = bench.pick(quick=300, short=20_000, full=20_000)
    path = bench.recording("tiny", rows)
    yield _compared_with_rerun(bench, "L2", f"{rows:,} one-row chunks", path, at_least(2))


def bulky(bench: Bench) -> Iterator[Figure]:
    """L3: load a recording of images and point clouds.

    Yields how many times faster than Rerun, and the time over that of only reading and
    decompressing.
    """
    rows = bench.pick(quick=20, short=2000, full=2000)
    path = bench.recording("bulky", rows)
    figure = _compared_with_rerun(bench, "L3", f"{rows:,} frames, bulky", path, at_least(4))
    yield figure
    hows = ["pool", *(["cramjam"] if _has_cramjam() else [])]
    jobs: dict[str, Job] = {how: (decompress_only, {"path": path, "how": how}) for how in hows}
    jobs["ours"] = (load_ours, {"paths": [path]})
    runs = bench.alternate(jobs)
    costs = {name: Cost.of(found) for name, found in runs.items()}
    best = min(hows, key=lambda how: costs[how].wall_s)
    yield Figure(
        "L3",
        "time over reading and decompressing alone",
        costs["ours"].wall_s / costs[best].wall_s,
        target=at_most(1.5),
        ours=costs["ours"],
        peer=costs[best],
        peer_name=f"read + LZ4 ({best})",
        values={f"{how}_wall_s": costs[how].wall_s for how in hows},
    )


def _has_cramjam() -> bool:
    from importlib.util import find_spec  # noqa: PLC0415

    return find_spec("cramjam") is not None


def _compared_with_rerun(
    bench: Bench, workload: str, what: str, path: str, target: Target
) -> Figure:
    same = check(bench, [path])
    runs = bench.alternate(
        {"ours": (load_ours, {"paths": [path]}), "rerun": (load_rerun, {"paths": [path]})}
    )
    ours, peer = Cost.of(runs["ours"]), Cost.of(runs["rerun"])
    return Figure(
        workload,
        what,
        median(
            theirs["wall_s"] / mine["wall_s"]
            for mine, theirs in zip(runs["ours"], runs["rerun"], strict=True)
        ),
        target=target,
        ours=ours,
        peer=peer,
        peer_name=RERUN,
        same_answer=same,
    )


def check(bench: Bench, paths: list[str]) -> bool:
    """Compare what both sides have loaded.

    Args:
        bench: Runs the two processes.
        paths: The recordings.

    Returns:
        Whether the digests of all rows are equal.
    """
    bench.say("comparing the answers")
    ours = bench.run(load_ours, paths=paths, answer=True)
    theirs = bench.run(load_rerun, paths=paths, answer=True)
    return bool(ours["answer"] == theirs["answer"])


def many(bench: Bench) -> Iterator[Figure]:
    """L4: load 16 recordings at once.

    Yields the speed compared with Rerun (which loads one by one), with two processes, and the CPU
    time over loading one by one.
    """
    batched_rows, tiny_rows, frames = bench.pick(
        quick=(1000, 50, 4), short=(50_000, 5000, 250), full=(200_000, 20_000, 2000)
    )
    paths = [bench.recording("batched", batched_rows, seed) for seed in range(6)]
    paths += [bench.recording("tiny", tiny_rows, seed) for seed in range(5)]
    paths += [bench.recording("bulky", frames, seed) for seed in range(5)]
    same = check(bench, paths)
    halves = [paths[0::2], paths[1::2]]
    pairs = bench.pick(quick=1, short=2, full=5)
    found: dict[str, list[dict[str, Any]]] = {}
    for _ in range(pairs):
        turns = bench.alternate(
            {
                "ours": (load_ours, {"paths": paths}),
                "rerun": (load_rerun, {"paths": paths}),
                "alone": (load_ours, {"paths": paths, "at_once": False}),
            },
            short=1,
            full=1,
        )
        turns["two"] = [
            together(
                bench.run_together(
                    [(load_ours, {"paths": half, "at_once": False}) for half in halves]
                )
            )
        ]
        for name, runs in turns.items():
            found.setdefault(name, []).extend(runs)
    costs = {name: Cost.of(runs) for name, runs in found.items()}
    yield Figure(
        "L4",
        "16 recordings at once",
        costs["rerun"].wall_s / costs["ours"].wall_s,
        target=at_least(2),
        ours=costs["ours"],
        peer=costs["rerun"],
        peer_name=f"{RERUN}, one by one",
        same_answer=same,
    )
    yield Figure(
        "L4",
        "speed-up over that of two processes",
        costs["two"].wall_s / costs["ours"].wall_s,
        target=at_least(0.85),
        ours=costs["ours"],
        peer=costs["two"],
        peer_name="two processes of ours",
        values={
            "speed_up": costs["alone"].wall_s / costs["ours"].wall_s,
            "speed_up_of_two_processes": costs["alone"].wall_s / costs["two"].wall_s,
        },
    )
    yield Figure(
        "L4",
        "CPU seconds over those of one by one",
        costs["ours"].cpu_s / costs["alone"].cpu_s,
        target=at_most(1.2),
        ours=costs["ours"],
        peer=costs["alone"],
        peer_name="ours, one by one",
    )


def together(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the cost of processes that ran in parallel.

    It consists of the longest wall time and the sum of the CPU seconds.
    """
    return {
        "wall_s": max(run["wall_s"] for run in runs),
        "cpu_s": sum(run["cpu_s"] for run in runs),
        "rss_peak_bytes": sum(run["rss_peak_bytes"] for run in runs),
    }
