"""What runtimes on real threads share: locks, the clock and thread ids."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from forebay.runtime.protocol import Lock, Task


class Primitives:
    """Locks and clocks of the standard library, for runtimes on real threads and without any."""

    def lock(self) -> Lock:
        """Return a lock that is not reentrant."""
        return threading.Lock()

    def rlock(self) -> Lock:
        """Return a reentrant lock."""
        return threading.RLock()

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary moment; the value never decreases."""
        return time.monotonic()

    def thread_id(self) -> int:
        """Return an id that no other live thread has."""
        return threading.get_ident()


class CallersTurns(Primitives):
    """Base of the runtimes without threads of their own: turns run on the callers' threads."""

    has_threads = False
    num_threads = 0
    is_in_caller = True

    def turns_at_once(self, msg_bytes: int) -> int:
        """Return 1: turns run one after another on one thread."""
        del msg_bytes
        return 1

    def make_room(self, worked_s: float) -> None:
        """Do nothing: turns and queries share one thread and never run at the same time."""
        del worked_s

    def lend_thread(self) -> AbstractContextManager[None]:
        """Return a context manager that does nothing: turns run on the caller's thread anyway."""
        return nullcontext()

    def run_waiting(self, task: Task) -> bool:
        """Return False: no task waits for a thread here."""
        del task
        return False
