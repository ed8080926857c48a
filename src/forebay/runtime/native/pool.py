"""`ThreadPool`: a thread pool whose threads exist only while tasks are ready."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from forebay.limits import EXIT_DRAIN_S
from forebay.runtime.native.ready import ReadyQueue
from forebay.runtime.primitives import Primitives

if TYPE_CHECKING:
    from forebay.runtime.protocol import Task

logger = logging.getLogger(__name__)


class ThreadPool(Primitives):
    """A thread pool that starts threads on demand; a thread that finds no task for a moment ends.

    A task whose turn does not return occupies one thread only: every other ready task gets a thread
    of its own, up to `threads_max`. Threads are daemons, so a stuck one never blocks Ctrl-C or the
    exit of the process.

    While a light task waits for the turn of another one, one idle thread watches that turn and
    takes over if it does not end (`ReadyQueue` has the rules).

    Args:
        threads_max: Live threads at once.
        thread_linger_s: How long an idle thread waits for work before it ends, in seconds.
        takes_turns: Whether light tasks run one at a time.
        thread_name: Name of the threads, after `forebay-`.

    Raises:
        ValueError: `threads_max` is less than 1.
    """

    def __init__(
        self, threads_max: int, thread_linger_s: float, *, takes_turns: bool, thread_name: str
    ) -> None:
        if threads_max < 1:
            msg = f"a runtime needs at least one thread, not {threads_max}"
            raise ValueError(msg)
        self._threads_max = threads_max
        self._thread_linger_s = thread_linger_s
        self._thread_name = thread_name
        self._ready = ReadyQueue(takes_turns=takes_turns)
        self._reset_threads()

    def _reset_threads(self) -> None:
        """Start without threads and without turns in progress; also used in a forked child."""
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._threads: set[threading.Thread] = set()
        self._num_idle = 0
        self._num_watching = 0
        self._num_started = 0
        self._num_in_callers = 0
        self._is_exiting = False
        self._is_abandoned = False
        self._ready.forget_holders()

    @property
    def num_threads(self) -> int:
        """Number of live threads."""
        with self._lock:
            return len(self._threads)

    @property
    def is_contended(self) -> bool:
        """Whether other tasks wait for a turn."""
        return bool(self._ready)  # read without the lock: the answer may be old at once anyway

    def join(self, timeout: float | None = None) -> bool:
        """Wait until all threads have ended, and all turns on callers' threads.

        Args:
            timeout: Longest wait, in seconds. None waits without a limit.

        Returns:
            Whether they have ended.
        """
        with self._lock:
            return self._changed.wait_for(
                lambda: not (self._threads or self._num_in_callers), timeout
            )

    def abandon(self) -> None:
        """Begin no further turn, because the process exits now; queued tasks are lost.

        At exit, only turns in progress are waited for then.
        """
        with self._lock:
            self._is_abandoned = True
            self._changed.notify_all()

    def _append(self, task: Task) -> None:
        with self._lock:
            self._ready.append(task)
            starts = self._wants_thread()
        if starts:
            self._start_thread()

    def _wants_thread(self) -> bool:
        """Wake an idle thread for the queue if needed; return True if a new one must be started."""
        ready = self._ready
        if not ready or self._is_abandoned:
            return False
        if not self._num_idle:
            return len(self._threads) < self._threads_max
        if not self._num_watching or ready.has_runnable(self.monotonic_s()):
            self._changed.notify()
        return False

    def _start_thread(self) -> None:
        with self._lock:
            if len(self._threads) >= self._threads_max:
                return
            self._num_started += 1
            thread = threading.Thread(
                target=self._run,
                name=f"forebay-{self._thread_name}-{self._num_started}",
                daemon=True,
            )
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:
            # The system gives no more threads. A live thread will get to the task. If there is
            # none, the calling thread runs the queue.
            with self._lock:
                self._threads.discard(thread)
                alone = not self._threads
            if alone:
                self._drain_here()

    def _run(self) -> None:
        task: Task | None = None
        while (task := self._next(task)) is not None:
            if not _run_turn(task):
                task = None  # while lingering, a thread must not keep a dropped task alive

    def _next(self, task: Task | None) -> Task | None:
        """Return the task of the next turn; None if the thread may end.

        Args:
            task: The task of the last turn, if it wants another one.
        """
        me = self.thread_id()
        with self._lock:
            ready = self._ready
            ready.end_turn(me)
            if task is not None:
                ready.append(task)
                del task
            while (picked := self._picked(me)) is None:
                if self._is_abandoned or not self._wait_for_turn():
                    # Leave the set in the same critical section, so that no schedule() counts on
                    # this thread.
                    self._threads.discard(threading.current_thread())
                    self._changed.notify_all()
                    return None
            starts = self._wants_thread()
        if starts:
            self._start_thread()
        return picked

    def _picked(self, thread: int) -> Task | None:
        return None if self._is_abandoned else self._ready.pick(thread, self.monotonic_s())

    def _wait_for_turn(self) -> bool:
        """Wait until there may be a turn; return False if there is nothing left to wait for."""
        ready = self._ready
        takeover_s = ready.seconds_to_takeover(self.monotonic_s())
        watches = takeover_s is not None
        self._num_idle += 1
        self._num_watching += watches
        try:
            notified = self._changed.wait(takeover_s if watches else self._thread_linger_s)
        finally:
            self._num_idle -= 1
            self._num_watching -= watches
        if notified or not ready:
            return notified
        # One thread is enough to watch.
        return not self._num_idle or ready.has_runnable(self.monotonic_s())

    def _drain_here(self) -> None:
        me = self.thread_id()
        while True:
            with self._lock:
                self._ready.end_turn(me)
                task = self._ready.pick(me, self.monotonic_s())
            if task is None:
                return
            while _run_turn(task):
                pass

    def _drain_at_exit(self) -> None:
        with self._lock:
            self._thread_linger_s = 0.0
            self._is_exiting = True
            self._changed.notify_all()
        if not self.join(EXIT_DRAIN_S):
            logger.warning(
                "%d ingestion threads were still busy at exit; close() or flush() waits for them",
                self.num_threads,
            )


def _run_turn(task: Task) -> bool:
    try:
        return task.run_turn()
    except BaseException:  # noqa: BLE001, RUF100 - a thread has no caller to raise to
        logger.exception("a turn of %r failed", task)
        return False
