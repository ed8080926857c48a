"""`RejectionLog`: what one store had rejected, in bounded memory. Pure."""

from __future__ import annotations

from collections import deque
from itertools import chain, islice
from typing import TYPE_CHECKING

from forebay.limits import REJECTIONS_KEPT_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from forebay.ingest.outcomes import Rejection


class RejectionLog:
    """The first rejections, which tell how it began, and the last ones, which tell how it goes.

    Beyond `limits.REJECTIONS_KEPT_MAX` those in the middle are only counted, elsewhere.
    """

    __slots__ = ("_first", "_last")

    def __init__(self) -> None:
        self._first: list[Rejection] = []
        self._last: deque[Rejection] | None = None

    def __len__(self) -> int:
        return len(self._first) + len(self._last or ())

    def __iter__(self) -> Iterator[Rejection]:
        yield from self._first
        yield from self._last or ()

    def extend(self, rejections: Sequence[Rejection]) -> None:
        """Note rejections, in order, but for those that were noted just before.

        They come again if a Ctrl-C came before they were settled.
        """
        first = self._first
        noted = chain(reversed(self._last or ()), reversed(first))
        known = {id(rejected) for rejected in islice(noted, len(rejections))}
        for rejected in rejections:
            if id(rejected) in known:
                continue
            if len(first) < REJECTIONS_KEPT_MAX // 2:
                first.append(rejected)
                continue
            if self._last is None:
                self._last = deque(maxlen=REJECTIONS_KEPT_MAX - len(first))
            self._last.append(rejected)
