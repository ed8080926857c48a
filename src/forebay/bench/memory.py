"""S5: memory for many rows. INSERT: time per insertion as a store grows."""

from __future__ import annotations

import gc
from statistics import median
from typing import TYPE_CHECKING, Any

from forebay.bench.figures import Figure, at_most
from forebay.bench.messages import scalar_chunks
from forebay.bench.processes import cpu_s, memory_bytes
from forebay.codec import ChunkDecoder
from forebay.hub import load, read_messages
from forebay.model import ArrowMsg, StoreId
from forebay.store import ChunkStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forebay.bench.suite import Bench

STEP = 10_000
"""Insertions a point of the plot."""


def imu_ours(path: str) -> dict[str, Any]:
    """Load a recording and compare its memory with the raw size of its columns in Arrow."""
    raw = _raw_bytes(path)
    gc.collect()
    before = memory_bytes()
    hub = load(path)
    gc.collect()
    grown = memory_bytes() - before
    db = hub.recordings()[0]
    return {"raw": raw, "grown": grown, "byte_size": db.byte_size, "rows": db.num_rows}


def _raw_bytes(path: str) -> int:
    """Return the bytes of all columns in the file's record batches."""
    decode = ChunkDecoder().decode
    return sum(decode(msg).batch.nbytes for msg in read_messages(path) if isinstance(msg, ArrowMsg))


def one_row_chunks(rows: int) -> dict[str, Any]:
    """Insert chunks of one row; returns CPU seconds of every 10,000, and memory at the end."""
    store = ChunkStore(StoreId.recording("forebay_bench", "insert"))
    step = min(STEP, rows)
    seconds: list[float] = []
    before = 0
    for first in range(0, rows, step):
        chunks = scalar_chunks(step, 1, "/plot", first)
        if len(seconds) == 1:
            # The allocator keeps what making the first chunks took; it does not belong to the
            # store.
            before = memory_bytes()
        started_s = cpu_s()
        for chunk in chunks:
            store.insert(chunk)
        seconds.append(cpu_s() - started_s)
        del chunks
    gc.collect()
    raw = (rows - step) * (16 + 8 + 8 + 4)
    return {
        "seconds": seconds,
        "step": step,
        "rows": store.num_rows,
        "chunks": store.num_chunks,
        "grown": memory_bytes() - before,
        "byte_size": store.byte_size,
        "raw": raw,
    }


def imu(bench: Bench) -> Iterator[Figure]:
    """S5: memory of a recording of an IMU, over its raw size."""
    path = bench.recording("imu", bench.pick(quick=6600, short=5_000_000, full=5_000_000))
    run = bench.run(imu_ours, path=path)
    values = {**run, "raw_mb": run["raw"] / 1e6, "grown_mb": run["grown"] / 1e6}
    yield Figure(
        "S5",
        f"resident memory grown by {run['rows']:,} rows, over raw Arrow bytes",
        run["grown"] / run["raw"],
        target=at_most(2),
        values=values,
    )
    yield Figure(
        "S5", "byte_size over raw Arrow bytes", run["byte_size"] / run["raw"], target=at_most(2)
    )


def insertion(bench: Bench) -> Iterator[Figure]:
    """INSERT: time of the last quarter of the insertions, over that of the first."""
    rows = bench.pick(quick=2000, short=200_000, full=1_000_000)
    run = bench.run(one_row_chunks, rows=rows)
    laps = run["seconds"]
    quarter = max(len(laps) // 4, 1)
    early, late = median(laps[:quarter]), median(laps[-quarter:])
    yield Figure(
        "INSERT",
        f"last quarter of {rows:,} one-row insertions over the first",
        late / early,
        target=at_most(1.5),
        values={
            "step": run["step"],
            "us_each": [lap / run["step"] * 1e6 for lap in laps],
            "chunks": run["chunks"],
            "us_first_quarter": early / run["step"] * 1e6,
            "us_last_quarter": late / run["step"] * 1e6,
        },
        note="CPU seconds",
    )
    yield Figure(
        "INSERT",
        "resident memory grown by each one-row chunk",
        run["grown"] / max(rows - run["step"], 1),
        unit=" B",
        values={"raw_bytes_each": 36, "byte_size": run["byte_size"], "grown": run["grown"]},
    )
