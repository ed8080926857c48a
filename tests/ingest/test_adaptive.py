"""The adaptive budget: within its bounds, monotone in free memory, convergent, without swinging."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.ingest import AdaptiveBudget, BudgetController, IngestionWorker, Measured
from forebay.limits import MIB
from forebay.runtime import memory_available_bytes
from tests.ingest.support import ManualClock, decode_number, decodes, numbered

bounds = st.builds(
    lambda floor, more, reserve: AdaptiveBudget(floor, floor + more, reserve),
    st.integers(1, 1 << 30),
    st.integers(0, 1 << 34),
    st.integers(0, 1 << 32),
)
measured = st.builds(
    Measured,
    st.none() | st.integers(0, 1 << 40),
    st.integers(0, 300),
    st.none() | st.floats(0, 1e12),
)


@given(bounds, st.lists(measured, max_size=20))
def test_it_never_leaves_its_bounds(within: AdaptiveBudget, steps: list[Measured]) -> None:
    controller = BudgetController(within)
    for one in steps:
        assert within.floor_bytes <= controller.step(one) <= within.ceiling_bytes


@given(bounds, st.lists(measured, max_size=5), measured, st.integers(0, 1 << 40))
def test_more_free_memory_never_means_less(
    within: AdaptiveBudget, before: list[Measured], one: Measured, more: int
) -> None:
    poor, rich = BudgetController(within), BudgetController(within)
    for step in before:
        poor.step(step)
        rich.step(step)
    free = one.free_bytes or 0
    low = Measured(free, one.num_busy, one.drain_bytes_per_s)
    high = Measured(free + more, one.num_busy, one.drain_bytes_per_s)
    assert poor.step(low) <= rich.step(high)


@given(bounds, st.lists(measured, max_size=5), measured)
def test_it_comes_to_rest_without_swinging(
    within: AdaptiveBudget, before: list[Measured], one: Measured
) -> None:
    controller = BudgetController(within)
    for step in before:
        controller.step(step)
    path = [controller.budget_bytes, *(controller.step(one) for _ in range(64))]
    assert path[-1] == path[-2], "at rest"
    assert path in (sorted(path), sorted(path, reverse=True)), "in one direction"
    wanted = controller.wanted(one)
    assert abs(path[-1] - wanted) <= path[-1] // 8 + 1


def test_what_it_follows() -> None:
    within = AdaptiveBudget(MIB, 1000 * MIB, reserve_bytes=100 * MIB, horizon_s=2)
    wanted = BudgetController(within).wanted
    assert wanted(Measured(500 * MIB, 1)) == 200 * MIB
    assert wanted(Measured(500 * MIB, 3)) == 100 * MIB
    assert wanted(Measured(50 * MIB, 1)) == MIB
    assert wanted(Measured(None, 1)) == 1000 * MIB
    assert wanted(Measured(None, 1, 30 * MIB)) == 60 * MIB
    with pytest.raises(ValueError, match="leave no budget"):
        AdaptiveBudget(2, 1)


def test_a_worker_follows_memory() -> None:
    runtime = ManualClock()
    worker = IngestionWorker(
        byte_budget=AdaptiveBudget(10_000, 1000 * MIB, reserve_bytes=0),
        runtime=runtime,
        decoder_factory=decodes(decode_number),
    )
    stepper = worker._turns.stepper
    assert stepper is not None
    budgets = []
    for free in (100_000, 1 << 40, 0):
        stepper.free_memory = lambda free=free: free  # type: ignore[misc]
        for number in range(20):
            runtime.now_s += 1
            worker.submit(numbered(number, 9000))
            worker.poll()
        budgets.append(worker.stats().byte_budget)
        worker.validate()
    assert budgets[1] > budgets[0] >= 10_000
    assert budgets[2] == 10_000


def test_free_memory_as_the_machine_and_its_groups_tell(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 100 kB\nMemAvailable:      40 kB\n")
    assert memory_available_bytes(meminfo, nowhere, nowhere) == 40 * 1024
    group = tmp_path / "group"
    group.mkdir()
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("9000\n")
    assert memory_available_bytes(meminfo, group, nowhere) == 40 * 1024
    (group / "memory.max").write_text("10000\n")
    assert memory_available_bytes(meminfo, group, nowhere) == 1000
    (group / "memory.stat").write_text("anon 5\ninactive_file 4000\n")
    assert memory_available_bytes(meminfo, group, nowhere) == 5000
    assert memory_available_bytes(nowhere, nowhere, nowhere) is None


def test_this_machine_tells() -> None:
    known = memory_available_bytes()
    assert known is None or known > MIB


def test_it_doubles_at_most_and_shrinks_at_once() -> None:
    controller = BudgetController(AdaptiveBudget(1 * MIB, 1024 * MIB, 0))
    budgets = [controller.step(Measured(1 << 40)) for _ in range(5)]
    assert budgets == [128 * MIB, 256 * MIB, 512 * MIB, 1024 * MIB, 1024 * MIB]
    assert controller.step(Measured(0)) == 1 * MIB


def test_small_changes_move_nothing() -> None:
    controller = BudgetController(AdaptiveBudget(1 * MIB, 1024 * MIB, 0))
    assert controller.step(Measured(140 * MIB)) == 64 * MIB
    assert controller.step(Measured(150 * MIB)) == 75 * MIB
