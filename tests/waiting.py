"""Waiting for what other threads or processes bring about."""

from __future__ import annotations

import threading
from collections.abc import Callable

TIMEOUT_S = 60.0
"""Only ever over in a test that fails."""


def until(predicate: Callable[[], bool], what: str = "it") -> None:
    """Return once `predicate` holds; fail if it does not come to that."""
    tick = threading.Event()
    for _ in range(int(TIMEOUT_S / 0.005)):
        if predicate():
            return
        tick.wait(0.005)
    raise AssertionError(f"{what} did not happen within {TIMEOUT_S} s")
