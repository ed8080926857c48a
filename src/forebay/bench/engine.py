"""I1 and I3 to I5: the ingestion engine without files and without the network."""

from __future__ import annotations

import gc
from functools import partial
from typing import TYPE_CHECKING, Any

from forebay.bench.answers import digest_snapshot
from forebay.bench.figures import Cost, Figure, at_least, at_most
from forebay.bench.loading import together
from forebay.bench.messages import messages, scalar_chunks
from forebay.bench.processes import Stopwatch, memory_bytes
from forebay.codec import encode_chunk
from forebay.hub import StoreHub, read_messages
from forebay.ingest import IngestionWorker, ProcessedChunk
from forebay.limits import QUEUE_CAPACITY_MSGS
from forebay.model import ArrowMsg, StoreId
from forebay.runtime import Event, NativeRuntime, gil_enabled, run_in_parallel
from forebay.store import ChunkStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forebay.bench.processes import Job
    from forebay.bench.suite import Bench

CAPACITIES = (100, 500, 1000, 2000, 5000, 10_000)


def _store_id(number: int = 0) -> StoreId:
    return StoreId.recording("forebay_bench", f"store-{number}")


# ---- I1 --------------------------------------------------------------------------------------


def capacities_ours(count: int, rows: int, stores: int) -> dict[str, Any]:
    """Push the same messages through workers with each queue capacity.

    Args:
        count: Number of messages.
        rows: Rows per message.
        stores: Number of stores among which the messages are divided.
    """
    made = messages(_store_id(), count, rows)
    spread = [msg.with_store_id(_store_id(i % stores)) for i, msg in enumerate(made)]
    found = {}
    for capacity in CAPACITIES:
        hub = StoreHub(capacity=capacity)
        with Stopwatch() as watch:
            for msg in spread:
                hub.receive_log_msg(msg)
            hub.flush()
        stats = [db.ingestion_stats() for db in hub.entity_dbs()]
        queue = [one.latency["queue"].p99_s for one in stats if "queue" in one.latency]
        found[str(capacity)] = {
            **watch.times,
            "messages_per_s": count / watch.wall_s,
            "cpu_us_per_message": watch.cpu_s / count * 1e6,
            "queue_p99_ms": max(queue, default=0.0) * 1e3,
            "in_flight_mb_peak": sum(one.in_flight_bytes_peak for one in stats) / 1e6,
        }
    return {"cells": found, "wall_s": 0.0, "cpu_s": 0.0}


