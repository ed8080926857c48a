"""Small programs that log with the Rerun SDK; in the demo each is a process of its own."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from forebay.runtime import Event, monotonic_s, spawn


def paced(hz: float) -> Iterator[int]:
    """Yield 0, 1, 2, … at `hz` per second until standard input ends; 0 is always yielded.

    Standard input ends when the demo closes it, and also when the demo has ended for any reason.
    """
    over = Event()

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(sys.stdin.fileno(), 4096):
                pass
        over.set()

    spawn("stdin", watch)
    started_s = monotonic_s()
    tick = 0
    while tick == 0 or not over.wait(max(0.0, started_s + tick / hz - monotonic_s())):
        yield tick
        tick += 1
