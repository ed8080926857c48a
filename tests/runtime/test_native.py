from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
import weakref

import pytest

from forebay.limits import QUERY_ROOM_S_MAX, QUERY_ROOM_SHARE
from forebay.runtime import NativeRuntime, default_runtime
from tests.runtime.conformance import TIMEOUT_S, Counting, RuntimeConformance


class TestNativeRuntime(RuntimeConformance):
    def make(self) -> NativeRuntime:
        return NativeRuntime()


class Held(Counting):
    """A task whose turn begins, and ends only when told."""

    def __init__(self) -> None:
        super().__init__(1)
        self.began = threading.Event()
        self.end = threading.Event()

    def run_turn(self) -> bool:
        self.began.set()
        assert self.end.wait(TIMEOUT_S)
        return super().run_turn()


class Signalling(Counting):
    """A task that says when it is done."""

    def __init__(self) -> None:
        super().__init__(1)
        self.done = threading.Event()

    def run_turn(self) -> bool:
        more = super().run_turn()
        self.done.set()
        return more


def test_there_is_no_thread_before_the_first_task_and_none_when_idle() -> None:
    runtime = NativeRuntime()
    assert runtime.num_threads == 0
    held = Held()
    runtime.schedule(held)
    assert held.began.wait(TIMEOUT_S)
    assert runtime.num_threads == 1
    names = [t.name for t in threading.enumerate() if t.name.startswith("forebay-worker-")]
    assert names
    held.end.set()
    assert runtime.join(TIMEOUT_S)
    assert runtime.num_threads == 0


def test_a_stuck_task_holds_one_thread_and_delays_nobody() -> None:
    runtime = NativeRuntime()
    stuck = [Held() for _ in range(5)]
    for task in stuck:
        runtime.schedule(task)
    others = [Signalling() for _ in range(20)]
    for other in others:
        runtime.schedule(other)
    assert all(other.done.wait(TIMEOUT_S) for other in others)
    assert 5 <= runtime.num_threads <= 25
    for task in stuck:
        task.end.set()
    assert runtime.join(TIMEOUT_S)


def test_threads_are_bounded_and_tasks_take_turns_on_them() -> None:
    runtime = NativeRuntime(threads_max=2)
    held = [Held(), Held()]
    for one in held:
        runtime.schedule(one)
    assert all(one.began.wait(TIMEOUT_S) for one in held)
    waiting = Signalling()
    runtime.schedule(waiting)
    assert runtime.num_threads == 2
    assert not waiting.done.is_set()
    held[0].end.set()
    assert waiting.done.wait(TIMEOUT_S)
    held[1].end.set()
    assert runtime.join(TIMEOUT_S)


def test_an_idle_thread_is_used_again() -> None:
    runtime = NativeRuntime(thread_linger_s=TIMEOUT_S)

    class NamesItsThread(Signalling):
        def run_turn(self) -> bool:
            self.name = threading.current_thread().name
            return super().run_turn()

    names = set()
    for _ in range(20):
        task = NamesItsThread()
        runtime.schedule(task)
        assert task.done.wait(TIMEOUT_S)
        names.add(task.name)
    assert len(names) < 20


def test_a_lingering_thread_does_not_keep_its_last_task() -> None:
    runtime = NativeRuntime(thread_linger_s=TIMEOUT_S)
    task = Signalling()
    gone = threading.Event()
    weakref.finalize(task, gone.set)
    runtime.schedule(task)
    assert task.done.wait(TIMEOUT_S)
    del task
    assert gone.wait(TIMEOUT_S)
    gc.collect()


def test_a_failing_turn_is_logged_and_ends_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    runtime = NativeRuntime(threads_max=1)

    class Failing(Counting):
        def run_turn(self) -> bool:
            msg = "a bug"
            raise SystemExit(msg)

    other = Signalling()
    runtime.schedule(Failing(1))
    runtime.schedule(other)
    assert other.done.wait(TIMEOUT_S)
    assert runtime.join(TIMEOUT_S)
    assert "Failing" in caplog.text