def matrix(bench: Bench) -> Iterator[Figure]:
    """I1: queue capacities compared; the default should be within 10 % of the best of its row."""
    kinds = bench.pick(quick=(10,), short=(100, 1000), full=(100, 1000, 10_000))
    stores = bench.pick(quick=(1, 2), short=(1, 10), full=(1, 2, 5, 10))
    for rows in kinds:
        for number in stores:
            # More messages than any queue holds, but at most 40 million rows.
            count = bench.pick(
                quick=200, short=6000 if rows < 1000 else 1500, full=min(25_000, 4 * 10**7 // rows)
            )
            run = bench.run(capacities_ours, count=count, rows=rows, stores=number)
            cells = run["cells"]
            best = min(cell["cpu_us_per_message"] for cell in cells.values())
            yield Figure(
                "I1",
                f"capacity {QUEUE_CAPACITY_MSGS}, {rows} rows a message, {number} stores: "
                "CPU over that of the best capacity",
                cells[str(QUEUE_CAPACITY_MSGS)]["cpu_us_per_message"] / best,
                target=at_most(1.1),
                values={"rows": rows, "stores": number, "messages": count, "cells": cells},
            )


# ---- I3 --------------------------------------------------------------------------------------


def one_store(
    path: str, turns_max: int, part: int = 0, parts: int = 1, answer: bool = False
) -> dict[str, Any]:
    """Decode and insert the messages of a file, which is read before the clock starts.

    Args:
        path: The recording.
        turns_max: Workers on the store at the same time.
        part: Number of the part of the messages that is used.
        parts: Number of parts.
        answer: Also return a digest of the store.
    """
    msgs = [msg for msg in read_messages(path) if isinstance(msg, ArrowMsg)][part::parts]
    store = ChunkStore(msgs[0].store_id)
    done = Event()
    worker = IngestionWorker(
        max(len(msgs), 1), 1 << 40, turns_max=turns_max, on_output=done.set, runtime=NativeRuntime()
    )
    left = len(msgs)
    with Stopwatch() as watch:
        worker.submit_many(msgs)
        while left:
            done.wait(1.0)
            done.clear()
            for outcome in worker.poll():
                left -= 1
                if isinstance(outcome, ProcessedChunk):
                    store.insert(outcome.chunk)
    found: dict[str, Any] = watch.times
    if answer:
        snapshot = store.snapshot()
        chunks = {str(path): len(snapshot.chunks(path)) for path in snapshot.entity_paths()}
        found["answer"] = [digest_snapshot(snapshot), chunks]
    return found


def several_workers(bench: Bench) -> Iterator[Figure]:
    """I3: speed-up of several workers on one store."""
    path = bench.recording("bulky", bench.pick(quick=20, short=2000, full=2000))
    answers = [
        bench.run(one_store, path=path, turns_max=number, answer=True)["answer"]
        for number in (1, 2, 4)
    ]
    same = all(answer == answers[0] for answer in answers)
    found: dict[str, list[dict[str, Any]]] = {}
    for _ in range(bench.pick(quick=1, short=3, full=5)):
        for number in (1, 2, 4):
            run = bench.run(one_store, path=path, turns_max=number)
            found.setdefault(str(number), []).append(run)
        halves = [
            (one_store, {"path": path, "turns_max": 1, "part": part, "parts": 2})
            for part in range(2)
        ]
        found.setdefault("two", []).append(together(bench.run_together(halves)))
    costs = {name: Cost.of(runs) for name, runs in found.items()}
    for turns in ("2", "4"):
        yield Figure(
            "I3",
            f"{turns} workers on one store: speed-up over that of two processes",
            costs["two"].wall_s / costs[turns].wall_s,
            target=at_least(0.85),
            ours=costs[turns],
            peer=costs["two"],
            peer_name="two processes, half each",
            same_answer=same,
            values={
                "speed_up": costs["1"].wall_s / costs[turns].wall_s,
                "speed_up_of_two_processes": costs["1"].wall_s / costs["two"].wall_s,
                "cpu_over_one_worker": costs[turns].cpu_s / costs["1"].cpu_s,
            },
        )


# ---- I4 --------------------------------------------------------------------------------------


def idle_ours(stores: int) -> dict[str, Any]:
    """Measure stores that received one chunk each: memory beyond their data, and threads left."""
    runtime = NativeRuntime(thread_linger_s=0.01)
    hub = StoreHub(runtime=runtime)
    msg = encode_chunk(_store_id(), scalar_chunks(1, 1, "/plot")[0])
    hub.receive_log_msg(msg.with_store_id(StoreId.recording("warm", "up")))
    hub.flush()
    gc.collect()
    before = memory_bytes()
    with Stopwatch() as watch:
        for number in range(stores):
            hub.receive_log_msg(msg.with_store_id(_store_id(number)))
        hub.flush()
    runtime.join(10.0)
    gc.collect()
    grown = memory_bytes() - before
    data = sum(db.byte_size for db in hub.entity_dbs())
    return {**watch.times, "grown": grown, "data": data, "threads": runtime.num_threads}


def idle(bench: Bench) -> Iterator[Figure]:
    """I4: memory and threads of idle stores."""
    stores = bench.pick(quick=200, short=10_000, full=10_000)
    run = bench.run(idle_ours, stores=stores)
    yield Figure(
        "I4",
        f"{stores:,} quiet stores: memory each, beyond their data",
        (run["grown"] - run["data"]) / stores / 1024,
        unit=" KiB",
        target=at_most(16, " KiB"),
        values=run,
    )
    yield Figure(
        "I4", "threads left", float(run["threads"]), unit="", target=at_most(0, ""), values={}
    )


# ---- I5 --------------------------------------------------------------------------------------


def two_stores(path: str, at_once: bool) -> dict[str, Any]:
    """Ingest the messages of one file into each of two stores.

    Args:
        path: The recording.
        at_once: In parallel; otherwise one after the other.
    """
    hub = StoreHub()
    # Read twice: without a GIL, threads that share objects slow each other down.
    groups = [
        [
            msg.with_store_id(_store_id(number))
            for msg in read_messages(path)
            if isinstance(msg, ArrowMsg)
        ]
        for number in range(2)
    ]

    def feed(group: list[ArrowMsg]) -> None:
        for msg in group:
            hub.receive_log_msg(msg)
        hub.entity_db(group[0].store_id).flush()

    with Stopwatch() as watch:
        run_in_parallel([partial(feed, group) for group in groups], "bench", 2 if at_once else 1)
    answer = [digest_snapshot(db.snapshot()) for db in hub.entity_dbs()]
    return {**watch.times, "same": answer[0] == answer[1], "gil": gil_enabled()}


def one_of_two(path: str) -> dict[str, Any]:
    """Ingest the messages of one file into one store.

    Two such processes are compared with `two_stores`.

    Args:
        path: The recording.
    """
    msgs = [msg for msg in read_messages(path) if isinstance(msg, ArrowMsg)]
    hub = StoreHub()
    with Stopwatch() as watch:
        for msg in msgs:
            hub.receive_log_msg(msg)
        hub.flush()
    return watch.times


def free_threading(bench: Bench) -> Iterator[Figure]:
    """I5: two stores in parallel; without a GIL also compared with two processes."""
    path = bench.recording("tiny", bench.pick(quick=300, short=20_000, full=20_000))
    jobs: dict[str, Job] = {
        "both": (two_stores, {"path": path, "at_once": True}),
        "after": (two_stores, {"path": path, "at_once": False}),
    }
    found: dict[str, list[dict[str, Any]]] = {}
    for _ in range(bench.pick(quick=1, short=5, full=7)):
        for name, runs in bench.alternate(jobs, short=1, full=1).items():
            found.setdefault(name, []).extend(runs)
        pair = bench.run_together([(one_of_two, {"path": path})] * 2)
        found.setdefault("two", []).append(together(pair))
    costs = {name: Cost.of(runs) for name, runs in found.items()}
    both, after, two = costs["both"], costs["after"], costs["two"]
    with_gil = found["both"][0]["gil"]
    yield Figure(
        "I5",
        f"two stores at once, {'with' if with_gil else 'without'} GIL: CPU over one at a time",
        both.cpu_s / after.cpu_s,
        target=at_most(1.2),
        ours=both,
        peer=after,
        peer_name="ours, one store at a time",
        same_answer=all(run["same"] for run in (*found["both"], *found["after"])),
    )
    if not with_gil:
        yield Figure(
            "I5",
            "two stores at once, without GIL: speed-up over that of two processes",
            two.wall_s / both.wall_s,
            target=at_least(0.85),
            ours=both,
            peer=two,
            peer_name="two processes of ours",
            values={
                "speed_up": after.wall_s / both.wall_s,
                "speed_up_of_two_processes": after.wall_s / two.wall_s,
            },
        )
