"""`InlineRuntime`: tasks run in the caller. For WebAssembly, and wherever threads are unwanted."""

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
    """Whoever schedules a task runs it, turn after turn, until it has no more to do.

    A task scheduled from inside a turn runs after that turn, on the same thread: turns do not
    nest. Several threads may use one inline runtime; each runs what it schedules.
    """

    name = "inline"

    def __init__(self, *, can_wait: bool | None = None) -> None:
        """Make a runtime; `can_wait` says whether another thread could end a wait."""
        self.can_wait = threads_available() if can_wait is None else can_wait
        self._local = threading.local()

    def condition(self, lock: Lock | None = None) -> Condition:
        """A condition; where there can be no other thread, waiting on it gives up at once."""
        return DeferringCondition(lock, self)

    @property
    def is_contended(self) -> bool:
        """Never: whoever schedules a task runs it."""
        return False

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
