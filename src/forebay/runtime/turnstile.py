"""`Turnstile`: lets one thread at a time run where parallel threads would slow each other down."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Turnstile:
    """Turns for threads, first come, first served.

    It is a means for speed, not for mutual exclusion: a thread that keeps its turn for longer than
    the limit counts as stuck, and the next one starts in parallel with it. The next thread checks
    for that once per limit, so this takes up to twice the limit.

    Args:
        limit_s: Longest duration of a turn, in seconds.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._lock = threading.Lock()
        # Each waiting thread has its own condition: waking all of them for one turn cost more than
        # the turns.
        self._waiting: deque[threading.Condition] = deque()
        self._holder: object | None = None
        self._until_s = 0.0

    @property
    def num_waiting(self) -> int:
        """Number of threads that wait for their turn."""
        return len(self._waiting)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Return a context manager that waits for a turn and keeps it to the end of the block."""
        me = threading.Condition(self._lock)
        with self._lock:
            self._waiting.append(me)
            try:
                while self._waiting[0] is not me or not self._is_free():
                    me.wait(self._limit_s)
                self._holder, self._until_s = me, time.monotonic() + self._limit_s
            finally:
                self._waiting.remove(me)
                if self._holder is not me:
                    self._wake_next()  # a Ctrl-C: pass the notification on to the next thread
        try:
            yield
        finally:
            with self._lock:
                if self._holder is me:
                    self._holder = None
                self._wake_next()

    def _is_free(self) -> bool:
        return self._holder is None or time.monotonic() >= self._until_s

    def _wake_next(self) -> None:
        if self._waiting:
            self._waiting[0].notify()
