"""Q4: queries on a store that is written at full speed.

Reader and writer are threads of one process. The wall time of a query then consists of its own work
and its waits for the GIL; the latter is what any busy Python thread costs a reader. So each query
is measured in three ways: by wall time (the target), by the CPU time of the reading thread (what
writing does to the store that it reads), and by wall time in parallel with a thread that only
counts (the cost of the GIL alone).
"""

from __future__ import annotations

import random
from statistics import median
from typing import TYPE_CHECKING, Any

from forebay.bench.answers import digest_table
from forebay.bench.figures import Figure, at_most
from forebay.bench.messages import one_row_messages
from forebay.bench.queries import table_of
from forebay.bench.recordings import ENTITIES
from forebay.hub import EntityDb, load
from forebay.runtime import Event, monotonic_s, spawn, thread_cpu_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from forebay.bench.suite import Bench
    from forebay.model import ArrowMsg

ANSWERS = ("answer", "answer_after")


def queries_ours(path: str, messages: int, meanwhile: str, laps_max: int) -> dict[str, Any]:
    """Run Q1 to Q3 repeatedly while another thread writes, counts, or does nothing.

    The written entities are not the queried ones, so the answers stay the same. The exception is
    `Q3 written`, which queries the latest values of the written entities.

    Args:
        path: The recording.
        messages: Number of one-row chunks to write; a few of them are written before the clock
            starts.
        meanwhile: What the other thread does: "" nothing, "write" into the same store, or "count".
        laps_max: Number of repetitions, except with "write": then the writer decides.
    """
    db = load(path).recordings()[0]
    written = one_row_messages(db.store_id, messages, "/written")
    before, after = written[: messages // 10], written[messages // 10 :]
    for msg in before:
        db.submit_arrow_msg(msg)
    db.flush()
    one_by_one = random.Random(7)  # noqa: S311, RUF100
    first, last = db.time_range("frame")
    asked = [
        (one_by_one.randint(first, last), f"/plot/s{one_by_one.randrange(ENTITIES)}")
        for _ in range(500)
    ]

    def latest() -> None:
        for time, entity in asked:
            db.latest_at("frame", time, entity)

    def latest_written() -> None:
        for number in range(500):
            db.latest_at("frame", messages, f"/written/s{number % ENTITIES}")

    queries: dict[str, Callable[[], Any]] = {
        "Q1": lambda: table_of(db.snapshot(), False, "/plot/**"),
        "Q2": lambda: table_of(db.snapshot(), True, "/plot/**"),
        "Q3": latest,
        "Q3 written": latest_written,
    }
    answers = [digest_table(queries["Q1"]()), digest_table(queries["Q2"]())]
    busy = {"": _Idle, "write": _Writer, "count": _Counter}[meanwhile](db, after)
    laps: dict[str, list[tuple[float, float]]] = {name: [] for name in queries}
    while not busy.is_done:
        for name, query in queries.items():
            wall_s, thread_s = monotonic_s(), thread_cpu_s()
            query()
            laps[name].append((monotonic_s() - wall_s, thread_cpu_s() - thread_s))
        if len(laps["Q3"]) >= laps_max and meanwhile != "write":
            break
    busy.stop()
    return {
        **{
            name: {"wall_s": median(w for w, _ in found), "cpu_s": median(c for _, c in found)}
            for name, found in laps.items()
        },
        "laps": len(laps["Q3"]),
        "written_per_s": busy.rate,
        "answer": answers,
        "answer_after": [digest_table(queries["Q1"]()), digest_table(queries["Q2"]())],
        "wall_s": 0.0,
        "cpu_s": 0.0,
    }


class _Idle:
    """No other thread."""

    is_done = False
    rate = 0.0

    def __init__(self, db: EntityDb, messages: Sequence[ArrowMsg]) -> None:
        self._db = db
        self._messages = messages

    def stop(self) -> None:
        """End the thread and wait until it has ended."""


class _Writer(_Idle):
    """A thread that submits messages as fast as the store takes them."""

    def __init__(self, db: EntityDb, messages: Sequence[ArrowMsg]) -> None:
        super().__init__(db, messages)
        self._stopped = Event()
        self._service = spawn("bench-writer", self._run)

    def _run(self) -> None:
        started_s = monotonic_s()
        done = 0
        for msg in self._messages:
            if self._stopped.is_set():
                break
            self._db.submit_arrow_msg(msg)
            done += 1
        self._db.flush()
        self.rate = done / max(monotonic_s() - started_s, 1e-9)

    @property
    def is_done(self) -> bool:  # type: ignore[override]
        return not self._service.is_alive

    def stop(self) -> None:
        self._stopped.set()
        self._service.join()


class _Counter(_Writer):
    """A thread that counts, and touches no store."""

    def _run(self) -> None:
        count = 0
        while not self._stopped.is_set():
            count += 1


def while_written(bench: Bench) -> Iterator[Figure]:
    """Q4: time of each query while the store is written, over the time alone."""
    path = bench.recording("batched", bench.pick(quick=4000, short=200_000, full=200_000))
    messages = bench.pick(quick=300, short=30_000, full=100_000)
    laps = bench.pick(quick=2, short=20, full=20)
    arguments = {"path": path, "messages": messages, "laps_max": laps}
    runs = bench.alternate(
        {
            name: (queries_ours, {**arguments, "meanwhile": meanwhile})
            for name, meanwhile in (("alone", ""), ("written", "write"), ("counting", "count"))
        },
        short=1,
    )
    same = {str(run[key]) for side in runs.values() for run in side for key in ANSWERS}
    rate = median(run["written_per_s"] for run in runs["written"])
    for name in ("Q1", "Q2", "Q3", "Q3 written"):
        walls, cpus = (
            {side: median(run[name][key] for run in found) for side, found in runs.items()}
            for key in ("wall_s", "cpu_s")
        )
        is_settled = name != "Q3 written"
        what = f"{name} while written" if is_settled else "Q3 of what is being written"
        yield Figure(
            "Q4",
            f"{what}, over alone",
            walls["written"] / walls["alone"],
            target=at_most(2) if is_settled else None,
            same_answer=len(same) == 1,
            note=f"on the clock, with {rate:,.0f} messages/s written",
            values={
                **{f"wall_{side}_s": value for side, value in walls.items()},
                "written_per_s": rate,
                "laps": runs["written"][0]["laps"],
            },
        )
        yield Figure(
            "Q4",
            f"{what}: CPU of the reading thread, over alone",
            cpus["written"] / max(cpus["alone"], 1e-9),
            target=at_most(2) if is_settled else None,
            note="" if is_settled else "with the index of the rows written since the last lap",
            values={f"cpu_{side}_s": value for side, value in cpus.items()},
        )
        if is_settled:
            yield Figure(
                "Q4",
                f"{name} with a thread that only counts, over alone",
                walls["counting"] / walls["alone"],
                note="on the clock: what the GIL alone costs",
            )
