"""Measurements in fresh processes: start one, wait until it is ready, send the start signal."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn, Self

from forebay.errors import BenchError
from forebay.runtime import monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import TypeAlias

    Job: TypeAlias = tuple[Callable[..., dict[str, Any]], Mapping[str, Any]]
    """A function to measure and its arguments (JSON values). It returns its measurements."""

TIMEOUT_S = 900.0
READY = "ready"


class Stopwatch:
    """Wall and CPU seconds of a `with` block, in this process with all its threads.

    Attributes:
        wall_s: Wall seconds, after the block.
        cpu_s: CPU seconds, user and system, after the block.
    """

    wall_s = 0.0
    cpu_s = 0.0

    def __enter__(self) -> Self:
        self._cpu_s = cpu_s()
        self._wall_s = monotonic_s()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.wall_s = monotonic_s() - self._wall_s
        self.cpu_s = cpu_s() - self._cpu_s

    @property
    def elapsed_s(self) -> float:
        """Wall seconds since the start."""
        return monotonic_s() - self._wall_s

    @property
    def times(self) -> dict[str, Any]:
        """The measured times, as a job returns them."""
        return {"wall_s": self.wall_s, "cpu_s": self.cpu_s}


def cpu_s(who: int = resource.RUSAGE_SELF) -> float:
    """Return the CPU seconds of a process so far, user and system."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def memory_bytes(field: str = "VmRSS") -> int:
    """Return the resident memory of this process, now (`VmRSS`) or at its peak (`VmHWM`)."""
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text()
        if found := re.search(rf"{field}:\s+(\d+) kB", status):
            return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Child:
    """A fresh interpreter that has imported a job and waits for the start signal.

    So imports are not part of the measurement, and several children can start at the same moment.
    """

    def __init__(self, job: Job) -> None:
        function, arguments = job
        self._name = f"{function.__module__}:{function.__qualname__}"
        self._errors: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "forebay.bench", self._name, json.dumps(dict(arguments))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "RERUN_ANALYTICS": "0", "RUST_LOG": "error"},
        )

    def wait_until_ready(self) -> None:
        """Block until the child has imported everything."""
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != READY:
            self._fail()

    def go(self) -> None:
        """Send the start signal."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    @property
    def is_running(self) -> bool:
        """Whether the process has not exited yet."""
        return self._process.poll() is None

    def result(self) -> dict[str, Any]:
        """Return what the job returned.

        Raises:
            BenchError: The job failed, or took longer than `TIMEOUT_S`.
        """
        try:
            output, _ = self._process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            self._errors.close()
            msg = f"{self._name} took longer than {TIMEOUT_S:.0f} s"
            raise BenchError(msg) from None
        if self._process.returncode or not output:
            self._fail()
        self._errors.close()
        found: dict[str, Any] = json.loads(output.splitlines()[-1])
        return found

    def _fail(self) -> NoReturn:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        with self._errors:
            self._errors.seek(0)
            last = self._errors.read().strip().splitlines()[-6:]
        msg = f"{self._name} failed: {' | '.join(last) or 'no output'}"
        raise BenchError(msg)


def run(job: Job, *, fresh: bool = True) -> dict[str, Any]:
    """Run a job.

    Args:
        job: The function and its arguments.
        fresh: Run it in a process of its own; otherwise in this one, as a smoke test.

    Returns:
        What the job returned.
    """
    return run_together([job], fresh=fresh)[0]


def run_together(jobs: Sequence[Job], *, fresh: bool = True) -> list[dict[str, Any]]:
    """Run jobs in parallel, each in a process of its own, with a common start.

    Args:
        jobs: Functions and their arguments.
        fresh: Use processes; otherwise run one after another in this process, as a smoke test.

    Returns:
        What each job returned, in the order of the jobs.
    """
    if not fresh:
        return [_run_here(*job) for job in jobs]
    children = [Child(job) for job in jobs]
    for child in children:
        child.wait_until_ready()
    for child in children:
        child.go()
    return [child.result() for child in children]


def alternate(
    jobs: Mapping[str, Job], pairs: int, *, fresh: bool = True
) -> dict[str, list[dict[str, Any]]]:
    """Run each job `pairs` times, alternately.

    So the load of the machine affects all jobs equally.

    Args:
        jobs: Functions and their arguments, by name.
        pairs: Number of runs of each job.
        fresh: Use processes; otherwise run in this process, as a smoke test.

    Returns:
        What each run returned, by the name of the job.
    """
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in jobs}
    for turn in range(pairs):
        for name in _in_turn(list(jobs), turn):
            found[name].append(run(jobs[name], fresh=fresh))
    return found


def _in_turn(names: list[str], turn: int) -> Iterator[str]:
    return iter(names) if turn % 2 == 0 else reversed(names)


def _run_here(function: Callable[..., dict[str, Any]], arguments: Mapping[str, Any]) -> Any:
    return {"rss_peak_bytes": memory_bytes("VmHWM"), **function(**arguments)}
