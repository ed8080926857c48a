"""Many threads at once, started together, and the first thing that went wrong in any of them."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

PATIENCE_S = 120.0
"""Only ever waited for by a test that fails."""

ROUNDS = int(os.environ.get("FOREBAY_STRESS_ROUNDS", "1"))
"""How often each test is run; `make test-free-threaded` asks for more."""

SWITCH_INTERVAL_S = 1e-5
"""With a GIL, threads change places as often as this, so that they also meet in odd places."""


class Going:
    """Whether the threads that do the work still run; the others go on as long."""

    def __init__(self) -> None:
        self._over = threading.Event()

    def __bool__(self) -> bool:
        return not self._over.is_set()

    def stop(self) -> None:
        self._over.set()


@contextmanager
def hurried() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def hammer(
    workers: Sequence[Callable[[], object]],
    beside: Sequence[Callable[[Going], object]] = (),
) -> None:
    """Run all at once: `workers` to their end, `beside` until then (they look at `Going`).

    Raises:
        BaseException: What any of them raised, the first of all.
    """
    going = Going()
    failures: list[BaseException] = []
    barrier = threading.Barrier(len(workers) + len(beside))

    def run(function: Callable[[], object]) -> None:
        try:
            barrier.wait(PATIENCE_S)
            function()
        except BaseException as error:
            failures.append(error)
            going.stop()

    def start(function: Callable[[], object]) -> threading.Thread:
        thread = threading.Thread(target=run, args=(function,), daemon=True)
        thread.start()
        return thread

    with hurried():
        companions = [start(lambda one=one: one(going)) for one in beside]  # type: ignore[misc]
        threads = [start(one) for one in workers]
        for thread in threads:
            thread.join(PATIENCE_S)
        going.stop()
        for thread in companions:
            thread.join(PATIENCE_S)
    stuck = [thread for thread in (*threads, *companions) if thread.is_alive()]
    if failures:
        raise failures[0]
    assert not stuck, f"deadlock: {len(stuck)} threads do not end"
