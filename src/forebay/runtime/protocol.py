"""The interface between Forebay and the platform: locks, clocks and the scheduling of tasks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol


class Lock(Protocol):
    """A mutual exclusion lock, used in a `with` block.

    Of the standard library's locks only this part is used, so that a simulation can replace them.
    """

    def __enter__(self) -> bool:
        """Block until the lock is free and acquire it."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Release the lock."""
        ...


class Condition(Lock, Protocol):
    """A condition variable: a lock whose holder can wait until another thread notifies.

    Like `threading.Condition`, except that a wait returns early where no other thread could notify.
    """

    def wait(self, timeout: float | None = None) -> bool:
        """Release the lock until notified, then take it again.

        A wait may also return early, so the caller must check its predicate again.

        Args:
            timeout: Longest wait, in seconds. None waits without a limit.

        Returns:
            False if waiting longer has no use: `timeout` is over, or no other thread could ever
            notify. Otherwise True.
        """
        ...

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until `predicate` returns true.

        Args:
            predicate: Called with the lock held.
            timeout: Longest wait, in seconds. None waits without a limit.

        Returns:
            True when `predicate` holds. False when `wait` would return False.
        """
        ...

    def notify_all(self) -> None:
        """Wake all waiting threads."""
        ...


class Task(Protocol):
    """A unit of scheduling that does its work in bounded steps, called turns.

    A task may have three more attributes, which order the tasks that wait for a turn: `priority`
    above 0 is urgent and goes before all others; `is_brief` (its turn takes a moment) goes before
    tasks with much to do; `is_light` (its turn is mostly Python code) runs alone under a GIL.
    """

    def run_turn(self) -> bool:
        """Do one bounded step of work.

        Returns:
            True to ask for another turn. False if there is nothing to do now; the task is then
            scheduled again when there is.
        """
        ...


class Runtime(Protocol):
    """Runs tasks, and defines what threads, waiting and time are for them.

    All methods are thread-safe.
    """

    @property
    def name(self) -> str:
        """Name for display: `native`, `inline`, `web-worker` or `simulated`."""
        ...

    @property
    def has_threads(self) -> bool:
        """Whether tasks run in parallel with the caller; if not, in `schedule` or in a wait."""
        ...

    @property
    def num_threads(self) -> int:
        """Number of live threads of this runtime."""
        ...

    @property
    def is_contended(self) -> bool:
        """Whether other tasks wait for a turn, so that the current turn should be short."""
        ...

    def lock(self) -> Lock:
        """Return a new lock that is not reentrant."""
        ...

    def rlock(self) -> Lock:
        """Return a new reentrant lock."""
        ...

    def condition(self, lock: Lock | None = None) -> Condition:
        """Return a condition variable.

        Args:
            lock: Its lock, one of this runtime's `lock()`. None makes a new one.
        """
        ...

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary moment; the value never decreases."""
        ...

    def thread_id(self) -> int:
        """Return an id that no other live thread has."""
        ...

    def turns_at_once(self, msg_bytes: int) -> int:
        """Return how many turns of one task should run at the same time now.

        Args:
            msg_bytes: Mean size of the task's messages, in bytes.
        """
        ...

    def make_room(self, worked_s: float) -> None:
        """Pause the calling worker for a moment so that running queries go first.

        Args:
            worked_s: Duration of the turn that just ended, in seconds.
        """
        ...

    @property
    def is_in_caller(self) -> bool:
        """Whether the calling thread is in a turn that it runs itself, inside a call of its own.

        If so, an interrupt (Ctrl-C) in that turn is raised to the caller.
        """
        ...

    def lend_thread(self) -> AbstractContextManager[None]:
        """Return a context manager; tasks scheduled in its `with` block run on the calling thread.

        For a caller that would only wait for the tasks: under a GIL, handing work to another thread
        and waiting for it costs more than doing it. The turns run at the end of the block, or when
        the thread waits inside it. If other tasks wait for a turn, the tasks are queued as usual.
        """
        ...

    def run_waiting(self, task: Task) -> bool:
        """Run one turn of a queued task on the calling thread, if the turn may begin now.

        For a caller that would only wait for the task, and without a timeout: it saves two context
        switches, one before the turn and one after it.

        Returns:
            Whether a turn was run. If not, the caller waits.
        """
        ...

    def schedule(self, task: Task) -> None:
        """Run turns of `task` until `Task.run_turn` returns False.

        The caller holds no lock, and does not schedule a task twice that supports only one turn at
        a time. The runtime drops its reference to the task after the last turn.
        """
        ...
