"""What the rest of Forebay may ask of the platform: locks, clocks, and turns for its tasks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol


class Lock(Protocol):
    """Mutual exclusion, held in a `with` block."""

    def __enter__(self) -> bool:
        """Wait for the lock and take it."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Let go of the lock."""
        ...


class Condition(Lock, Protocol):
    """A lock that its holder can wait on until another holder notifies."""

    def wait(self, timeout: float | None = None) -> bool:
        """Let go of the lock until notified, then take it again.

        False says that waiting longer is no use: `timeout` seconds are over, or there is no other
        thread that could ever notify. It may also return early, so always look again.
        """
        ...

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until `predicate` holds and say so, or say False under the terms of `wait`."""
        ...

    def notify_all(self) -> None:
        """Wake everybody who waits."""
        ...


class Task(Protocol):
    """Something with work to do, a bounded piece at a time.

    Where turns have to be waited for, a task may say who comes first, and who runs beside whom:
    a `priority` above 0 goes before others, `is_brief` (its turn takes a moment) before those
    that have much to do, and `is_light` (its turn is mostly Python) runs alone under a GIL.
    """

    def run_turn(self) -> bool:
        """Do one piece; True if there is more, so that the task wants another turn."""
        ...


class Runtime(Protocol):
    """Where tasks get their turns, and what waiting and time mean there."""

    @property
    def name(self) -> str:
        """For people: `native`, `inline`, `web-worker` or `simulated`."""
        ...

    @property
    def has_threads(self) -> bool:
        """Whether tasks run beside the caller; if not, turns run in `schedule` or in a wait."""
        ...

    @property
    def num_threads(self) -> int:
        """Threads that this runtime has alive for its tasks."""
        ...

    @property
    def is_contended(self) -> bool:
        """Whether other tasks wait for the turn that one has now: it should be a short one."""
        ...

    def lock(self) -> Lock:
        """A lock that is not reentrant."""
        ...

    def rlock(self) -> Lock:
        """A lock that its holder may take again."""
        ...

    def condition(self, lock: Lock | None = None) -> Condition:
        """A condition over `lock` (one of this runtime's `lock()`), or over a lock of its own."""
        ...

    def monotonic_s(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    def thread_id(self) -> int:
        """Tells the calling thread from all others alive."""
        ...

    def turns_at_once(self, msg_bytes: int) -> int:
        """Turns that a task with messages of this mean size should have at the same time now."""
        ...

    def make_room(self, worked_s: float) -> None:
        """Let queries go first for a while, after a turn of so many seconds beside them."""
        ...

    @property
    def is_in_caller(self) -> bool:
        """Whether the calling thread is in a turn that it runs itself, for a call of its own.

        What interrupts such a turn (Ctrl-C) is the caller's to hear.
        """
        ...

    def lend_thread(self) -> AbstractContextManager[None]:
        """Run what the calling thread schedules inside the `with` block on that thread.

        For a caller who would only wait for it: where threads get in each other's way, handing
        work over and waiting for it costs more than doing it. The turns come at the end of the
        block, or when the thread waits inside of it; if others want theirs, tasks queue as ever.
        """
        ...

    def run_waiting(self, task: Task) -> bool:
        """Run a turn of a task that waits for one on the calling thread, if it may begin now.

        For a caller who would only wait for it, and may not time out: a thread less has to wake up
        before it begins, and one less when it is over.

        Returns:
            Whether a turn was run; if not, wait.
        """
        ...

    def schedule(self, task: Task) -> None:
        """Give `task` turns until it says that there is no more.

        The caller sees to it that a task that runs one turn at a time is not scheduled twice, and
        holds no lock. The runtime refers to the task only until its last turn is over.
        """
        ...
