"""Waiting on a thread that has work of its own to do first."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from forebay.runtime.protocol import Lock

_T = TypeVar("_T")


class Deferring(Protocol):
    """A runtime that may keep tasks back for the calling thread."""

    can_wait: bool
    """Whether another thread could end a wait."""

    @property
    def has_deferred(self) -> bool:
        """Whether tasks wait for the calling thread."""
        ...

    def run_deferred(self) -> None:
        """See to it that they run."""
        ...


class DeferringCondition(threading.Condition):
    """A condition whose waiter may be the very thread that must do what is waited for.

    Whoever waits sees to the tasks that were kept back for its thread first. Where nobody else
    could notify, waiting gives up.
    """

    def __init__(self, lock: Lock | None, runtime: Deferring) -> None:
        """A condition over `lock`, or over a lock of its own."""
        super().__init__(lock)  # type: ignore[arg-type]
        self._runtime = runtime

    def wait(self, timeout: float | None = None) -> bool:
        """See to deferred tasks, or wait; either way it is time to look again."""
        if self._runtime.has_deferred:
            self.release()
            try:
                self._runtime.run_deferred()
            finally:
                self.acquire()
            return True
        return self._runtime.can_wait and super().wait(timeout)

    def wait_for(self, predicate: Callable[[], _T], timeout: float | None = None) -> _T:
        """Wait until `predicate` holds; its last value if waiting longer is no use."""
        while not (result := predicate()) and self._runtime.has_deferred:
            self.wait()
        if result or not self._runtime.can_wait:
            return result
        return super().wait_for(predicate, timeout)
