from __future__ import annotations

import pytest

from forebay.ingest import IngestionWorker
from forebay.model import ArrowMsg, StoreId
from forebay.runtime import WebWorkerRuntime
from tests.runtime.conformance import Counting, RuntimeConformance


class TestWebWorkerRuntime(RuntimeConformance):
    def make(self) -> WebWorkerRuntime:
        return WebWorkerRuntime()


class Loop:
    """An event loop of which the test turns the crank."""

    def __init__(self) -> None:
        self.slices_due = 0

    def request_slice(self) -> None:
        self.slices_due += 1


def test_nothing_runs_before_the_loop_comes_back() -> None:
    loop, task = Loop(), Counting(3)
    runtime = WebWorkerRuntime(loop.request_slice)
    runtime.schedule(task)
    assert (task.left, loop.slices_due) == (3, 1)
    assert not runtime.run_slice()
    assert task.left == 0


def test_a_slice_ends_in_time_and_asks_for_another() -> None:
    loop, task = Loop(), Counting(3)
    runtime = WebWorkerRuntime(loop.request_slice, slice_s=0.0)
    runtime.schedule(task)
    runtime.schedule(Counting(1))
    assert loop.slices_due == 1
    slices = 1
    while runtime.run_slice():
        slices += 1
        assert loop.slices_due == slices
    assert slices == 4


def test_an_interrupted_slice_leaves_the_others_their_turns() -> None:
    loop, other = Loop(), Counting(1)
    runtime = WebWorkerRuntime(loop.request_slice)

    class Interrupted(Counting):
        def run_turn(self) -> bool:
            raise KeyboardInterrupt

    runtime.schedule(Interrupted(1))
    runtime.schedule(other)
    with pytest.raises(KeyboardInterrupt):
        runtime.run_slice()
    assert loop.slices_due == 2
    runtime.run_slice()
    assert other.left == 0


def test_whoever_waits_runs_the_turns() -> None:
    runtime = WebWorkerRuntime(can_wait=False)
    task = Counting(5)
    runtime.schedule(task)
    changed = runtime.condition()
    with changed:
        assert changed.wait_for(lambda: task.left == 2)
        assert task.left == 2
        assert not changed.wait_for(lambda: False)
    assert task.left == 0


def test_where_nobody_else_is_a_wait_gives_up_at_once() -> None:
    changed = WebWorkerRuntime(can_wait=False).condition()
    with changed:
        assert not changed.wait()
        assert not changed.wait_for(lambda: False)
        assert changed.wait_for(lambda: True)


def test_a_full_queue_is_processed_by_the_submitter() -> None:
    store_id = StoreId.recording("app", "run")
    runtime = WebWorkerRuntime(can_wait=False)
    worker = IngestionWorker(4, store_id=store_id, runtime=runtime)
    for _ in range(4):
        assert worker.try_submit(ArrowMsg(store_id, b"?"))
    assert not worker.try_submit(ArrowMsg(store_id, b"?"))
    assert worker.submit(ArrowMsg(store_id, b"?")) == 4
    worker.close()
    assert [outcome.seq for outcome in worker.poll()] == [0, 1, 2, 3, 4]
    assert worker.stats().rejected == 5


def test_tasks_take_turns() -> None:
    runtime, order = WebWorkerRuntime(), []

    class Named(Counting):
        def __init__(self, name: str) -> None:
            super().__init__(3)
            self.name = name

        def run_turn(self) -> bool:
            order.append(self.name)
            return super().run_turn()

    runtime.schedule(Named("a"))
    runtime.schedule(Named("b"))
    runtime.run_all()
    assert order == ["a", "b"] * 3


def test_a_wait_that_must_be_given_up_looks_once_more() -> None:
    """What is waited for may come true between the last look and the end of the wait."""
    answers = iter([False, True])
    condition = WebWorkerRuntime(can_wait=False).condition()
    with condition:
        assert condition.wait_for(lambda: next(answers))