def test_without_more_threads_the_caller_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        msg = "can't start new thread"
        raise RuntimeError(msg)

    runtime = NativeRuntime()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    task = Counting(3)
    runtime.schedule(task)
    assert task.left == 0
    assert runtime.num_threads == 0


def test_there_is_one_default_runtime() -> None:
    assert default_runtime() is default_runtime()
    assert isinstance(default_runtime(), NativeRuntime)


def run_script(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_process_that_ends_lets_ready_tasks_finish() -> None:
    done = run_script(
        """
from forebay.runtime import NativeRuntime
class Task:
    left = 20000
    def run_turn(self):
        self.left -= 1
        if not self.left:
            print("finished", flush=True)
        return self.left > 0
NativeRuntime().schedule(Task())
"""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "finished\n", "")


def test_a_forked_child_can_schedule_again() -> None:
    done = run_script(
        """
import os, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, which is the point
from forebay.runtime import NativeRuntime
class Task:
    def __init__(self):
        self.done = threading.Event()
    def run_turn(self):
        self.done.set()
        return False
runtime = NativeRuntime(thread_linger_s=60)
first = Task()
runtime.schedule(first)
assert first.done.wait(30)
child = os.fork()
if not child:
    second = Task()
    runtime.schedule(second)
    os._exit(0 if second.done.wait(30) else 1)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    )
    assert (done.returncode, done.stderr) == (0, "")


class Light(Held):
    """A task of small messages, as it says itself."""

    is_light = True


def test_under_a_gil_light_turns_do_not_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "forebay.runtime.native.ready.LIGHT_TURN_S", TIMEOUT_S
    )  # however busy we are
    runtime = NativeRuntime(takes_turns=True)
    lock = threading.Lock()
    overlaps: list[bool] = []

    class Brief(Counting):
        is_light = True

        def run_turn(self) -> bool:
            overlaps.append(not lock.acquire(blocking=False))
            more = super().run_turn()
            sum(range(2000))  # long enough to be overtaken, if that could be
            if not overlaps[-1]:
                lock.release()
            return more

    tasks = [Brief(50) for _ in range(8)]
    for task in tasks:
        runtime.schedule(task)
    assert runtime.join(TIMEOUT_S)
    assert len(overlaps) == 8 * 50
    assert not any(overlaps)


@pytest.mark.parametrize("count", [1, 5])
def test_light_tasks_that_are_stuck_delay_others_for_a_moment_only(count: int) -> None:
    runtime = NativeRuntime(takes_turns=True)
    stuck = [Light() for _ in range(count)]
    for task in stuck:
        runtime.schedule(task)
    others = [Signalling() for _ in range(20)]
    for other in others:
        other.is_light = True  # type: ignore[attr-defined]
        runtime.schedule(other)
    assert all(other.done.wait(TIMEOUT_S) for other in others)
    assert all(task.began.wait(TIMEOUT_S) for task in stuck)
    for task in stuck:
        task.end.set()
    assert runtime.join(TIMEOUT_S)


def test_heavy_tasks_run_beside_a_light_one_and_light_ones_too_without_a_gil() -> None:
    for runtime, kind in (
        (NativeRuntime(takes_turns=True), Held),
        (NativeRuntime(takes_turns=False), Light),
    ):
        held = [Light(), kind(), kind()]
        for task in held:
            runtime.schedule(task)
        assert all(task.began.wait(TIMEOUT_S) for task in held)
        for task in held:
            task.end.set()
        assert runtime.join(TIMEOUT_S)


def test_room_is_made_for_queries_under_a_gil_only(monkeypatch: pytest.MonkeyPatch) -> None:
    slept_s: list[float] = []
    monkeypatch.setattr(time, "sleep", slept_s.append)
    NativeRuntime(takes_turns=False).make_room(1000.0)
    assert slept_s == []
    for worked_s in (1000.0, QUERY_ROOM_S_MAX / QUERY_ROOM_SHARE / 2):
        NativeRuntime(takes_turns=True).make_room(worked_s)
    assert slept_s == [QUERY_ROOM_S_MAX, pytest.approx(QUERY_ROOM_S_MAX / 2)]
