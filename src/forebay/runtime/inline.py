"""`InlineRuntime`: tasks run in the caller. For WebAssembly, and wherever threads are unwanted."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from forebay.runtime.platform import threads_available
from forebay.runtime.primitives import Primitives

if TYPE_CHECKING:
    from collections.abc import Callable

    from forebay.runtime.protocol import Condition, Lock, Task

_T = TypeVar("_T")


class InlineRuntime(Primitives):
    """Whoever schedules a task runs it, turn after turn, until it has no more to do.

    A task scheduled from inside a turn runs after that turn, on the same thread: turns do not
    nest. Several threads may use one inline runtime; each runs what it schedules.
    """

    name = "inline"
    has_threads = False
    num_threads = 0

    def __init__(self, *, can_wait: bool | None = None) -> None:
        """Make a runtime; `can_wait` says whether another thread could end a wait."""
        self.can_wait = threads_available() if can_wait is None else can_wait
        self._local = threading.local()

    def condition(self, lock: Lock | None = None) -> Condition:
        """A condition; where there can be no other thread, waiting on it gives up at once."""
        return _InlineCondition(lock, self)

    @property
    def is_contended(self) -> bool:
        """Never: whoever schedules a task runs it."""
        return False

    def turns_at_once(self, msg_bytes: int) -> int:
        """One: whoever schedules a task runs it."""
        del msg_bytes
        return 1

    def make_room(self, worked_s: float) -> None:
        """Nothing: turns and queries share one thread, and do not meet."""
        del worked_s

    def schedule(self, task: Task) -> None:
        """Run `task` here and now, or after the turn that the calling thread is in."""
        local = self._local
        if not hasattr(local, "ready"):
            local.ready = deque()
            local.is_running = False
        local.ready.append(task)
        if local.is_running:
            return
        local.is_running = True
        try:
            self.run_deferred()
        finally:
            # After an exception (Ctrl-C inside a turn) tasks may be left; the next call, which
            # the interrupted task's owner makes, runs them.
            local.is_running = False

    @property
    def has_deferred(self) -> bool:
        """Whether the calling thread is inside a turn, with other tasks waiting for its end."""
        return bool(getattr(self._local, "ready", None)) and self._local.is_running

    def run_deferred(self) -> None:
        """Run the tasks that wait for the end of the calling thread's turn."""
        ready: deque[Task] = self._local.ready
        while ready:
            task = ready.popleft()
            if task.run_turn():
                ready.append(task)


class _InlineCondition(threading.Condition):
    """A condition whose waiter may be the very thread that must do what is waited for.

    Inside a turn, tasks scheduled since then wait for that turn to end: whoever waits there (a
    callback that flushes) runs them first. Where nobody else could notify, waiting gives up.
    """

    def __init__(self, lock: Lock | None, runtime: InlineRuntime) -> None:
        super().__init__(lock)  # type: ignore[arg-type]
        self._runtime = runtime

    def wait(self, timeout: float | None = None) -> bool:
        if self._runtime.has_deferred:
            self.release()
            try:
                self._runtime.run_deferred()
            finally:
                self.acquire()
            return True
        return self._runtime.can_wait and super().wait(timeout)

    def wait_for(self, predicate: Callable[[], _T], timeout: float | None = None) -> _T:
        while not (result := predicate()) and self._runtime.has_deferred:
            self.wait()
        if result or not self._runtime.can_wait:
            return result
        return super().wait_for(predicate, timeout)
