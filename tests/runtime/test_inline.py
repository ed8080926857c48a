from __future__ import annotations

import pytest

from forebay.runtime import InlineRuntime
from tests.runtime.conformance import Counting, RuntimeConformance


class TestInlineRuntime(RuntimeConformance):
    def make(self) -> InlineRuntime:
        return InlineRuntime()


def test_all_is_done_when_schedule_returns() -> None:
    task = Counting(7)
    InlineRuntime().schedule(task)
    assert task.left == 0


def test_turns_do_not_nest() -> None:
    runtime = InlineRuntime()
    log: list[str] = []

    class Outer(Counting):
        def run_turn(self) -> bool:
            log.append("begin")
            runtime.schedule(Counting(1, log, "inner"))
            log.append("end")
            return False

    runtime.schedule(Outer(1))
    assert log == ["begin", "end", "inner"]


def test_an_interrupt_reaches_the_caller_and_what_is_left_runs_later() -> None:
    runtime = InlineRuntime()
    left = Counting(1)

    class Interrupted(Counting):
        def run_turn(self) -> bool:
            runtime.schedule(left)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runtime.schedule(Interrupted(1))
    assert left.left == 1
    runtime.schedule(Counting(1))
    assert left.left == 0


def test_where_nobody_else_is_a_wait_gives_up_at_once() -> None:
    changed = InlineRuntime(can_wait=False).condition()
    with changed:
        assert not changed.wait()
        assert not changed.wait_for(lambda: False)
        assert changed.wait_for(lambda: True)
