from __future__ import annotations

import pytest

from forebay.runtime import SimulatedRuntime, SimulationError
from tests.runtime.conformance import RuntimeConformance


class TestSimulatedRuntime(RuntimeConformance):
    @pytest.fixture(params=range(20), autouse=True)
    def _seed(self, request: pytest.FixtureRequest) -> None:
        self.seed = request.param

    def make(self) -> SimulatedRuntime:
        return SimulatedRuntime(self.seed)


def trace(seed: int) -> str:
    runtime = SimulatedRuntime(seed)
    log: list[str] = []

    def write(name: str) -> None:
        for _ in range(5):
            log.append(name)
            runtime.pause()

    for name in "abc":
        runtime.spawn(name, lambda name=name: write(name))
    runtime.run()
    return "".join(log)


def test_a_seed_gives_the_same_run_and_seeds_give_different_ones() -> None:
    traces = [trace(seed) for seed in range(50)]
    assert traces == [trace(seed) for seed in range(50)]
    assert len(set(traces)) > 45


def test_a_deadlock_is_found() -> None:
    def takes_two_locks(seed: int) -> str:
        runtime = SimulatedRuntime(seed)
        first, second = runtime.lock(), runtime.lock()

        def one() -> None:
            with first, second:
                pass

        def other() -> None:
            with second, first:
                pass

        runtime.spawn("one", one)
        runtime.spawn("other", other)
        try:
            runtime.run()
        except SimulationError as error:
            return str(error)
        return ""

    found = {seed: text for seed in range(50) if (text := takes_two_locks(seed))}
    assert 0 < len(found) < 50
    for seed, text in found.items():
        assert f"seed {seed}" in text
        assert "deadlock: one waits for a lock that other holds" in text


def test_a_lost_wakeup_is_found() -> None:
    runtime = SimulatedRuntime(0)
    changed = runtime.condition()

    def wait() -> None:
        with changed:
            changed.wait()

    runtime.spawn("waiter", wait)
    with pytest.raises(SimulationError, match="waiter waits for a notification"):
        runtime.run()


def test_a_livelock_is_found() -> None:
    runtime = SimulatedRuntime(0, steps_max=100)

    def spin() -> None:
        while True:
            runtime.pause()

    runtime.spawn("spinner", spin)
    with pytest.raises(SimulationError, match="no end after 100 steps"):
        runtime.run()


def test_a_failed_check_ends_the_run() -> None:
    runtime = SimulatedRuntime(3)
    done: list[int] = []

    def work() -> None:
        for _ in range(10):
            done.append(1)
            runtime.pause()

    def check() -> None:
        assert len(done) < 4

    runtime.spawn("worker", work)
    with pytest.raises(SimulationError, match="seed 3"):
        runtime.run(check)
    assert len(done) == 4


def test_time_passes_only_in_the_schedule() -> None:
    runtime = SimulatedRuntime(0)
    woke: list[float] = []

    def sleep(seconds: float) -> None:
        runtime.sleep(seconds)
        woke.append(seconds)
        assert runtime.monotonic_s() >= seconds

    for seconds in (3600.0, 60.0, 7200.0):
        runtime.spawn("sleeper", lambda seconds=seconds: sleep(seconds))
    runtime.run()
    assert woke == [60.0, 3600.0, 7200.0]
