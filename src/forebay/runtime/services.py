"""Threads for work that is not a task: servers, file readers, live views of the command line."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Final, Generic, ParamSpec, TypeVar

from forebay.limits import CALLBACK_THREADS_MAX, EXIT_DRAIN_S
from forebay.runtime.inline import InlineRuntime
from forebay.runtime.native.runtime import NativeRuntime
from forebay.runtime.platform import threads_available

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forebay.runtime.protocol import Runtime

P = ParamSpec("P")
T = TypeVar("T")


class Service:
    """A daemon thread that runs one function until it returns.

    It ends with the process; the owner tells the function to return, then calls `join`.

    Args:
        name: Name of the thread, after `forebay-`.
        run: The function.
    """

    def __init__(self, name: str, run: Callable[[], object]) -> None:
        self._thread = threading.Thread(target=run, name=f"forebay-{name}", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the function is still running."""
        return self._thread.is_alive()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the function returns.

        Args:
            timeout: Longest wait, in seconds. None waits without a limit.

        Returns:
            Whether the function has returned.
        """
        self._thread.join(timeout)
        return not self._thread.is_alive()


def spawn(name: str, run: Callable[[], object]) -> Service:
    """Run `run` on a thread of its own, which is named `forebay-{name}`.

    Raises:
        RuntimeError: The platform has no threads (WebAssembly).
    """
    return Service(name, run)


class ShrinkingExecutor(Executor):
    """A `concurrent.futures.Executor` whose threads end when there is nothing to do.

    For libraries that need an executor (gRPC). The one of the standard library keeps every thread
    that it ever started.

    Args:
        threads_max: Live threads at once; further calls are queued.
        name: Name of the threads, after `forebay-`.
    """

    def __init__(self, threads_max: int, name: str) -> None:
        self._threads = NativeRuntime(threads_max, takes_turns=False, thread_name=name)
        self._is_shut_down = False

    @property
    def num_threads(self) -> int:
        """Number of live threads."""
        return self._threads.num_threads

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call of `fn`.

        Returns:
            A future with its result.

        Raises:
            RuntimeError: The executor was shut down.
        """
        if self._is_shut_down:
            msg = "this executor was shut down and accepts no new calls"
            raise RuntimeError(msg)
        call = _Call(lambda: fn(*args, **kwargs))
        self._threads.schedule(call)
        return call.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no new calls.

        Args:
            wait: Return only when all accepted calls are done.
            cancel_futures: Cancel calls that have not begun.
        """
        del cancel_futures
        self._is_shut_down = True
        if wait:
            self._threads.join()


class _Call(Generic[T]):
    """One call of a function, as a task of one turn."""

    def __init__(self, call: Callable[[], T]) -> None:
        self.future: Future[T] = Future()
        self._call = call

    def run_turn(self) -> bool:
        if self.future.set_running_or_notify_cancel():
            try:
                result = self._call()
            except BaseException as error:
                self.future.set_exception(error)
            else:
                self.future.set_result(result)
        return False


def run_in_parallel(
    jobs: Sequence[Callable[[], object]],
    name: str,
    threads_max: int,
    on_interrupt: Callable[[], object] = bool,
) -> None:
    """Run all jobs in parallel, or one after another where there are no threads.

    Returns when all jobs are done.

    Args:
        jobs: Functions without arguments.
        name: Name of the threads.
        threads_max: Number of jobs that run at once.
        on_interrupt: Called when a Ctrl-C interrupts the wait, to tell jobs to end. No further job
            begins then. Running jobs get `EXIT_DRAIN_S` to end; their threads do not keep the
            process alive.

    Raises:
        BaseException: The first exception of a job, when all jobs are done.
    """
    if len(jobs) <= 1 or not threads_available():
        for job in jobs:
            job()
        return
    _Jobs(jobs).run(name, min(threads_max, len(jobs)), on_interrupt)


class _Jobs:
    """A queue of jobs that several threads work on."""

    def __init__(self, jobs: Sequence[Callable[[], object]]) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting = deque(jobs)
        self._num_left = len(jobs)
        self._num_running = 0
        self._error: BaseException | None = None

    def run(self, name: str, num_threads: int, on_interrupt: Callable[[], object]) -> None:
        """Run all jobs; raise the first exception of a job when all are done."""
        try:
            for number in range(num_threads):
                spawn(f"{name}-{number}", self._work)
            with self._lock:
                self._changed.wait_for(lambda: not self._num_left)
        except BaseException:
            self._waiting.clear()
            on_interrupt()
            with self._lock:
                self._changed.wait_for(lambda: not self._num_running, EXIT_DRAIN_S)
            raise
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    return
                job = self._waiting.popleft()
                self._num_running += 1
            error: BaseException | None = None
            try:
                job()
            except BaseException as raised:  # noqa: BLE001, RUF100 - raised where it is waited for
                error = raised
            with self._lock:
                self._error = self._error or error
                self._num_left -= 1
                self._num_running -= 1
                self._changed.notify_all()


class Event(threading.Event):
    """A flag that threads can wait for: `set()`, `is_set()`, `wait(timeout) -> bool`."""


_default: Final[list[Runtime]] = []
_callbacks: Final[list[Runtime]] = []
_default_lock = threading.Lock()


def default_runtime() -> Runtime:
    """Return the runtime that is used by default.

    There is one per process: a `NativeRuntime` where threads are available, else an
    `InlineRuntime`.
    """
    with _default_lock:
        if not _default:
            _default.append(NativeRuntime() if threads_available() else InlineRuntime())
        return _default[0]


def callback_runtime(runtime: Runtime) -> Runtime:
    """Return the runtime on which to call subscribers of something that runs on `runtime`.

    For a native runtime it is another native one, so that a callback that hangs cannot stop
    workers.
    """
    if not isinstance(runtime, NativeRuntime):
        return runtime
    with _default_lock:
        if not _callbacks:
            _callbacks.append(NativeRuntime(CALLBACK_THREADS_MAX))
        return _callbacks[0]
