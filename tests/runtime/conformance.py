"""What every runtime must do; `test_*.py` beside this runs it on each."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable

import pytest

from forebay.runtime import (
    NativeRuntime,
    Runtime,
    SimulatedRuntime,
    WebWorkerRuntime,
    threads_available,
)

TIMEOUT_S = 30.0
"""Only ever waited for by a test that fails."""


several_threads = pytest.mark.skipif(
    not threads_available(), reason="about several threads, and there is one"
)


def run_together(runtime: Runtime, *functions: Callable[[], object]) -> None:
    """Run the functions beside each other, and raise what any of them raises.

    Where there is one thread, one runs after the other.
    """
    if not threads_available():
        for function in functions:
            function()
        return
    if isinstance(runtime, SimulatedRuntime):
        for number, function in enumerate(functions):
            runtime.spawn(f"actor-{number}", function)
        runtime.run()
        return
    errors: list[BaseException] = []

    def guarded(function: Callable[[], object]) -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001, RUF100
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(f,), daemon=True) for f in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
        assert not thread.is_alive(), "deadlock"
    if errors:
        raise errors[0]


def settle(runtime: Runtime) -> None:
    """Until the runtime is idle."""
    if isinstance(runtime, NativeRuntime):
        assert runtime.join(TIMEOUT_S)
    if isinstance(runtime, WebWorkerRuntime):
        runtime.run_all()


class Counting:
    """A task of so many turns."""

    def __init__(self, turns: int, log: list[str] | None = None, name: str = "") -> None:
        self.left = turns
        self.log = [] if log is None else log
        self.name = name

    def run_turn(self) -> bool:
        self.left -= 1
        self.log.append(self.name)
        return self.left > 0


class RuntimeConformance:
    """Subclasses say what `make` gives."""

    def make(self) -> Runtime:
        raise NotImplementedError

    @pytest.fixture
    def runtime(self) -> Runtime:
        return self.make()

    def test_a_task_gets_turns_until_it_has_no_more(self, runtime: Runtime) -> None:
        task = Counting(5)
        run_together(runtime, lambda: runtime.schedule(task))
        settle(runtime)
        assert task.left == 0

    def test_ready_tasks_take_turns(self, runtime: Runtime) -> None:
        log: list[str] = []
        inner = Counting(3, log, "b")

        class Outer(Counting):
            def run_turn(self) -> bool:
                if self.left == 3:
                    runtime.schedule(inner)
                return super().run_turn()

        run_together(runtime, lambda: runtime.schedule(Outer(3, log, "a")))
        settle(runtime)
        assert sorted(log) == ["a", "a", "a", "b", "b", "b"]
        assert inner.left == 0

    def test_a_task_is_let_go_after_its_last_turn(self, runtime: Runtime) -> None:
        task = Counting(2)
        alive = weakref.ref(task)
        tasks = [task]
        del task
        run_together(runtime, lambda: runtime.schedule(tasks.pop()))
        settle(runtime)
        gc.collect()
        assert alive() is None

    def test_many_tasks_from_many_threads_all_finish(self, runtime: Runtime) -> None:
        tasks = [Counting(2) for _ in range(90)]

        def schedule(part: int) -> None:
            for task in tasks[part::3]:
                runtime.schedule(task)

        run_together(runtime, *(lambda part=part: schedule(part) for part in range(3)))
        settle(runtime)
        assert [task.left for task in tasks] == [0] * 90

    def test_a_thread_can_be_lent(self, runtime: Runtime) -> None:
        tasks = [Counting(3) for _ in range(6)]

        def schedule(part: int) -> None:
            with runtime.lend_thread():
                for task in tasks[part::2]:
                    runtime.schedule(task)

        run_together(runtime, lambda: schedule(0), lambda: schedule(1))
        settle(runtime)
        assert [task.left for task in tasks] == [0] * 6

    def test_a_lock_keeps_others_out(self, runtime: Runtime) -> None:
        lock = runtime.lock()
        inside: list[int] = []

        def enter() -> None:
            for _ in range(50):
                with lock:
                    inside.append(1)
                    assert len(inside) == 1
                    inside.pop()

        run_together(runtime, enter, enter, enter)

    def test_an_rlock_lets_its_holder_in_again(self, runtime: Runtime) -> None:
        lock = runtime.rlock()

        def enter() -> None:
            with lock, lock:
                pass
            with lock:
                pass

        run_together(runtime, enter, enter)

    @several_threads
    def test_a_wait_ends_when_notified(self, runtime: Runtime) -> None:
        lock = runtime.lock()
        changed = runtime.condition(lock)
        flags: list[str] = []

        def wait() -> None:
            with lock:
                assert changed.wait_for(lambda: "go" in flags)
                flags.append("gone")

        def notify() -> None:
            with lock:
                flags.append("go")
                changed.notify_all()

        run_together(runtime, wait, notify, wait)
        assert flags == ["go", "gone", "gone"]

    def test_a_wait_ends_in_time(self, runtime: Runtime) -> None:
        changed = runtime.condition()

        def wait() -> None:
            before = runtime.monotonic_s()
            with changed:
                assert not changed.wait_for(lambda: False, 0.01)
                assert not changed.wait(0.001)
            # Where nobody else could notify, it need not wait at all.
            assert runtime.monotonic_s() >= before + 0.01 or not threads_available()

        run_together(runtime, wait)

    @several_threads
    def test_thread_ids_tell_threads_apart(self, runtime: Runtime) -> None:
        lock = runtime.lock()
        changed = runtime.condition(lock)
        ids: set[int] = set()

        def note() -> None:
            with lock:  # all stay alive until all have noted theirs
                ids.add(runtime.thread_id())
                changed.notify_all()
                assert changed.wait_for(lambda: len(ids) == 3)
            assert runtime.thread_id() in ids

        run_together(runtime, note, note, note)
