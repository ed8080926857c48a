"""Ctrl-C and SIGTERM for commands that run until they are interrupted."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

    from forebay.runtime import Event

LOST_INTERRUPT_S: Final = 0.05
"""Seconds after which an interrupt that was lost in a destructor is raised again."""


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


def raise_lost_interrupts_again() -> None:
    """Raise a KeyboardInterrupt again, a moment later, that came inside a destructor.

    Python ignores exceptions of destructors (`sys.unraisablehook`). A Ctrl-C that arrives while one
    runs would be lost, and a command that waits for input would go on waiting. Call it in the main
    thread. Without effect where the system has no interval timers (Windows).
    """
    if not hasattr(signal, "setitimer"):
        return
    before = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, LOST_INTERRUPT_S)
        else:
            before(unraisable)

    def on_alarm(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, on_alarm)
    sys.unraisablehook = hook
