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
    for stuck, and the next one begins beside it.
    """

    def __init__(self, limit_s: float) -> None:
        """Turns of at most so many seconds."""
        self._limit_s = limit_s
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._holder: object | None = None
        self._until_s = 0.0

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and keep it until the end of the `with` block."""
        me = object()
        with self._changed:
            self._waiting.append(me)
            self._changed.notify_all()
            try:
                while self._waiting[0] is not me or self._seconds_left() > 0:
                    is_next = self._waiting[0] is me
                    self._changed.wait(self._seconds_left() if is_next else None)
                self._holder, self._until_s = me, time.monotonic() + self._limit_s
            finally:
                self._waiting.remove(me)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                if self._holder is me:
                    self._holder = None
                self._changed.notify_all()

    def _seconds_left(self) -> float:
        return 0.0 if self._holder is None else self._until_s - time.monotonic()
