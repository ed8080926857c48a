from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from forebay.runtime import NativeRuntime
from tests.runtime.conformance import TIMEOUT_S, Counting
from tests.runtime.test_native import Held, Light, Signalling
from tests.waiting import until


class Noting(Counting):
    """A light task that notes on which thread its turns are."""

    is_light = True

    def __init__(self, turns: int) -> None:
        super().__init__(turns)
        self.threads: list[str] = []

    def run_turn(self) -> bool:
        self.threads.append(threading.current_thread().name)
        return super().run_turn()


@pytest.fixture
def runtime() -> NativeRuntime:
    return NativeRuntime(takes_turns=True)


HERE = threading.current_thread().name


def test_what_is_scheduled_runs_on_the_lent_thread_at_the_end(runtime: NativeRuntime) -> None:
    first, second = Noting(3), Noting(2)
    with runtime.lend_thread():
        assert runtime.is_in_caller
        runtime.schedule(first)
        runtime.schedule(second)
        assert first.threads == []
    assert not runtime.is_in_caller
    assert first.threads == [HERE] * 3
    assert second.threads == [HERE] * 2
    assert runtime.num_threads == 0, "no thread was needed"


def test_what_a_turn_schedules_runs_there_too(runtime: NativeRuntime) -> None:
    inner = Noting(2)

    class Outer(Noting):
        def run_turn(self) -> bool:
            runtime.schedule(inner)
            assert inner.threads == [], "turns do not nest"
            return super().run_turn()

    with runtime.lend_thread():
        runtime.schedule(Outer(1))
    assert inner.threads == [HERE] * 2


def test_lending_again_inside_changes_nothing(runtime: NativeRuntime) -> None:
    task = Noting(1)
    with runtime.lend_thread():
        with runtime.lend_thread():
            runtime.schedule(task)
        assert task.threads == []
    assert task.threads == [HERE]


def test_without_a_gil_the_other_thread_is_the_better_one() -> None:
    runtime = NativeRuntime(takes_turns=False)
    task = Noting(1)
    with runtime.lend_thread():
        assert not runtime.is_in_caller
        runtime.schedule(task)
    assert runtime.join(TIMEOUT_S)
    assert task.threads[0].startswith("forebay-worker-")


def test_whoever_waits_leaves_the_turns_to_others(runtime: NativeRuntime) -> None:
    changed = runtime.condition()
    done: list[str] = []

    class Notifying(Noting):
        def run_turn(self) -> bool:
            with changed:
                done.append(threading.current_thread().name)
                changed.notify_all()
            return super().run_turn()

    with runtime.lend_thread():
        runtime.schedule(Notifying(1))
        with changed:
            assert changed.wait_for(lambda: bool(done), TIMEOUT_S)
    assert done[0] != HERE
    assert runtime.join(TIMEOUT_S)


