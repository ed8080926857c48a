"""Q4: queries on a store that is being written at full speed.

Reader and writer are threads of one process. What a query then takes on the clock is its own work
and its waits for the GIL; the second is what any busy thread of Python costs a reader, whatever it
does. So each query is measured in three ways: on the clock (the target), by the processor time of
the thread that asks (what writing does to the store that it reads), and on the clock beside a
thread that only counts (what the GIL costs alone).
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


def queries_ours(path: str, messages: int, beside: str, laps_max: int) -> dict[str, Any]:
    """Q1 to Q3 again and again, while another thread does something, or not.

    What is written is not what is asked for, so the answers are the same; but for `Q3 written`,
    the latest values of what is being written.

    Args:
        path: The recording.
        messages: How many one-row chunks to write; a few of them are written before.
        beside: What the other thread does: "" nothing, "write" into the same store, "count".
        laps_max: How often to ask, unless a writer says when it is enough.
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
    busy = {"": _Idle, "write": _Writer, "count": _Counter}[beside](db, after)
    laps: dict[str, list[tuple[float, float]]] = {name: [] for name in queries}
    while not busy.is_done:
        for name, query in queries.items():
            wall_s, thread_s = monotonic_s(), thread_cpu_s()
            query()
            laps[name].append((monotonic_s() - wall_s, thread_cpu_s() - thread_s))
        if len(laps["Q3"]) >= laps_max and beside != "write":
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
        """Let it end, and wait until it has."""


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
    """Q4: time of each query while written, over alone."""
    path = bench.recording("batched", bench.pick(quick=4000, short=200_000, full=200_000))
    messages = bench.pick(quick=300, short=30_000, full=100_000)
    laps = bench.pick(quick=2, short=20, full=20)
    arguments = {"path": path, "messages": messages, "laps_max": laps}
    runs = bench.alternate(
        {
            name: (queries_ours, {**arguments, "beside": beside})
            for name, beside in (("alone", ""), ("written", "write"), ("counting", "count"))
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
                f"{name} beside a thread that only counts, over alone",
                walls["counting"] / walls["alone"],
                note="on the clock: what the GIL alone costs",
            )
