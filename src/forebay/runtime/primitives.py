"""What every runtime on a real machine shares: its locks, its clock, its threads' names."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from forebay.runtime.protocol import Lock, Task


class Primitives:
    """Locks and clocks of the standard library; where there are no threads they cost nothing."""

    def lock(self) -> Lock:
        """A lock that is not reentrant."""
        return threading.Lock()

    def rlock(self) -> Lock:
        """A lock that its holder may take again."""
        return threading.RLock()

    def monotonic_s(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        return time.monotonic()

    def thread_id(self) -> int:
        """Tells the calling thread from all others alive."""
        return threading.get_ident()


class CallersTurns(Primitives):
    """What runtimes without threads of their own share: turns run on their callers' threads."""

    has_threads = False
    num_threads = 0
    is_in_caller = True

    def turns_at_once(self, msg_bytes: int) -> int:
        """One: there is one thread, and turns come one after another."""
        del msg_bytes
        return 1

    def make_room(self, worked_s: float) -> None:
        """Nothing: turns and queries share one thread, and do not meet."""
        del worked_s

    def lend_thread(self) -> AbstractContextManager[None]:
        """Nothing: turns run on the thread of whoever schedules them, or waits, anyway."""
        return nullcontext()

    def run_waiting(self, task: Task) -> bool:
        """Nothing: tasks do not wait for a thread here."""
        del task
        return False
