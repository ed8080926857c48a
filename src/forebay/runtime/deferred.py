"""A condition variable for threads that may have to run tasks themselves before they wait."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from forebay.runtime.protocol import Lock

_T = TypeVar("_T")


class Deferring(Protocol):
    """A runtime that may keep tasks for the calling thread."""

    can_wait: bool
    """Whether another thread can end a wait."""

    @property
    def has_deferred(self) -> bool:
        """Whether tasks are kept for the calling thread."""
        ...

    def run_deferred(self) -> None:
        """Run these tasks, or hand them to other threads."""
        ...


class DeferringCondition(threading.Condition):
    """A condition whose waiting thread may be the one that has to run the awaited task.

    Before a thread waits, it runs the tasks that were kept for it, or hands them to other threads.
    Where no other thread could notify, waiting returns at once.
    """

    def __init__(self, lock: Lock | None, runtime: Deferring) -> None:
        """Make a condition over `lock`, or over a new lock if that is None."""
        super().__init__(lock)  # type: ignore[arg-type]
        self._runtime = runtime

    def wait(self, timeout: float | None = None) -> bool:
        """Run the deferred tasks, or else wait until notified.

        Returns:
            True if deferred tasks were run or a notification came: check the predicate again. False
            after `timeout` seconds, or if no other thread can notify.
        """
        if self._runtime.has_deferred:
            self.release()
            try:
                self._runtime.run_deferred()
            finally:
                self.acquire()
            return True
        return self._runtime.can_wait and super().wait(timeout)

    def wait_for(self, predicate: Callable[[], _T], timeout: float | None = None) -> _T:
        """Wait until `predicate` returns a true value.

        Returns:
            The last value of `predicate`; a false one after `timeout` seconds, or if no other
            thread can notify.
        """
        while not (result := predicate()) and self._runtime.has_deferred:
            self.wait()
        if result or not self._runtime.can_wait:
            return result
        return super().wait_for(predicate, timeout)
