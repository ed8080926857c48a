"""What this interpreter can do, and the clocks."""

from __future__ import annotations

import sys
import time


def gil_enabled() -> bool:
    """Whether one global lock lets only one thread run Python at a time."""
    probe = getattr(sys, "_is_gil_enabled", None)
    return True if probe is None else bool(probe())


def threads_available() -> bool:
    """Whether threads can be started here: not in WebAssembly, unless built with pthreads."""
    if sys.platform == "wasi":
        return False
    if sys.platform == "emscripten":
        return bool(getattr(sys._emscripten_info, "pthreads", False))  # type: ignore[attr-defined,unused-ignore]  # noqa: SLF001
    return True


def wall_clock_ns() -> int:
    """Nanoseconds since the Unix epoch: what row ids and SDK timestamps are compared with."""
    return time.time_ns()


def monotonic_s() -> float:
    """Seconds since some fixed moment; never goes back."""
    return time.monotonic()


def thread_cpu_s() -> float:
    """Processor seconds of the calling thread, from an arbitrary start."""
    return time.thread_time()
