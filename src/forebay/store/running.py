"""The number of long queries that run now; other work on the same processor can yield to them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import wraps
from typing import Final, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")

_running: Final[deque[None]] = deque()
"""One item per running query. Append and pop are atomic with and without the GIL."""


def num_queries_running() -> int:
    """Return the number of dataframe and range queries that run in this process, on any thread."""
    return len(_running)


def running(query: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorate a query so that it counts as running while it is called.

    Args:
        query: The function to count.
    """

    @wraps(query)
    def counted(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        _running.append(None)
        try:
            return query(*args, **kwargs)
        finally:
            _running.pop()

    return counted
