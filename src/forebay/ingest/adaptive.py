"""The adaptive byte budget of a store: its bounds, a pure controller, and the steps in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from forebay.limits import BUDGET_HORIZON_S, BUDGET_INTERVAL_S, MIB, STORE_BUDGET_BYTES
from forebay.runtime import memory_available_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from forebay.ingest.budget import ByteBudget
    from forebay.ingest.core import IngestCore

_DEAD_ZONE: Final = 8
"""Changes by less than one part in so many are not made, so that noise moves nothing."""

_GROWTH_MAX: Final = 2
"""A budget grows by this factor at most in one step; it shrinks at once."""


@dataclass(frozen=True, slots=True)
class AdaptiveBudget:
    """A byte budget that follows memory and use, between bounds.

    Attributes:
        floor_bytes: Never less.
        ceiling_bytes: Never more.
        reserve_bytes: Free memory of the machine that ingestion leaves alone.
        horizon_s: How many seconds' worth of the measured drain rate may be in flight.
    """

    floor_bytes: int = 16 * MIB
    ceiling_bytes: int = STORE_BUDGET_BYTES
    reserve_bytes: int = 256 * MIB
    horizon_s: float = BUDGET_HORIZON_S

    def __post_init__(self) -> None:
        if not 1 <= self.floor_bytes <= self.ceiling_bytes:
            msg = f"a floor of {self.floor_bytes} and a ceiling of {self.ceiling_bytes} bytes"
            raise ValueError(f"{msg} leave no budget")

    @property
    def start_bytes(self) -> int:
        """Where a store begins, before anything was measured."""
        return min(self.ceiling_bytes, max(self.floor_bytes, 64 * MIB))


@dataclass(frozen=True, slots=True)
class Measured:
    """What a step looks at.

    Attributes:
        free_bytes: Memory that the machine could still give, plus what all stores have in flight
            (which they could give back); `None` if unknown.
        num_busy: Stores with messages in flight, this one included.
        drain_bytes_per_s: What left this store within the last second; `None` if it was idle.
    """

    free_bytes: int | None
    num_busy: int = 1
    drain_bytes_per_s: float | None = None


class BudgetController:
    """Gives the next budget for what was measured; knows no clock and no machine.

    The budget never leaves its bounds, grows with free memory, and stands still when what is
    measured does: a step either stays (within the dead zone) or moves towards the wanted value,
    and never past it.
    """

    __slots__ = {
        "bounds": "Between which the budget stays.",
        "budget_bytes": "The budget that holds now.",
    }

    def __init__(self, bounds: AdaptiveBudget) -> None:
        self.bounds = bounds
        self.budget_bytes = bounds.start_bytes

    def wanted(self, measured: Measured) -> int:
        """The budget for these measurements, if they were to last."""
        bounds = self.bounds
        wanted: float = bounds.ceiling_bytes
        if measured.free_bytes is not None:
            # As stores share the hub's budget: each may have as much as stays free for the next.
            spare = max(0, measured.free_bytes - bounds.reserve_bytes)
            wanted = min(wanted, spare / (max(1, measured.num_busy) + 1))
        if measured.drain_bytes_per_s is not None:
            wanted = min(wanted, measured.drain_bytes_per_s * bounds.horizon_s)
        return int(min(bounds.ceiling_bytes, max(bounds.floor_bytes, wanted)))

    def step(self, measured: Measured) -> int:
        """Move towards what is wanted now, and give the budget that holds from here on."""
        wanted, now = self.wanted(measured), self.budget_bytes
        if abs(wanted - now) * _DEAD_ZONE > now:
            self.budget_bytes = min(wanted, now * _GROWTH_MAX)
        return self.budget_bytes


class Surroundings(NamedTuple):
    """What the machine and the hub tell, measured without the worker's lock.

    Attributes:
        free_bytes: Memory that the machine could still give, in bytes; `None` if unknown.
        hub_used_bytes: Bytes that all stores of the hub have in flight; `None` without a hub.
        num_busy: Stores of the hub with messages in flight.
    """

    free_bytes: int | None
    hub_used_bytes: int | None
    num_busy: int


class BudgetStepper:
    """Changes a worker's byte budget in time, at most once in `limits.BUDGET_INTERVAL_S`."""

    __slots__ = {
        "_controller": "Gives the next budget.",
        "_hub_budget": "What the stores of the hub share; `None` without a hub.",
        "free_memory": "Tells the memory that the machine could still give, in bytes.",
        "next_s": "When the next step is due, in seconds of the runtime's clock.",
    }

    def __init__(self, bounds: AdaptiveBudget, hub_budget: ByteBudget | None) -> None:
        self._controller = BudgetController(bounds)
        self._hub_budget = hub_budget
        self.free_memory: Callable[[], int | None] = memory_available_bytes
        self.next_s = 0.0

    def surroundings(self) -> Surroundings:
        """Measure what needs no lock of the worker."""
        free_bytes, budget = self.free_memory(), self._hub_budget
        if budget is None:
            return Surroundings(free_bytes, None, 1)
        return Surroundings(free_bytes, budget.used_bytes, max(1, budget.num_busy))

    def step(self, core: IngestCore, found: Surroundings, now_s: float) -> bool:
        """Set the budget of a core, if a step is due; the caller holds the worker's lock.

        Returns:
            Whether it was set.
        """
        if now_s < self.next_s:
            return False
        self.next_s = now_s + BUDGET_INTERVAL_S
        held = found.hub_used_bytes
        held_bytes = core.in_flight_bytes if held is None else held
        drained = core.counts.drain_bytes_per_s(now_s)
        measured = Measured(
            None if found.free_bytes is None else found.free_bytes + held_bytes,
            found.num_busy,
            drained if drained or core.queue_depth else None,
        )
        core.set_byte_budget(self._controller.step(measured))
        return True
