"""Adjusts how often Python's cyclic garbage collector runs."""

from __future__ import annotations

import contextlib
import gc
import threading
from typing import TYPE_CHECKING

from forebay.limits import COLLECTION_OBJECTS_MIN

if TYPE_CHECKING:
    from collections.abc import Iterator


class RareCollections:
    """Time spans during which the cyclic garbage collector runs less often.

    A block of small messages creates some ten thousand objects that live for a moment. With the
    default threshold the collector would scan them ten times, promote them to the old generation
    and then scan all objects of the process, although none of them is part of a cycle. During a
    span the threshold is therefore higher than the number of objects of a block. The collector is
    never switched off: it belongs to the whole process, and a span may last as long as a store is
    stuck.

    Thread-safe; spans of several threads may overlap.

    Args:
        objects_min: Threshold of generation 0 during a span, in new objects.
    """

    def __init__(self, objects_min: int = COLLECTION_OBJECTS_MIN) -> None:
        self._objects_min = objects_min
        self._lock = threading.Lock()
        self._num_spans = 0
        self._usual = 0

    @contextlib.contextmanager
    def span(self) -> Iterator[None]:
        """Return a context manager that raises the threshold inside its `with` block.

        A threshold that the application has changed in the meantime is left as it is.
        """
        with self._lock:
            self._num_spans += 1
            if self._num_spans == 1:
                self._usual, *others = gc.get_threshold()
                # A threshold of 0 means that the collector is switched off.
                if 0 < self._usual < self._objects_min:
                    gc.set_threshold(self._objects_min, *others)
        try:
            yield
        finally:
            with self._lock:
                self._num_spans -= 1
                now, *others = gc.get_threshold()
                # The application has changed the threshold in the meantime: keep its value.
                if not self._num_spans and now == self._objects_min:
                    gc.set_threshold(self._usual, *others)


_spans = RareCollections()
collections_rare = _spans.span
"""Return a span of this process."""
