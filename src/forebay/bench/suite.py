"""All workloads by name, and the parameters that they run with."""

from __future__ import annotations

import dataclasses
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from forebay.bench import processes, recordings
from forebay.bench.figures import Figure, Size
from forebay.bench.machine import load_average
from forebay.errors import BenchError, ForebayError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from forebay.bench.processes import Job

_T = TypeVar("_T")

WORKLOADS: Mapping[str, tuple[str, str, str]] = {
    "L1": ("loading", "batched", "load 200,000 scalar rows in chunks of some 740"),
    "L2": ("loading", "tiny", "load 20,000 one-row chunks"),
    "L3": ("loading", "bulky", "load 2,000 frames of images and point clouds"),
    "L4": ("loading", "many", "load 16 recordings at once"),
    "Q1": ("queries", "dataframe", "dataframe of 200,000 x 22"),
    "Q2": ("queries", "filled_dataframe", "the same with latest-at fill"),
    "Q3": ("queries", "latest_at", "latest-at queries at 10⁴, 10⁵ and 10⁶ rows"),
    "Q4": ("writing", "while_written", "Q1 to Q3 while the store is being written"),
    "S5": ("memory", "imu", "memory of 5 million rows of IMU"),
    "INSERT": ("memory", "insertion", "a million one-row chunks into one store"),
    "I1": ("engine", "matrix", "queue capacity, rows a message, stores"),
    "I2": ("isolation", "isolation", "a 100 Hz store next to busy and stalled ones"),
    "I3": ("engine", "several_workers", "one store, several workers"),
    "I4": ("engine", "idle", "10,000 idle stores"),
    "I5": ("engine", "free_threading", "two stores of one-row chunks, two workers"),
    "S1": ("live", "scalars", "live: 150 scalar entities in a loop"),
    "S2": ("live", "poses", "live: scalars and poses at 2 kHz"),
    "S3": ("live", "cameras", "live: two static cameras at 180 Hz"),
    "S4": ("live", "limited", "live: 1280x800 at 30 Hz under a limit"),
    "S6": ("live", "series", "live: 50 series at 1 kHz"),
}
"""Module, function and a few words, in the order in which they run."""


@dataclass(frozen=True, slots=True)
class Bench:
    """The parameters of a workload, and its way to run measurements.

    Attributes:
        size: How much work a workload does.
        say: Called with progress messages.
        fresh: Measure in processes of their own. Otherwise everything runs in this process, as a
            smoke test.
        pairs_max: At most this many runs of each side, whatever the size. None for no limit.
    """

    size: Size = Size.SHORT
    say: Callable[[str], object] = str
    fresh: bool = True
    pairs_max: int | None = None

    def pick(self, *, quick: _T, short: _T, full: _T) -> _T:
        """Return the value for the size."""
        return {Size.QUICK: quick, Size.SHORT: short, Size.FULL: full}[self.size]

    def recording(self, kind: str, rows: int, seed: int = 7) -> str:
        """Return the path of a recording, which is made now unless it is in the cache.

        See `forebay.bench.recordings.recording` for the arguments.
        """
        self.say(f"recording: {kind}, {rows:,} rows")
        path: Path = recordings.recording(kind, rows, seed, fresh=self.fresh)
        return str(path)

    def run(self, function: Callable[..., dict[str, Any]], **arguments: Any) -> dict[str, Any]:
        """Run one measurement once.

        Args:
            function: The job.
            **arguments: Its arguments, JSON values.

        Returns:
            What the job returned.
        """
        return processes.run((function, arguments), fresh=self.fresh)

    def run_together(self, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        """Run several measurements in parallel, each in a process of its own.

        They start at the same moment.
        """
        return processes.run_together(jobs, fresh=self.fresh)

    def alternate(
        self, jobs: Mapping[str, Job], *, short: int = 3, full: int = 5
    ) -> dict[str, list[dict[str, Any]]]:
        """Run measurements alternately.

        Args:
            jobs: Functions and their arguments, by name.
            short: Runs of each in a short run.
            full: Runs of each in a full run; at most `pairs_max`.

        Returns:
            What each run returned, by the name of the job.
        """
        pairs = self.pick(quick=1, short=short, full=full)
        if self.pairs_max is not None:
            pairs = min(pairs, self.pairs_max)
        return processes.alternate(jobs, pairs, fresh=self.fresh)


def run_workloads(names: Sequence[str], bench: Bench) -> Iterator[Figure]:
    """Run workloads and yield each figure as soon as it is measured.

    A workload that cannot run gives a figure that says why, and the others continue.

    Args:
        names: Names of workloads; all if empty.
        bench: The parameters.

    Raises:
        BenchError: There is no such workload.
    """
    for name in names or WORKLOADS:
        if name not in WORKLOADS:
            msg = f"there is no workload {name!r}; there are: {', '.join(WORKLOADS)}"
            raise BenchError(msg)
    for name in names or WORKLOADS:
        module, function, words = WORKLOADS[name]
        bench.say(f"{name}: {words}")
        workload = getattr(importlib.import_module(f"forebay.bench.{module}"), function)
        load = load_average()
        try:
            for figure in workload(bench):
                yield dataclasses.replace(figure, load=load)
        except (ForebayError, OSError) as error:
            yield Figure(name, "could not be run", float("nan"), "", note=str(error), failed=True)
