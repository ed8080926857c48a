"""Threads for what is not a task: servers, readers of files, the command line's live views."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from forebay.limits import CALLBACK_THREADS_MAX
from forebay.runtime.inline import InlineRuntime
from forebay.runtime.native.runtime import NativeRuntime
from forebay.runtime.platform import threads_available

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forebay.runtime.protocol import Runtime


class Service:
    """A thread of its own for one function that runs until it is done."""

    def __init__(self, name: str, run: Callable[[], object]) -> None:
        self._thread = threading.Thread(target=run, name=f"forebay-{name}", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the function still runs."""
        return self._thread.is_alive()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the function is done, and say whether it is."""
        self._thread.join(timeout)
        return not self._thread.is_alive()


def spawn(name: str, run: Callable[[], object]) -> Service:
    """Run `run` on a thread of its own.

    Raises:
        RuntimeError: There are no threads here (WebAssembly).
    """
    return Service(name, run)


def executor(threads_max: int, name: str) -> ThreadPoolExecutor:
    """A pool of at most `threads_max` threads, for libraries that ask for one."""
    return ThreadPoolExecutor(threads_max, thread_name_prefix=f"forebay-{name}")


def run_side_by_side(jobs: Sequence[Callable[[], object]], name: str, threads_max: int) -> None:
    """Run all jobs, each on a thread where there are threads, else one after another.

    Returns when all are done; the first exception of a job is raised then.
    """
    if len(jobs) <= 1 or not threads_available():
        for job in jobs:
            job()
        return
    with executor(min(threads_max, len(jobs)), name) as pool:
        for future in [pool.submit(job) for job in jobs]:
            future.result()


class Event(threading.Event):
    """A flag that threads can wait for: `set()`, `is_set()`, `wait(timeout) -> bool`."""


_default: Final[list[Runtime]] = []
_callbacks: Final[list[Runtime]] = []
_default_lock = threading.Lock()


def default_runtime() -> Runtime:
    """The runtime of whoever names none: one per process, native where there are threads."""
    with _default_lock:
        if not _default:
            _default.append(NativeRuntime() if threads_available() else InlineRuntime())
        return _default[0]


def callback_runtime(runtime: Runtime) -> Runtime:
    """Where to call other people's code, for what runs on `runtime`: natively, on other threads."""
    if not isinstance(runtime, NativeRuntime):
        return runtime
    with _default_lock:
        if not _callbacks:
            _callbacks.append(NativeRuntime(CALLBACK_THREADS_MAX))
        return _callbacks[0]
