"""`Turnstile`: threads that would only get in each other's way pass one at a time."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Turnstile:
    """Turns for threads, in the order in which they come.

    It is about speed, not about exclusion: who keeps its turn for longer than the limit is taken
    for stuck, and the next one begins beside it. Whoever is next looks for that once in the limit,
    so it may take two of them.
    """

    def __init__(self, limit_s: float) -> None:
        """Turns of at most so many seconds."""
        self._limit_s = limit_s
        self._lock = threading.Lock()
        # Each has a condition of its own: to wake all for a turn of one cost more than the turns.
        self._waiting: deque[threading.Condition] = deque()
        self._holder: object | None = None
        self._until_s = 0.0

    @property
    def num_waiting(self) -> int:
        """Threads that wait for their turn."""
        return len(self._waiting)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and keep it until the end of the `with` block."""
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
                    self._wake_next()  # a Ctrl-C: what woke this one was meant for the next
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
