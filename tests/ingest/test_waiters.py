"""Who waits for a worker, and which turns wake threads; at virtual times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from forebay.ingest.core import IngestCore
from forebay.ingest.waiters import Waiters, wake_all
from forebay.limits import ROOM_WAKE_INTERVAL_S
from tests.ingest.support import SIZE, ManualClock, numbered

CAPACITY = 4


class Waiting(ManualClock):
    """A runtime whose waits call back, and count how often the waiting thread is notified."""

    def __init__(self, during: Callable[[], object]) -> None:
        super().__init__()
        self.during = during
        self.notified = 0

    def condition(self, lock: object = None) -> Any:
        del lock
        return self

    def wait(self, timeout: float | None) -> bool:
        del timeout
        self.during()
        return True

    def notify_all(self) -> None:
        self.notified += 1


def queued(count: int) -> IngestCore:
    core = IngestCore(CAPACITY, 100 * SIZE)
    for number in range(count):
        core.accept(numbered(number), None, SIZE, 0.0)
    return core


def woken_at(core: IngestCore, *times_s: float, seq: int | None = None) -> list[bool]:
    """Whether turns that end at these times wake one waiting thread."""
    woken = []

    def turns() -> None:
        for now_s in times_s:
            before = runtime.notified
            waiters.notify_after_turn(now_s)
            woken.append(runtime.notified > before)

    runtime = Waiting(turns)
    waiters = Waiters(core, runtime.lock(), runtime)
    if seq is None:
        waiters.wait(None)
    else:
        waiters.wait_processed(seq, None)
    return woken


def test_while_there_is_enough_to_do_threads_are_woken_once_in_an_interval() -> None:
    full = queued(CAPACITY)
    step = ROOM_WAKE_INTERVAL_S
    times = (10.0, 10 + 0.5 * step, 10 + 0.99 * step, 10 + 1.01 * step, 10 + 1.5 * step)
    assert woken_at(full, *times) == [True, False, False, True, False]


def test_threads_are_woken_by_each_turn_that_leaves_the_queue_half_empty() -> None:
    assert woken_at(queued(CAPACITY // 2), 10.0, 10.0, 10.0) == [True, True, True]


def test_a_thread_that_waits_for_a_message_sleeps_until_it_is_processed() -> None:
    core = queued(2)
    assert woken_at(core, 10.0, 20.0, seq=0) == [False, False]
    batch = core.take(1, SIZE, 0.0)
    assert batch is not None
    core.finish(batch, [batch.entries[0]], 0.0, 0.0)  # type: ignore[list-item]
    assert woken_at(core, 10.0, seq=0) == [True]
    assert woken_at(core, 10.0, seq=1) == [False]


def test_no_thread_waits_for_itself_or_beyond_its_deadline() -> None:
    waits: list[None] = []
    runtime = Waiting(lambda: waits.append(None))
    waiters = Waiters(queued(1), runtime.lock(), runtime)
    runtime.now_s = 5.0
    assert not waiters.wait(5.0), "the deadline is over"
    waiters.owner_thread = runtime.thread_id()
    assert not waiters.wait(None), "the caller commits"
    waiters.owner_thread = None
    assert waits == []
    assert waiters.wait(5.1)
    assert waits == [None]


def test_a_ctrl_c_between_two_wakes_loses_none() -> None:
    woken: list[int] = []

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wake_all([lambda: woken.append(1), interrupted, lambda: woken.append(2)])
    assert woken == [1, 2]
