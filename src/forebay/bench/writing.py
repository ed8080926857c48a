"""Q4: queries on a store that is being written at full speed."""

from __future__ import annotations

import random
import resource
from statistics import median
from typing import TYPE_CHECKING, Any

from forebay.bench.answers import digest_table
from forebay.bench.figures import Figure, at_most
from forebay.bench.messages import one_row_messages
from forebay.bench.processes import cpu_s
from forebay.bench.queries import table_of
from forebay.bench.recordings import ENTITIES
from forebay.hub import EntityDb, load
from forebay.runtime import Event, monotonic_s, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forebay.bench.suite import Bench

WHO = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)


def queries_ours(path: str, messages: int, written: bool, laps_max: int) -> dict[str, Any]:
    """Q1 to Q3 again and again, while a thread submits one-row chunks to the same store, or not.

    What is written is not what is asked for, so the answers are the same.
    """
    db = load(path).recordings()[0]
    one_by_one = random.Random(7)  # noqa: S311, RUF100
    first, last = db.time_range("frame")
    asked = [
        (one_by_one.randint(first, last), f"/plot/s{one_by_one.randrange(ENTITIES)}")
        for _ in range(500)
    ]

    def latest() -> None:
        for time, entity in asked:
            db.latest_at("frame", time, entity)

    queries: dict[str, Callable[[], Any]] = {
        "Q1": lambda: table_of(db.snapshot(), False, "/plot/**"),
        "Q2": lambda: table_of(db.snapshot(), True, "/plot/**"),
        "Q3": latest,
    }
    answers = [digest_table(queries["Q1"]()), digest_table(queries["Q2"]())]
    writer = _Writer(db, messages if written else 0)
    laps: dict[str, list[tuple[float, float]]] = {name: [] for name in queries}
    while not writer.is_done or not written:
        for name, query in queries.items():
            wall_s, thread_s = monotonic_s(), cpu_s(WHO)
            query()
            laps[name].append((monotonic_s() - wall_s, cpu_s(WHO) - thread_s))
        if len(laps["Q3"]) >= laps_max and not written:
            break
    writer.stop()
    return {
        **{
            name: {"wall_s": median(w for w, _ in found), "cpu_s": median(c for _, c in found)}
            for name, found in laps.items()
        },
        "laps": len(laps["Q3"]),
        "written_per_s": writer.rate,
        "answer": answers,
        "answer_after": [digest_table(queries["Q1"]()), digest_table(queries["Q2"]())],
        "wall_s": 0.0,
        "cpu_s": 0.0,
    }


class _Writer:
    """A thread that submits messages as fast as the store takes them."""

    def __init__(self, db: EntityDb, count: int) -> None:
        self._db = db
        self._messages = one_row_messages(db.store_id, count, "/written")
        self._stopped = Event()
        self.rate = 0.0
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
    def is_done(self) -> bool:
        return not self._service.is_alive

    def stop(self) -> None:
        self._stopped.set()
        self._service.join()


def while_written(bench: Bench) -> Iterator[Figure]:
    """Q4: wall time of each query while written, over alone."""
    path = bench.recording("batched", bench.pick(quick=4000, short=200_000, full=200_000))
    messages = bench.pick(quick=300, short=30_000, full=100_000)
    laps = bench.pick(quick=2, short=20, full=20)
    arguments = {"path": path, "messages": messages, "laps_max": laps}
    runs = bench.alternate(
        {
            "alone": (queries_ours, {**arguments, "written": False}),
            "written": (queries_ours, {**arguments, "written": True}),
        },
        short=1,
    )
    alone, written = runs["alone"], runs["written"]
    same = {str(run[key]) for run in alone + written for key in ("answer", "answer_after")}
    for name in ("Q1", "Q2", "Q3"):
        walls = [median(run[name]["wall_s"] for run in side) for side in (alone, written)]
        cpus = [median(run[name]["cpu_s"] for run in side) for side in (alone, written)]
        yield Figure(
            "Q4",
            f"{name} while written, over alone",
            walls[1] / walls[0],
            target=at_most(2),
            same_answer=len(same) == 1,
            values={
                "wall_alone_s": walls[0],
                "wall_written_s": walls[1],
                "thread_cpu_ratio": cpus[1] / max(cpus[0], 1e-9),
                "written_per_s": median(run["written_per_s"] for run in written),
                "laps": written[0]["laps"],
            },
        )