def test_while_others_have_the_turn_or_want_it_tasks_queue_as_ever(
    runtime: NativeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forebay.runtime.native.ready.LIGHT_TURN_S", TIMEOUT_S)
    held, task = Light(), Noting(1)
    runtime.schedule(held)
    assert held.began.wait(TIMEOUT_S)
    with runtime.lend_thread():
        runtime.schedule(task)
    assert task.threads == []
    held.end.set()
    assert runtime.join(TIMEOUT_S)
    assert task.threads[0] != HERE


def test_a_turn_that_others_wait_for_goes_on_behind_them(
    runtime: NativeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forebay.runtime.native.ready.LIGHT_TURN_S", TIMEOUT_S)
    waiting = Signalling()
    waiting.is_light = True  # type: ignore[attr-defined]

    class Overtaken(Noting):
        def run_turn(self) -> bool:
            if not self.threads:
                thread = threading.Thread(target=runtime.schedule, args=(waiting,))
                thread.start()
                thread.join(TIMEOUT_S)
            return super().run_turn()

    task = Overtaken(3)
    with runtime.lend_thread():
        runtime.schedule(task)
    assert waiting.done.wait(TIMEOUT_S)
    assert runtime.join(TIMEOUT_S)
    assert task.threads[0] == HERE
    assert len(task.threads) == 3


def test_a_lent_thread_that_is_stuck_keeps_nobody_waiting(runtime: NativeRuntime) -> None:
    stuck, other = Light(), Signalling()
    other.is_light = True  # type: ignore[attr-defined]

    def lend() -> None:
        with runtime.lend_thread():
            runtime.schedule(stuck)

    lender = threading.Thread(target=lend)
    lender.start()
    assert stuck.began.wait(TIMEOUT_S)
    runtime.schedule(other)
    assert other.done.wait(TIMEOUT_S)
    stuck.end.set()
    lender.join(TIMEOUT_S)
    assert runtime.join(TIMEOUT_S)


def test_what_an_interrupt_leaves_is_done_by_others(runtime: NativeRuntime) -> None:
    after = Noting(2)

    class Interrupted(Counting):
        is_light = True

        def run_turn(self) -> bool:
            if super().run_turn():
                raise KeyboardInterrupt
            return False

    broken_off = Interrupted(2)

    def lend() -> None:
        with runtime.lend_thread():
            runtime.schedule(broken_off)
            runtime.schedule(after)

    with pytest.raises(KeyboardInterrupt):
        lend()
    assert runtime.join(TIMEOUT_S)
    assert broken_off.left == 0, "its turn was begun again"
    assert after.left == 0
    assert HERE not in after.threads


def test_what_was_scheduled_before_an_error_is_done_by_others(runtime: NativeRuntime) -> None:
    held = Held()

    def lend() -> None:
        with runtime.lend_thread():
            runtime.schedule(held)
            raise KeyError

    with pytest.raises(KeyError):
        lend()
    assert held.began.wait(TIMEOUT_S)
    held.end.set()
    assert runtime.join(TIMEOUT_S)


def test_lending_concerns_one_thread(runtime: NativeRuntime) -> None:
    task = Signalling()
    with runtime.lend_thread():
        thread = threading.Thread(target=runtime.schedule, args=(task,))
        thread.start()
        assert task.done.wait(TIMEOUT_S)
        thread.join(TIMEOUT_S)
    assert runtime.join(TIMEOUT_S)


def test_who_waits_for_a_turn_runs_it(
    runtime: NativeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forebay.runtime.native.ready.LIGHT_TURN_S", TIMEOUT_S)
    held, wanted = Light(), Noting(2)
    wanted.is_brief = True  # type: ignore[attr-defined]
    assert not runtime.run_waiting(wanted), "it does not wait for one"
    full = NativeRuntime(threads_max=1, takes_turns=True)
    full.schedule(held)
    assert held.began.wait(TIMEOUT_S)
    full.schedule(wanted)
    assert full.run_waiting(wanted)
    assert wanted.threads == [HERE], "one turn, and the next is for whoever comes"
    assert full.run_waiting(wanted)
    assert wanted.threads == [HERE] * 2
    assert not full.run_waiting(wanted)
    assert not full.is_in_caller
    held.end.set()
    assert full.join(TIMEOUT_S)


def test_an_interrupt_of_such_a_turn_leaves_it_to_others() -> None:
    runtime = NativeRuntime(threads_max=1, takes_turns=True)
    held = Light()
    runtime.schedule(held)
    assert held.began.wait(TIMEOUT_S)

    class Interrupted(Noting):
        is_brief = True

        def run_turn(self) -> bool:
            assert runtime.is_in_caller is (threading.current_thread().name == HERE)
            if super().run_turn():
                raise KeyboardInterrupt
            return False

    task = Interrupted(2)
    runtime.schedule(task)
    with pytest.raises(KeyboardInterrupt):
        runtime.run_waiting(task)
    held.end.set()
    assert runtime.join(TIMEOUT_S)
    assert task.threads[0] == HERE
    assert len(task.threads) == 2


def test_a_thread_that_is_lent_already_takes_nothing() -> None:
    held, waiting = Light(), Noting(1)
    waiting.is_brief = True  # type: ignore[attr-defined]
    full = NativeRuntime(threads_max=1, takes_turns=True)
    full.schedule(held)
    assert held.began.wait(TIMEOUT_S)
    full.schedule(waiting)
    with full.lend_thread():
        assert not full.run_waiting(waiting)
    assert waiting.threads == []
    held.end.set()
    assert full.join(TIMEOUT_S)
    assert len(waiting.threads) == 1


def test_whoever_waited_for_such_a_turn_goes_on_at_its_end(
    runtime: NativeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forebay.runtime.native.ready.LIGHT_TURN_S", 10 * TIMEOUT_S)
    long, held = Signalling(), Light()
    long.is_light = True  # type: ignore[attr-defined]

    class Wanted(Noting):
        is_brief = True

        def run_turn(self) -> bool:
            held.end.set()
            thread = threading.Thread(target=runtime.schedule, args=(long,))
            thread.start()
            thread.join(TIMEOUT_S)
            until(lambda: runtime._num_watching > 0, "that somebody watches this turn")
            return super().run_turn()

    wanted = Wanted(1)
    held.is_brief = True  # type: ignore[attr-defined]
    runtime.schedule(held)
    assert held.began.wait(TIMEOUT_S)
    runtime.schedule(wanted)
    assert runtime.run_waiting(wanted)
    assert long.done.wait(TIMEOUT_S)
    assert runtime.join(TIMEOUT_S)


def test_what_such_a_turn_schedules_is_left_to_the_threads(runtime: NativeRuntime) -> None:
    """It may be stuck, and whoever waits does not wait for it."""
    inner, held = Signalling(), Light()

    class Outer(Noting):
        is_brief = True

        def run_turn(self) -> bool:
            runtime.schedule(inner)
            assert inner.done.wait(TIMEOUT_S)
            return super().run_turn()

    runtime.schedule(held)
    assert held.began.wait(TIMEOUT_S)
    outer = Outer(1)
    runtime.schedule(outer)
    if runtime.run_waiting(outer):
        assert outer.threads == [HERE]
    held.end.set()
    assert runtime.join(TIMEOUT_S)


def test_a_process_that_ends_waits_for_turns_on_callers_threads() -> None:
    script = """
import sys, threading
from forebay.ingest import IngestionWorker
from forebay.runtime import NativeRuntime
from tests.ingest.support import HeldDecoder, decodes, numbered
runtime = NativeRuntime(threads_max=1, takes_turns=True)
gate, began = HeldDecoder(), threading.Event()
stuck = IngestionWorker(runtime=runtime, decoder_factory=decodes(gate))
stuck.submit(numbered(0))
gate.began.wait()
def decode(msg):
    began.set()
    threading.Event().wait(0.2)
    print("decoded on", threading.current_thread().name, flush=True)
    gate.go.set()
worker = IngestionWorker(runtime=runtime, decoder_factory=decodes(decode))
worker.submit(numbered(1))
threading.Thread(target=worker.wait_processed, name="caller", daemon=True).start()
began.wait()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], timeout=60, check=True, capture_output=True, text=True
    )
    assert done.stdout == "decoded on caller\n"
