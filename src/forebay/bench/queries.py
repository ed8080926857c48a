"""Q1 to Q3: dataframes and latest-at queries."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from forebay.bench.answers import digest_table
from forebay.bench.figures import Cost, Figure, at_least, at_most
from forebay.bench.loading import RERUN
from forebay.bench.processes import Stopwatch
from forebay.bench.recordings import ENTITIES
from forebay.hub import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from forebay.bench.suite import Bench
    from forebay.store import StoreSnapshot

REPEATS = 5


def dataframe_ours(path: str, fill: bool, answer: bool = False) -> dict[str, Any]:
    """Query one dataframe with Forebay, the first of the process and of the store.

    Args:
        path: The recording.
        fill: Whether with `fill_latest_at`.
        answer: Also return a digest of the table.
    """
    import forebay.store.dataframe  # noqa: F401, PLC0415 - imported before the clock starts

    db = load(path).recordings()[0]
    with Stopwatch() as watch:
        table = table_of(db.snapshot(), fill)
    return {**watch.times, **_shape(table, answer)}


def table_of(snapshot: StoreSnapshot, fill: bool, contents: str | None = None) -> pa.Table:
    """Return the dataframe on the timeline `frame` as a table."""
    from forebay.store.dataframe.query import dataframe  # noqa: PLC0415

    return dataframe(snapshot, "frame", contents=contents, fill_latest_at=fill)


def dataframe_rerun(path: str, fill: bool, answer: bool = False) -> dict[str, Any]:
    """Query the same dataframe with Rerun's reader, as an Arrow table.

    Args:
        path: The recording.
        fill: Whether with latest-at fill.
        answer: Also return a digest of the table.
    """
    from rerun.chunk import RrdReader  # noqa: PLC0415

    store = RrdReader(path).stream().collect()
    with Stopwatch() as watch:
        table = store.reader(index="frame", fill_latest_at=fill).to_arrow_table()
    return {**watch.times, **_shape(table, answer)}


def _shape(table: pa.Table, answer: bool) -> dict[str, Any]:
    return {"shape": list(table.shape), **({"answer": digest_table(table)} if answer else {})}


def dataframe(bench: Bench) -> Iterator[Figure]:
    """Q1: a dataframe. Yields how many times faster than Rerun."""
    rows = bench.pick(quick=4000, short=200_000, full=200_000)
    yield _frames(bench, "Q1", rows, fill=False, target=10, short=3)


def filled_dataframe(bench: Bench) -> Iterator[Figure]:
    """Q2: a dataframe with latest-at fill. Yields how many times faster than Rerun."""
    rows = bench.pick(quick=2000, short=200_000, full=200_000)
    yield _frames(bench, "Q2", rows, fill=True, target=200, short=3)


def _frames(
    bench: Bench, workload: str, rows: int, *, fill: bool, target: float, short: int
) -> Figure:
    path = bench.recording("batched", rows)
    # Answers of expensive queries are checked in every run; digests are made after the clock stops.
    arguments = {"path": path, "fill": fill, "answer": True}
    runs = bench.alternate(
        {"ours": (dataframe_ours, arguments), "rerun": (dataframe_rerun, arguments)}, short=short
    )
    same = {run["answer"] for found in runs.values() for run in found}
    ours, peer = Cost.of(runs["ours"]), Cost.of(runs["rerun"])
    shape = runs["ours"][0]["shape"]
    return Figure(
        workload,
        f"dataframe of {shape[0]:,} x {shape[1]}{' with fill_latest_at' if fill else ''}",
        peer.wall_s / ours.wall_s,
        target=at_least(target),
        ours=ours,
        peer=peer,
        peer_name=RERUN,
        same_answer=len(same) == 1,
    )


def latest_at_ours(path: str, queries: int) -> dict[str, Any]:
    """Query latest-at at random times, all components of an entity, on the store and on a snapshot.

    Args:
        path: The recording.
        queries: Number of queries.
    """
    db = load(path).recordings()[0]
    first, last = db.time_range("frame")
    draw = random.Random(7)  # noqa: S311, RUF100
    one = [
        (draw.randint(first, last), f"/plot/s{draw.randrange(1, ENTITIES)}") for _ in range(queries)
    ]
    three = [(time, "/plot/s0") for time, _ in one]
    snapshot = db.snapshot()
    cells = sum(len(snapshot.latest_at("frame", time, entity)) for time, entity in three[:100])
    found: dict[str, Any] = {"rows": db.num_rows, "chunks": db.num_chunks, "cells": cells}
    for name, source in (("db", db), ("snapshot", snapshot)):
        for components, asked in ((1, one), (3, three)):
            laps = []
            for _ in range(REPEATS):
                with Stopwatch() as watch:
                    for time, entity in asked:
                        source.latest_at("frame", time, entity)
                laps.append(watch)
            best = min(laps, key=lambda lap: lap.cpu_s)
            found[f"{name}_{components}"] = {
                "cpu_us": best.cpu_s / queries * 1e6,
                "wall_us": best.wall_s / queries * 1e6,
            }
    return found


def latest_at(bench: Bench) -> Iterator[Figure]:
    """Q3: rate of latest-at queries, and how their cost grows with the number of rows."""
    sizes = bench.pick(
        quick=(1000, 2000, 4000), short=(10**4, 10**5, 10**6), full=(10**4, 10**5, 10**6)
    )
    queries = bench.pick(quick=200, short=10_000, full=50_000)
    # Alternately, so that other processes affect all sizes equally. The minimum of each size is
    # used, because what other processes add to a few microseconds is never negative.
    jobs = {
        str(size): (
            latest_at_ours,
            {"path": bench.recording("columns", size), "queries": queries},
        )
        for size in sizes
    }
    runs = list(bench.alternate(jobs).values())
    for name in ("db", "snapshot"):
        for components in (1, 3):
            micros = [min(run[f"{name}_{components}"]["cpu_us"] for run in same) for same in runs]
            plural = "s" if components > 1 else ""
            yield Figure(
                "Q3",
                f"{name}.latest_at, {components} component{plural}, {sizes[0]:,} rows",
                1e6 / micros[0],
                unit="/s",
                target=at_least(100_000, "/s"),
                values={f"us_at_{size}": value for size, value in zip(sizes, micros, strict=True)},
            )
            yield Figure(
                "Q3",
                f"{name}.latest_at, {components} component{plural}: growth to {sizes[-1]:,} rows",
                micros[-1] / micros[0],
                target=at_most(1.5),
            )
