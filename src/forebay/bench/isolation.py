"""I2: how neighbours affect the latency of a store that gets 100 messages a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forebay.bench.figures import Figure, at_most
from forebay.bench.messages import one_row_messages
from forebay.codec import ChunkDecoder
from forebay.hub import StoreHub
from forebay.model import ArrowMsg, StoreId
from forebay.runtime import Event, monotonic_s, spawn, switch_threads_often

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forebay.bench.suite import Bench
    from forebay.chunk import Chunk

PERIOD_S = 0.01
QUIET = StoreId.recording("forebay_bench", "quiet")
STALLED = StoreId.recording("forebay_bench", "stalled")
SHARED = StoreId.recording("forebay_bench", "shared")
FLOOD_MESSAGES = 4000
SCENES = ("alone", "flooded", "stalled store", "stalled reader", "shared worker")


def quiet_store(scene: str, stores: int, seconds: float) -> dict[str, Any]:
    """Measure the latency of a store that gets a message every 10 ms, from submit to queryable.

    Args:
        scene: What the neighbours do: one of `SCENES`.
        stores: Number of neighbours that are flooded with messages.
        seconds: Duration of the measurement.
    """
    switch_threads_often()  # as `forebay serve` does
    released, stopped = Event(), Event()

    def decoder() -> Callable[[ArrowMsg], Chunk]:
        decode = ChunkDecoder().decode

        def decode_or_stall(msg: ArrowMsg) -> Chunk:
            if msg.store_id == STALLED:
                released.wait()
            return decode(msg)

        return decode_or_stall

    hub = StoreHub(decoder_factory=decoder) if scene == "stalled store" else StoreHub()
    is_shared = scene == "shared worker"
    mine = one_row_messages(SHARED if is_shared else QUIET, int(seconds / PERIOD_S), "/quiet")
    services = []
    if scene in {"flooded", "shared worker", "stalled reader"}:
        services.append(_flood(hub, stores, stopped, is_shared))
    if scene == "stalled store":
        stall = one_row_messages(STALLED, 3000)
        services.append(spawn("bench-stall", lambda: _submit_until(hub, stall, stopped)))
    if scene == "stalled reader":
        hub.subscribe(lambda _: released.wait())
    db = hub.entity_db(mine[0].store_id)
    latencies = []
    tick = Event()
    due_s = monotonic_s()
    until_s = due_s + 3 * seconds
    for msg in mine:
        if monotonic_s() > until_s:
            break
        due_s += PERIOD_S
        tick.wait(max(0.0, due_s - monotonic_s()))
        started_s = monotonic_s()
        hub.receive_log_msg(msg)
        db.flush()
        latencies.append(monotonic_s() - started_s)
    stopped.set()
    released.set()
    for service in services:
        service.join(30.0)
    others = [one for one in hub.entity_dbs() if one.store_id != QUIET]
    latencies.sort()
    return {
        "samples": len(latencies),
        "p50_ms": latencies[len(latencies) // 2] * 1e3,
        "p99_ms": latencies[len(latencies) * 99 // 100] * 1e3,
        "flood_messages": sum(one.ingestion_stats().accepted for one in others),
        "rows": db.num_rows,
    }


def _submit_until(hub: StoreHub, msgs: list[ArrowMsg], stopped: Event) -> None:
    for msg in msgs:
        while not hub.entity_db(msg.store_id).try_submit_arrow_msg(msg):
            if stopped.wait(PERIOD_S):
                return


def _flood(hub: StoreHub, stores: int, stopped: Event, is_shared: bool) -> Any:
    """Submit to all neighbours as fast as they accept messages."""
    each = max(FLOOD_MESSAGES // stores, 1)
    made = one_row_messages(SHARED, each, "/flood")
    ids = [SHARED if is_shared else StoreId.recording("flood", str(i)) for i in range(stores)]
    dbs = [(hub.entity_db(store_id), [m.with_store_id(store_id) for m in made]) for store_id in ids]

    def run() -> None:
        while not stopped.is_set():
            for at in range(each):
                for db, msgs in dbs:
                    if not db.try_submit_arrow_msg(msgs[at]) and stopped.wait(0.001):
                        return

    return spawn("bench-flood", run)


def isolation(bench: Bench) -> Iterator[Figure]:
    """I2: p99 of the latency with neighbours, over that of the store alone."""
    seconds = bench.pick(quick=0.1, short=2.0, full=20.0)
    alone = bench.run(quiet_store, scene="alone", stores=1, seconds=seconds)
    for stores in bench.pick(quick=(1,), short=(1, 16, 256), full=(1, 16, 256)):
        for scene in SCENES[1:]:
            if scene == "stalled store" and stores > 1:
                continue
            run = bench.run(quiet_store, scene=scene, stores=stores, seconds=seconds)
            yield Figure(
                "I2",
                f"p99 with {stores} {'neighbour' if stores == 1 else 'neighbours'}: {scene}",
                run["p99_ms"] / alone["p99_ms"],
                target=None if scene == "shared worker" else at_most(2),
                values={**run, "alone_p99_ms": alone["p99_ms"], "alone_p50_ms": alone["p50_ms"]},
            )
