"""What this interpreter can do, and the clocks."""

from __future__ import annotations

import os
import sys
import time

from forebay.limits import BULKY_BESIDE_PROCESSORS_MIN, GIL_SWITCH_S, PARALLEL_MSG_BYTES_MIN


def gil_enabled() -> bool:
    """Whether one global lock lets only one thread run Python at a time."""
    probe = getattr(sys, "_is_gil_enabled", None)
    return True if probe is None else bool(probe())


def switch_threads_often() -> None:
    """Let threads that wait for the GIL have it soon, in the whole process.

    A thread that holds the GIL keeps it for 5 ms by default, so a message that passes three
    threads (who received it, its worker, who waits for it) may take 15 ms beside busy ones. What a
    process does with its threads is for its owner to say: our own servers do, the library does not.
    """
    sys.setswitchinterval(GIL_SWITCH_S)


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


def processors() -> int:
    """Processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return (len(affinity(0)) if affinity is not None else os.cpu_count()) or 1


def decodes_where_read(msg_bytes: int, num_files: int) -> bool:
    """Whether the thread that reads a file should decode it too, one file at a time.

    Under a GIL threads that read and decode small messages would fight for it. Bulky ones are
    decoded outside of it: beside the reading of the same file, and of others where there are
    processors enough.

    Args:
        msg_bytes: Size of the file's messages.
        num_files: Files that are loaded side by side.
    """
    if not gil_enabled():
        return False
    return msg_bytes < PARALLEL_MSG_BYTES_MIN or (
        num_files > 1 and processors() < BULKY_BESIDE_PROCESSORS_MIN
    )


def turns_worth_having(msg_bytes: int, num_busy: int) -> int:
    """How many turns of one store pay off, with messages of that mean size.

    Small messages decoded on two threads cost more than on one: under a GIL the threads fight for
    it at every call into Arrow, and without one for the objects of the store, whose commits take
    turns anyway. Bulky ones spend their time inside of Arrow, and run in parallel on what
    processors are idle.

    Args:
        msg_bytes: Mean size of the messages.
        num_busy: Threads that are in a turn now, of all stores.
    """
    if msg_bytes < PARALLEL_MSG_BYTES_MIN:
        return 1
    idle = processors() - num_busy
    # The store's own turn is among the busy ones: with an idle processor it may have one more.
    return 1 + max(0, idle)
