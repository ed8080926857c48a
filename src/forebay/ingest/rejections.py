"""`RejectionLog`: what one store had rejected, in bounded memory. Pure."""

from __future__ import annotations

from collections import deque
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from forebay.errors import LimitError
from forebay.limits import REJECTIONS_KEPT_BYTES_MAX, REJECTIONS_KEPT_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from forebay.ingest.outcomes import Rejection

_REJECTION_COST_BYTES: Final = 160
"""What a rejection takes without its error: the object, its chunk id, its place in the log."""

_ERROR_COST_BYTES: Final = 640
"""What an error takes without its text: the object and its fields, and those of its cause."""


class RejectionLog:
    """The first rejections, which tell how it began, and the last ones, which tell how it goes.

    Beyond `limits.REJECTIONS_KEPT_MAX`, and beyond `limits.REJECTIONS_KEPT_BYTES_MAX`, those in the
    middle are only counted, elsewhere. Each half has half of both; the newest one always stays.

    Attributes:
        held_bytes: About what they take of the process's memory.
    """

    __slots__ = {
        "_first": "The first rejections.",
        "_is_first_full": "Whether `_first` takes no more.",
        "_last": "The last rejections, each with what it takes; `None` before the first.",
        "_last_bytes": "What `_last` takes.",
        "held_bytes": "See `Attributes`.",
    }

    def __init__(self) -> None:
        self.held_bytes = 0
        self._first: list[Rejection] = []
        self._is_first_full = False
        self._last: deque[tuple[Rejection, int]] | None = None
        self._last_bytes = 0

    def __len__(self) -> int:
        return len(self._first) + len(self._last or ())

    def __iter__(self) -> Iterator[Rejection]:
        yield from self._first
        for rejected, _ in self._last or ():
            yield rejected

    def extend(self, rejections: Sequence[Rejection]) -> None:
        """Note rejections, in order, but for those that were noted just before.

        They come again if a Ctrl-C came before they were settled.
        """
        last = (one for one, _ in reversed(self._last or ()))
        noted = chain(last, reversed(self._first))
        known = {id(rejected) for rejected in islice(noted, len(rejections))}
        for rejected in rejections:
            if id(rejected) not in known:
                self._append(rejected)

    def _append(self, rejected: Rejection) -> None:
        cost = self._cost_bytes(rejected)
        first = self._first
        if not self._is_first_full:
            if (
                len(first) < REJECTIONS_KEPT_MAX // 2
                and self.held_bytes + cost <= REJECTIONS_KEPT_BYTES_MAX // 2
            ):
                first.append(rejected)
                self.held_bytes += cost
                return
            self._is_first_full = True
        if self._last is None:
            self._last = deque()
        last = self._last
        last.append((rejected, cost))
        self._last_bytes += cost
        self.held_bytes += cost
        num_max = REJECTIONS_KEPT_MAX - REJECTIONS_KEPT_MAX // 2
        while len(last) > 1 and (
            len(last) > num_max or self._last_bytes > REJECTIONS_KEPT_BYTES_MAX // 2
        ):
            _, gone = last.popleft()
            self._last_bytes -= gone
            self.held_bytes -= gone

    def _cost_bytes(self, rejected: Rejection) -> int:
        """What a rejection adds; an error that it shares with others costs nothing."""
        error = rejected.error
        if isinstance(error, LimitError) and error.is_shared:
            return _REJECTION_COST_BYTES
        cause = error.__cause__
        text = len(error.message) + (0 if cause is None else len(str(cause)))
        return _REJECTION_COST_BYTES + _ERROR_COST_BYTES + text
