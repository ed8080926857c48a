"""The results of benchmarks: figures and their targets."""

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
    """How much work a workload does."""

    QUICK = "quick"
    """Seconds in total: a smoke test that also compares answers; its times mean nothing."""
    SHORT = "short"
    """Minutes in total."""
    FULL = "full"
    """Full size of each workload; each ratio is the median of at least five pairs."""


@dataclass(frozen=True, slots=True)
class Target:
    """The target of a figure.

    Attributes:
        value: The bound.
        is_least: Whether the figure should be at least the bound; otherwise at most.
        unit: Unit after the number: `x`, `/s`, `KiB`.
    """

    value: float
    is_least: bool = True
    unit: str = "x"

    def is_met_by(self, value: float) -> bool:
        """Return whether `value` is on the right side of the bound."""
        return value >= self.value if self.is_least else value <= self.value

    @classmethod
    def parse(cls, text: str) -> Target:
        """Parse the text of a target, such as `≥ 100,000/s`.

        It is the inverse of `str`, for figures in JSON files.
        """
        sign, _, bound = text.partition(" ")
        digits = "".join(takewhile(lambda char: char in "0123456789.,", bound))
        return cls(float(digits.replace(",", "")), sign == "≥", bound[len(digits) :])

    def __str__(self) -> str:
        return f"{'≥' if self.is_least else '≤'} {number(self.value)}{self.unit}"


def at_least(value: float, unit: str = "x") -> Target:
    """Return the target of a figure that should be `value` or more."""
    return Target(value, True, unit)


def at_most(value: float, unit: str = "x") -> Target:
    """Return the target of a figure that should be `value` or less."""
    return Target(value, False, unit)


@dataclass(frozen=True, slots=True)
class Cost:
    """Resources that one side used: medians over its runs.

    Attributes:
        wall_s: Wall time in seconds. On a busy machine it means little alone.
        cpu_s: CPU seconds of the whole process, user and system.
        rss_peak_bytes: Peak resident memory of the process, imports included.
        runs: Number of runs.
    """

    wall_s: float
    cpu_s: float
    rss_peak_bytes: int
    runs: int

    @classmethod
    def of(cls, runs: Sequence[Mapping[str, Any]]) -> Cost:
        """Return the median cost of the runs of one side."""
        return cls(
            median(run["wall_s"] for run in runs),
            median(run["cpu_s"] for run in runs),
            int(median(run["rss_peak_bytes"] for run in runs)),
            len(runs),
        )


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of one workload, with the measurements that it was computed from.

    Attributes:
        workload: `L1`, `Q2`, ...
        what: What was measured, in a few words.
        value: The number that the target refers to; a ratio unless `unit` says otherwise.
        unit: `x` for a ratio.
        target: The target. None if there is none.
        ours: Cost of Forebay.
        peer: Cost of the other side.
        peer_name: Name of the other side.
        same_answer: Whether both sides gave the same answer. None if there is one side.
        note: What a reader must know.
        values: Further numbers by name.
        failed: Whether the workload could not run; `note` says why.
        load: Load average over a minute before the workload began.
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
        """Whether the target is met. None without a target."""
        return None if self.target is None else self.target.is_met_by(self.value)

    @property
    def cpu_ratio(self) -> float | None:
        """The peer's CPU seconds over Forebay's, which depend little on the load of the machine."""
        if self.ours is None or self.peer is None or not self.ours.cpu_s:
            return None
        return self.peer.cpu_s / self.ours.cpu_s

    def as_json(self) -> dict[str, Any]:
        """Return the figure for `--json`."""
        return {
            **dataclasses.asdict(self),
            "target": None if self.target is None else str(self.target),
            "met": self.is_met,
            "cpu_ratio": self.cpu_ratio,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Figure:
        """Return the figure from the result of `as_json`."""
        fields = {name: found[name] for name in cls.__slots__ if name in found}
        for side in ("ours", "peer"):
            if fields.get(side) is not None:
                fields[side] = Cost(**fields[side])
        if fields.get("target") is not None:
            fields["target"] = Target.parse(fields["target"])
        return cls(**fields)


def number(value: float) -> str:
    """Format a number with three significant digits."""
    if value != value:  # noqa: PLR0124 - not a number
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
