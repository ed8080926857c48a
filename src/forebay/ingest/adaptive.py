"""The adaptive byte budget of a store: a pure controller, and the bounds that a user sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from forebay.limits import BUDGET_HORIZON_S, MIB, STORE_BUDGET_BYTES

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
            (which they could give back); `None` where nobody knows.
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

    __slots__ = ("bounds", "budget_bytes")

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
