"""`InlineRuntime`: tasks run in the caller. For WebAssembly, and wherever threads are unwanted."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from forebay.runtime.platform import threads_available

if TYPE_CHECKING:
    from collections.abc import Callable

    from forebay.runtime.protocol import Condition, Lock, Task

_T = TypeVar("_T")


class InlineRuntime:
    """Whoever schedules a task runs it, turn after turn, until it has no more to do.

    A task scheduled from inside a turn runs after that turn, on the same thread: turns do not
    nest. Several threads may use one inline runtime; each runs what it schedules.
    """

    name = "inline"
    has_threads = False
    num_threads = 0

    def __init__(self, *, can_wait: bool | None = None) -> None:
        """Make a runtime; `can_wait` says whether another thread could end a wait."""
        self._can_wait = threads_available() if can_wait is None else can_wait
        self._local = threading.local()

    def lock(self) -> Lock:
        """A lock that is not reentrant."""
        return threading.Lock()

    def rlock(self) -> Lock:
        """A lock that its holder may take again."""
        return threading.RLock()

    def condition(self, lock: Lock | None = None) -> Condition:
        """A condition; where there can be no other thread, waiting on it gives up at once."""
        kind = threading.Condition if self._can_wait else _LonelyCondition
        return kind(lock)  # type: ignore[arg-type]

    def monotonic_s(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        return time.monotonic()

    def thread_id(self) -> int:
        """Tells the calling thread from all others alive."""
        return threading.get_ident()

    def turns_at_once(self, msg_bytes: int) -> int:
        """One: whoever schedules a task runs it."""
        del msg_bytes
        return 1

    def schedule(self, task: Task) -> None:
        """Run `task` here and now, or after the turn that the calling thread is in."""
        local = self._local
        if not hasattr(local, "ready"):
            local.ready = deque()
            local.is_running = False
        ready: deque[Task] = local.ready
        ready.append(task)
        if local.is_running:
            return
        local.is_running = True
        try:
            while ready:
                task = ready.popleft()
                if task.run_turn():
                    ready.append(task)
        finally:
            # After an exception (Ctrl-C inside a turn) tasks may be left; the next call, which
            # the interrupted task's owner makes, runs them.
            local.is_running = False


class _LonelyCondition(threading.Condition):
    """Nobody else can ever notify, so a wait would hang for ever: it gives up at once."""

    def wait(self, timeout: float | None = None) -> bool:
        del timeout
        return False

    def wait_for(self, predicate: Callable[[], _T], timeout: float | None = None) -> _T:
        del timeout
        return predicate()
