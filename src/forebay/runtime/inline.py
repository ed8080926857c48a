"""`InlineRuntime`: tasks run on the caller's thread; for WebAssembly and tests without threads."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from forebay.runtime.deferred import DeferringCondition
from forebay.runtime.platform import threads_available
from forebay.runtime.primitives import CallersTurns

if TYPE_CHECKING:
    from forebay.runtime.protocol import Condition, Lock, Task


class InlineRuntime(CallersTurns):
    """A runtime in which the thread that schedules a task runs it until it has no more to do.

    A task that is scheduled inside a turn runs after that turn, on the same thread: turns do not
    nest. Thread-safe: several threads may share one inline runtime, and each runs what it
    schedules.

    Args:
        can_wait: Whether another thread can end a wait. By default, whether this platform has
            threads.
    """

    name = "inline"

    def __init__(self, *, can_wait: bool | None = None) -> None:
        self.can_wait = threads_available() if can_wait is None else can_wait
        self._local = threading.local()

    def condition(self, lock: Lock | None = None) -> Condition:
        """Return a condition; waiting on it returns at once where there is no other thread."""
        return DeferringCondition(lock, self)

    @property
    def is_contended(self) -> bool:
        """Always False: tasks run on the thread that schedules them."""
        return False

    def schedule(self, task: Task) -> None:
        """Run `task` now, or after the turn in which the calling thread is.

        The call returns when the task has no more to do, except inside a turn: there it only queues
        the task.
        """
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
            # After an exception (Ctrl-C inside a turn) tasks may be left. The owner of the
            # interrupted task schedules it again, and that call runs them.
            local.is_running = False

    @property
    def has_deferred(self) -> bool:
        """Whether the calling thread is inside a turn and other tasks wait for its end."""
        return bool(getattr(self._local, "ready", None)) and self._local.is_running

    def run_deferred(self) -> None:
        """Run the tasks that wait for the end of the calling thread's turn."""
        ready: deque[Task] = self._local.ready
        while ready:
            task = ready.popleft()
            if task.run_turn():
                ready.append(task)
