"""What this interpreter and machine support, and the clocks."""

from __future__ import annotations

import os
import sys
import time

from forebay.limits import BULKY_BESIDE_PROCESSORS_MIN, GIL_SWITCH_S, PARALLEL_MSG_BYTES_MIN


def gil_enabled() -> bool:
    """Return whether a global interpreter lock lets only one thread run Python code at a time.

    False only on a free-threaded build (3.13 and later) that runs without the GIL.
    """
    probe = getattr(sys, "_is_gil_enabled", None)
    return True if probe is None else bool(probe())


def switch_threads_often() -> None:
    """Shorten the interpreter's switch interval to `limits.GIL_SWITCH_S`, for the whole process.

    By default a thread keeps the GIL for 5 ms while others want it. A message that passes three
    threads (the receiver, the worker, the thread that waits for it) may then take 15 ms while other
    threads are busy. The setting belongs to the application: Forebay's own servers change it, the
    library does not.
    """
    sys.setswitchinterval(GIL_SWITCH_S)


def threads_available() -> bool:
    """Return whether threads can be started: not in WebAssembly, unless built with pthreads."""
    if sys.platform == "wasi":
        return False
    if sys.platform == "emscripten":
        return bool(getattr(sys._emscripten_info, "pthreads", False))  # type: ignore[attr-defined,unused-ignore]  # noqa: SLF001
    return True


def wall_clock_ns() -> int:
    """Return nanoseconds since the Unix epoch, as in row ids and in the timestamps of SDKs."""
    return time.time_ns()


def monotonic_s() -> float:
    """Return seconds since an arbitrary moment; the value never decreases."""
    return time.monotonic()


def thread_cpu_s() -> float:
    """Return the CPU seconds of the calling thread, from an arbitrary start."""
    return time.thread_time()


def processors() -> int:
    """Return the number of processors that this process may use, at least 1.

    On Linux this is the CPU affinity of the process, otherwise the number of processors of the
    machine.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    return (len(affinity(0)) if affinity is not None else os.cpu_count()) or 1


def decodes_where_read(msg_bytes: int, num_files: int) -> bool:
    """Return whether the thread that reads a file should also decode it, one file at a time.

    Under a GIL, threads that read and decode small messages compete for it. Large messages are
    decoded outside the GIL: in parallel with the reading of the same file, and of other files if
    there are enough processors (`limits.BULKY_BESIDE_PROCESSORS_MIN`).

    Args:
        msg_bytes: Size of the file's messages, in bytes.
        num_files: Number of files that are loaded in parallel.
    """
    if not gil_enabled():
        return False
    return msg_bytes < PARALLEL_MSG_BYTES_MIN or (
        num_files > 1 and processors() < BULKY_BESIDE_PROCESSORS_MIN
    )


def turns_worth_having(msg_bytes: int, num_busy: int) -> int:
    """Return how many turns of one store are worth running in parallel.

    Decoding small messages on two threads costs more than on one: under a GIL the threads compete
    for it at every call into Arrow, and without a GIL they compete for the objects of the store,
    whose commits are serial anyway. Decoding of large messages spends its time inside Arrow and
    runs in parallel on the idle processors.

    Args:
        msg_bytes: Mean size of the messages, in bytes.
        num_busy: Number of threads that are in a turn now, of all stores.

    Returns:
        A number of turns, at least 1.
    """
    if msg_bytes < PARALLEL_MSG_BYTES_MIN:
        return 1
    idle = processors() - num_busy
    # The store's own turn is one of the busy ones; each idle processor allows one more.
    return 1 + max(0, idle)
