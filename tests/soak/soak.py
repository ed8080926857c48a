"""A soak: 64 stores at mixed rates under a memory limit, for as long as one likes.

    make soak MINUTES=30        # or: python -m tests.soak.soak --minutes 30

What must hold all the time: memory is flat, every message is accounted for, no thread is left.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import psutil
import pyarrow as pa

from forebay.chunk import Chunk
from forebay.codec import ChunkDecoder, encode_chunk
from forebay.hub import StoreHub
from forebay.ingest import AdaptiveBudget, Policy, policy_from
from forebay.model import ArrowMsg, ChunkId, StoreId
from forebay.runtime import NativeRuntime
from tests.chunks import make_chunk

MIB = 1 << 20
STORES = 64
MEMORY_LIMIT_BYTES = 32 * MIB
STORE_BUDGET = AdaptiveBudget(MIB, 16 * MIB)
HUB_BUDGET_BYTES = 64 * MIB
POLICIES = ("block", "block", "deadline(5)", "drop_newest", "drop_oldest", "latest_wins", "spill")
SAMPLE_S = 0.25
LINE_EVERY_S = 60.0
SLOW_FROM_BYTES = 20_000
SLOW_S = 0.03
GROWTH_MIB_MAX = 8.0
"""Between the first and the last third after warming up; thirty minutes made one MiB."""
SHORT_S = 120.0
GROWTH_SHORT_MIB_MAX = 24.0
"""The same for shorter runs: caches and heaps are still filling, the longer the busier it is."""
WARM_UP_SHARE = 0.4
"""Of the samples: caches fill, the allocator finds its level, data reaches the memory limit."""


@dataclass
class Report:
    """What a soak found."""

    seconds: float = 0.0
    submitted: int = 0
    committed: int = 0
    rejected: int = 0
    dropped: int = 0
    spilled: int = 0
    threads_left: int = 0
    rss_mib: list[float] = field(default_factory=list)
    held_mib: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def growth_mib(self) -> float:
        """How far memory rose from the first to the last third after warming up.

        Beyond what the stores hold: on a slow machine they fill up to their limit for a while.
        """
        rest = np.subtract(self.rss_mib, self.held_mib)
        steady = rest[int(len(rest) * WARM_UP_SHARE) :]
        third = max(1, len(steady) // 3)
        return float(np.median(steady[-third:]) - np.median(steady[:third]))

    def __str__(self) -> str:
        slope = self.growth_mib / max(self.seconds, 1e-9) * 60
        return (
            f"{self.seconds:.0f} s: {self.submitted} submitted, {self.committed} committed, "
            f"{self.rejected} rejected, {self.dropped} dropped, {self.spilled} spilled; "
            f"RSS {self.rss_mib[-1]:.0f} MiB, at most {max(self.rss_mib):.0f}, growth "
            f"{self.growth_mib:+.1f} MiB ({slope:+.1f} a minute); "
            f"{self.threads_left} threads left; "
            f"{'; '.join(self.faults) or 'nothing wrong'}"
        )


class Source:
    """Messages of one store: small or bulky, sometimes static, sometimes broken."""

    def __init__(self, number: int) -> None:
        self.chance = random.Random(number)
        self.store_id = StoreId.recording("soak", f"s{number}")
        self.rate = (2, 20, 100, 0)[number % 4]  # 0: as fast as it goes
        self.rows = (1, 10, 100, 1)[number % 4]
        self.policy: Policy = policy_from(POLICIES[number % len(POLICIES)])
        self.sent = 0
        self.pixels = np.random.default_rng(number).integers(0, 255, 50_000, dtype=np.uint8)

    def message(self) -> ArrowMsg:
        number, self.sent = self.sent, self.sent + 1
        entity = f"/e{number % 5}"
        if not number % 200:
            return encode_chunk(self.store_id, make_chunk(entity, {}, {"S:s": [[float(number)]]}))
        if not self.rate:
            self.pixels[number % len(self.pixels)] += 1
            pixels = pa.ListArray.from_arrays([0, len(self.pixels)], self.pixels.copy())
            return encode_chunk(
                self.store_id, make_chunk(entity, {"frame": [number]}, {"Image:buffer": pixels})
            )
        frames = list(range(number, number + self.rows))
        values = [[float(frame)] for frame in frames]
        msg = encode_chunk(self.store_id, make_chunk(entity, {"frame": frames}, {"S:s": values}))
        if not number % 97:
            return ArrowMsg(self.store_id, b"broken", chunk_id=ChunkId.from_parts(number, 1))
        return msg


def slow_decoder() -> Callable[[ArrowMsg], Chunk]:
    """Bulky messages take their time, so that some stores are always behind."""
    decode, never = ChunkDecoder().decode, threading.Event()

    def slow(msg: ArrowMsg) -> Chunk:
        if len(msg.payload) > SLOW_FROM_BYTES:
            never.wait(SLOW_S)
        return decode(msg)

    return slow


def soak(seconds: float, stores: int = STORES) -> Report:
    """Run for so long, then look at everything once more."""
    began, report = time.monotonic(), Report()
    runtime = NativeRuntime(threads_max=8)
    hub = StoreHub(
        capacity=8,
        store_budget=STORE_BUDGET,
        hub_budget=HUB_BUDGET_BYTES,
        memory_limit=MEMORY_LIMIT_BYTES,
        runtime=runtime,
        decoder_factory=slow_decoder,
    )
    sources = [Source(number) for number in range(stores)]
    for source in sources:
        hub.entity_db(source.store_id).set_policy(source.policy)
    stop = threading.Event()

    def submit(mine: list[Source]) -> None:
        while not stop.wait(0.01):
            for source in mine:
                for _ in range(_due(source)):
                    hub.receive_log_msg(source.message(), "soak")

    submitters = [
        threading.Thread(target=submit, args=(sources[16 * n : 16 * n + 16],), name=f"soak-{n}")
        for n in range(stores // 16)
    ]
    for thread in submitters:
        thread.start()
    process = psutil.Process()
    next_line_s = LINE_EVERY_S
    while (elapsed_s := time.monotonic() - began) < seconds:
        stop.wait(SAMPLE_S)
        report.rss_mib.append(process.memory_info().rss / MIB)
        report.held_mib.append(sum(db.held_bytes for db in hub) / MIB)
        _check(hub, report)
        if elapsed_s >= next_line_s:
            next_line_s += LINE_EVERY_S
            print(f"{elapsed_s:5.0f} s: {_now(hub, report)}", file=sys.stderr, flush=True)
    stop.set()
    for thread in submitters:
        thread.join()
    hub.flush(60)
    _account(hub, sources, report)
    hub.close(60)
    if not runtime.join(10):
        report.threads_left = runtime.num_threads
        report.faults.append("threads are left")
    report.seconds = time.monotonic() - began
    return report


def _due(source: Source) -> int:
    if source.rate == 0:
        return 4
    return source.chance.random() < source.rate / 100


def _now(hub: StoreHub, report: Report) -> str:
    dbs = hub.entity_dbs()
    return (
        f"RSS {report.rss_mib[-1]:.0f} MiB; "
        f"data {sum(db.byte_size for db in dbs) / MIB:.1f} MiB, "
        f"held {sum(db.held_bytes for db in dbs) / MIB:.1f} MiB in "
        f"{sum(db.num_chunks for db in dbs)} chunks; Arrow {pa.total_allocated_bytes() / MIB:.1f} "
        f"MiB; {hub.ingestion_stats().total.committed} committed"
    )


def _check(hub: StoreHub, report: Report) -> None:
    stats = hub.ingestion_stats()
    for store_id, one in stats.stores.items():
        settled = one.committed + one.rejected + one.dropped
        if one.accepted != settled + one.in_flight:
            report.faults.append(f"{store_id}: counts do not add up")
    if stats.budget_used_bytes > HUB_BUDGET_BYTES + STORES * MIB:
        report.faults.append(f"{stats.budget_used_bytes} bytes in flight")


def _account(hub: StoreHub, sources: list[Source], report: Report) -> None:
    total = hub.ingestion_stats().total
    report.submitted = sum(source.sent for source in sources)
    report.committed, report.rejected = total.committed, total.rejected
    report.dropped, report.spilled = total.dropped, total.spilled
    if total.accepted != report.submitted or total.in_flight:
        report.faults.append(
            f"{report.submitted} sent, {total.accepted} accepted, {total.in_flight}"
        )
    for source in sources:
        db = hub[source.store_id]
        stats = db.ingestion_stats()
        if sum(gap.count for gap in db.gaps()) != stats.dropped:
            report.faults.append(f"{source.store_id}: gaps and drops differ")
        if stats.rejected > (source.sent + 96) // 97:
            report.faults.append(f"{source.store_id}: {stats.rejected} rejected")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    report = soak(60 * parser.parse_args().minutes)
    print(report)
    growth_max = GROWTH_SHORT_MIB_MAX if report.seconds < SHORT_S else GROWTH_MIB_MAX
    is_flat = report.growth_mib <= growth_max
    return 0 if is_flat and not report.faults else 1


if __name__ == "__main__":
    sys.exit(main())
