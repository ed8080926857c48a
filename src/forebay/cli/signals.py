"""Ctrl-C and SIGTERM for commands that run until they are interrupted."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

    from forebay.runtime import Event


@contextlib.contextmanager
def until_told() -> Iterator[Event]:
    """Return a context manager that gives an event, which the first SIGINT or SIGTERM sets.

    A second signal raises KeyboardInterrupt. The earlier signal handlers are restored at the end.
    """
    from forebay.runtime import Event  # noqa: PLC0415 - `--help` needs no runtime

    over = Event()

    def on_signal(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        if over.is_set():
            raise KeyboardInterrupt
        over.set()

    before = {
        number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield over
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_cleanly_when_terminated() -> None:
    """Make SIGTERM raise `SystemExit`, so that `finally` blocks remove half-written files."""

    def on_signal(signum: int, frame: FrameType | None) -> None:
        del frame
        sys.exit(128 + signum)

    signal.signal(signal.SIGTERM, on_signal)
