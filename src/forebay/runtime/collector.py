"""How often the interpreter looks for cycles of garbage."""

from __future__ import annotations

import contextlib
import gc
import threading
from typing import TYPE_CHECKING

from forebay.limits import COLLECTION_OBJECTS_MIN

if TYPE_CHECKING:
    from collections.abc import Iterator


class RareCollections:
    """Spans of time, of several threads at once, in which the collector is called less often.

    A block of small messages is some ten thousand objects that are gone a moment later. While
    they are there, the collector looks through them ten times, takes them for long-lived, and
    then looks through everything else that the process has: for nothing, as none is part of a
    cycle. So meanwhile it is called after more new objects than a block has. It is never switched
    off: it is the whole process's, and a span may last as long as a store is stuck.
    """

    def __init__(self, objects_min: int = COLLECTION_OBJECTS_MIN) -> None:
        """Spans that let so many new objects come together."""
        self._objects_min = objects_min
        self._lock = threading.Lock()
        self._num_spans = 0
        self._usual = 0

    @contextlib.contextmanager
    def span(self) -> Iterator[None]:
        """Let the collector be called less often until the end of the `with` block."""
        with self._lock:
            self._num_spans += 1
            if self._num_spans == 1:
                self._usual, *others = gc.get_threshold()
                # None at all means that somebody has switched it off.
                if 0 < self._usual < self._objects_min:
                    gc.set_threshold(self._objects_min, *others)
        try:
            yield
        finally:
            with self._lock:
                self._num_spans -= 1
                now, *others = gc.get_threshold()
                # Whoever has changed it meanwhile, knows why.
                if not self._num_spans and now == self._objects_min:
                    gc.set_threshold(self._usual, *others)


_spans = RareCollections()
collections_rare = _spans.span
"""A span of this process."""
