"""What a benchmark finds: figures beside their targets."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import Enum
from itertools import takewhile
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Size(Enum):
    """How much of a workload is run."""

    QUICK = "quick"
    """Seconds in all: shows that it runs and that answers agree; its times mean nothing."""
    SHORT = "short"
    """Minutes in all."""
    FULL = "full"
    """As the workloads are stated; each ratio the median of at least five pairs."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be.

    Attributes:
        value: The bound.
        is_least: Whether the figure should be at least that; otherwise at most.
        unit: Stands behind the number: `x`, `/s`, `KiB`.
    """

    value: float
    is_least: bool = True
    unit: str = "x"

    def is_met_by(self, value: float) -> bool:
        """Whether `value` is on the right side of the bound."""
        return value >= self.value if self.is_least else value <= self.value

    @classmethod
    def parse(cls, text: str) -> Target:
        """What `str` made of a target: `≥ 100,000/s`."""
        sign, _, bound = text.partition(" ")
        digits = "".join(takewhile(lambda char: char in "0123456789.,", bound))
        return cls(float(digits.replace(",", "")), sign == "≥", bound[len(digits) :])

    def __str__(self) -> str:
        return f"{'≥' if self.is_least else '≤'} {number(self.value)}{self.unit}"


def at_least(value: float, unit: str = "x") -> Target:
    """A figure that should be `value` or more."""
    return Target(value, True, unit)


def at_most(value: float, unit: str = "x") -> Target:
    """A figure that should be `value` or less."""
    return Target(value, False, unit)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one side took: medians over its runs.

    Attributes:
        wall_s: Seconds on the clock. On a busy machine they mean little alone.
        cpu_s: Seconds of processor time of the whole process, user and system.
        rss_peak_bytes: The most memory that the process had resident, imports included.
        runs: How many runs these are medians of.
    """

    wall_s: float
    cpu_s: float
    rss_peak_bytes: int
    runs: int

    @classmethod
    def of(cls, runs: Sequence[Mapping[str, Any]]) -> Cost:
        """The cost of the runs of one side."""
        return cls(
            median(run["wall_s"] for run in runs),
            median(run["cpu_s"] for run in runs),
            int(median(run["rss_peak_bytes"] for run in runs)),
            len(runs),
        )


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of one workload, with all that it was worked out from.

    Attributes:
        workload: `L1`, `Q2`, ...
        what: What was measured, in a few words.
        value: The number that the target speaks of; a ratio unless `unit` says otherwise.
        unit: `x` for a ratio.
        target: What it should be; `None` for figures that only stand beside others.
        ours: What our side took.
        peer: What the other side took.
        peer_name: Who that is.
        same_answer: Whether both sides gave the same answer; `None` where there is one side.
        note: What a reader must know.
        values: Further numbers by name.
        failed: The workload could not be run; `note` says why.
        load: How busy the machine was before the workload began: the load average of a minute.
    """

    workload: str
    what: str
    value: float
    unit: str = "x"
    target: Target | None = None
    ours: Cost | None = None
    peer: Cost | None = None
    peer_name: str = ""
    same_answer: bool | None = None
    note: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    failed: bool = False
    load: float | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; `None` without one."""
        return None if self.target is None else self.target.is_met_by(self.value)

    @property
    def cpu_ratio(self) -> float | None:
        """Peer's CPU seconds over ours: what hardly moves with the machine's load."""
        if self.ours is None or self.peer is None or not self.ours.cpu_s:
            return None
        return self.peer.cpu_s / self.ours.cpu_s

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            **dataclasses.asdict(self),
            "target": None if self.target is None else str(self.target),
            "met": self.is_met,
            "cpu_ratio": self.cpu_ratio,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Figure:
        """What `as_json` made a mapping of."""
        fields = {name: found[name] for name in cls.__slots__ if name in found}
        for side in ("ours", "peer"):
            if fields.get(side) is not None:
                fields[side] = Cost(**fields[side])
        if fields.get("target") is not None:
            fields["target"] = Target.parse(fields["target"])
        return cls(**fields)


def number(value: float) -> str:
    """A number in three digits that mean something."""
    if value != value:  # noqa: PLR0124 - not a number
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
