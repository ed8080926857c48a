"""`WebWorkerRuntime`: tasks run between the messages of an event loop.

A Web Worker has one thread and an event loop that delivers messages: bytes to ingest, queries, a
request to stop. `schedule` therefore only queues a task. The loop calls `run_slice` for a slice of
turns, and handles messages between slices. A caller that waits for a task runs turns itself,
because there is no other thread that could.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from forebay.limits import WEB_WORKER_SLICE_S
from forebay.runtime.platform import threads_available
from forebay.runtime.primitives import CallersTurns

if TYPE_CHECKING:
    from collections.abc import Callable

    from forebay.runtime.protocol import Condition, Lock, Task


class WebWorkerRuntime(CallersTurns):
    """A runtime on the single thread of a Web Worker, which runs turns in time slices.

    Args:
        request_slice: Called when there is work and no slice is due. It asks the event loop to call
            `run_slice` soon, after the messages that are already queued. Without it, turns run only
            in `run_slice` and in waits.
        slice_s: Duration of a slice, in seconds.
        can_wait: Whether another thread can end a wait. By default, whether this platform has
            threads.
    """

    name = "web-worker"

    def __init__(
        self,
        request_slice: Callable[[], object] | None = None,
        *,
        slice_s: float = WEB_WORKER_SLICE_S,
        can_wait: bool | None = None,
    ) -> None:
        self._request_slice = request_slice
        self._slice_s = slice_s
        self.can_wait = threads_available() if can_wait is None else can_wait
        self._ready: deque[Task] = deque()
        self._is_slice_due = False

    @property
    def num_ready(self) -> int:
        """Number of tasks that wait for a turn."""
        return len(self._ready)

    def condition(self, lock: Lock | None = None) -> Condition:
        """Return a condition; threads that wait on it run turns."""
        return _WorkingCondition(self, lock)

    @property
    def is_contended(self) -> bool:
        """Whether other tasks wait for a turn."""
        return bool(self._ready)

    def schedule(self, task: Task) -> None:
        """Queue `task`. It gets turns in slices and in waits until it has no more to do."""
        self._ready.append(task)
        self._ask()

    def run_turn(self) -> bool:
        """Run one turn of the task that waits longest; return False if no task waits."""
        try:
            task = self._ready.popleft()
        except IndexError:
            return False
        if task.run_turn():
            self._ready.append(task)
        return True

    def run_slice(self) -> bool:
        """Run turns for about `slice_s` seconds, at least one; called by the event loop.

        Returns:
            True if tasks are left. Then another slice was requested with `request_slice`.
        """
        self._is_slice_due = False
        deadline_s = time.monotonic() + self._slice_s
        try:
            while self.run_turn():
                if time.monotonic() >= deadline_s:
                    break
        finally:
            if self._ready:
                self._ask()
        return bool(self._ready)

    def run_all(self) -> None:
        """Run turns until no task is left."""
        while self.run_turn():
            pass

    def _ask(self) -> None:
        if self._request_slice is not None and not self._is_slice_due:
            self._is_slice_due = True
            self._request_slice()


class _WorkingCondition:
    """A condition whose waiting thread runs turns, because one of them may be what it waits for."""

    def __init__(self, runtime: WebWorkerRuntime, lock: Lock | None) -> None:
        self._runtime = runtime
        self._lock = threading.Lock() if lock is None else lock
        self._changed = threading.Condition(self._lock)  # type: ignore[arg-type]

    def __enter__(self) -> bool:
        return self._lock.__enter__()

    def __exit__(self, *exception: object) -> None:
        self._lock.__exit__(*exception)  # type: ignore[arg-type]

    def wait(self, timeout: float | None = None) -> bool:
        """Run a turn if a task is ready; else wait for another thread, or return without one."""
        self._lock.__exit__(None, None, None)
        try:
            has_run = self._runtime.run_turn()
        finally:
            self._lock.__enter__()
        if has_run:
            return True
        return self._runtime.can_wait and self._changed.wait(timeout)

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Run turns until `predicate` holds, no task is left, or the timeout is over."""
        clock = self._runtime.monotonic_s
        deadline_s = None if timeout is None else clock() + timeout
        while not (result := predicate()):
            left_s = None if deadline_s is None else deadline_s - clock()
            if (left_s is not None and left_s <= 0) or not self.wait(left_s):
                return predicate()
        return result

    def notify_all(self) -> None:
        """Wake all waiting threads."""
        self._changed.notify_all()
