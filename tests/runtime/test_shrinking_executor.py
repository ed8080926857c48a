"""An executor for libraries, whose threads end when there is nothing to do."""

from __future__ import annotations

import threading

import pytest

from forebay.runtime import ShrinkingExecutor
from tests.waiting import TIMEOUT_S, until


def test_threads_are_made_for_calls_and_end_after_them() -> None:
    pool = ShrinkingExecutor(50, "some")
    let_go = threading.Event()
    calls = [pool.submit(let_go.wait, TIMEOUT_S) for _ in range(50)]
    until(lambda: pool.num_threads == 50)
    assert any(thread.name.startswith("forebay-some-") for thread in threading.enumerate())
    let_go.set()
    assert all(call.result(TIMEOUT_S) for call in calls)
    until(lambda: pool.num_threads == 0)
    assert pool.submit(lambda a, *, b: a + b, 1, b=2).result(TIMEOUT_S) == 3


def test_calls_beyond_its_threads_wait_for_one() -> None:
    pool = ShrinkingExecutor(2, "some")
    calls = [pool.submit(threading.get_ident) for _ in range(200)]
    assert all(call.result(TIMEOUT_S) for call in calls)
    assert pool.num_threads <= 2


def test_errors_belong_to_the_caller() -> None:
    pool = ShrinkingExecutor(1, "some")
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 // 0).result(TIMEOUT_S)
    assert pool.submit(lambda: "goes on").result(TIMEOUT_S) == "goes on"


def test_shut_down() -> None:
    pool = ShrinkingExecutor(4, "some")
    let_go = threading.Event()
    call = pool.submit(let_go.wait, TIMEOUT_S)
    pool.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="accepts no new calls"):
        pool.submit(print)
    let_go.set()
    pool.shutdown()
    assert call.done()
    assert pool.num_threads == 0
