"""How many long queries run now, so that those who share a processor with them can make room."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import wraps
from typing import Final, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")

_running: Final[deque[None]] = deque()
"""One item for each: appending and popping need no lock, with a GIL or without."""


def num_queries_running() -> int:
    """Dataframes and ranges that are being made in this process, on whatever thread."""
    return len(_running)


def running(query: Callable[_P, _R]) -> Callable[_P, _R]:
    """A query that counts as running while it is called."""

    @wraps(query)
    def counted(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        _running.append(None)
        try:
            return query(*args, **kwargs)
        finally:
            _running.pop()

    return counted
