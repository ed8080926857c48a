"""What latencies and rates are worked out from: the last second, packed into plain numbers. Pure.

Each store has this, and most stores are quiet. So there is one array of numbers for all stages, and
samples older than the window are not kept: as objects, they took up to a megabyte of each store.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final

from forebay.limits import LATENCY_SAMPLES_MAX, LATENCY_WINDOW_S, RATE_SAMPLES_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

STAGES: Final = (
    "queue",
    "decode",
    "output",
    "logged_to_batched",
    "batched_to_encoded",
    "encoded_to_sent",
    "sent_to_decoded",
    "decoded_to_committed",
    "end_to_end",
)
"""Of the worker, then on the way from the sender; `IngestionStats.latency` says what they are."""

_NUMBERS: Final = 3
_NUMBERS_MAX: Final = _NUMBERS * LATENCY_SAMPLES_MAX * len(STAGES)
_NUMBERS_FEW: Final = _NUMBERS * 32


class LatencySamples:
    """Seconds that stages took lately. Adding costs little; the rest is done on asking."""

    __slots__ = {
        "_packed": "Stage, time and seconds of each sample, in order of time.",
        "_trim_at": "The number of numbers at which old samples are removed.",
    }

    def __init__(self) -> None:
        self._packed = array("d")
        self._trim_at = _NUMBERS_FEW

    def add(self, stage: int, now_s: float, seconds: float) -> None:
        """Note that a stage, by its place in `STAGES`, took `seconds`, ending at `now_s`."""
        self.add_all((stage, now_s, seconds), now_s)

    def add_all(self, samples: Sequence[float], now_s: float) -> None:
        """Note several: stage, time and seconds of each, one after the other."""
        packed = self._packed
        packed.extend(samples)
        if len(packed) >= self._trim_at:
            self._trim(now_s)

    def _trim(self, now_s: float) -> None:
        packed = self._packed
        expired = self._first_within(now_s)
        if len(packed) - expired >= _NUMBERS_MAX:
            expired = len(packed) - _NUMBERS_MAX // 2
        del packed[:expired]
        self._trim_at = min(_NUMBERS_MAX, max(_NUMBERS_FEW, 2 * len(packed)))

    def _first_within(self, now_s: float) -> int:
        return _NUMBERS * bisect_left(self._packed[1::_NUMBERS], now_s - LATENCY_WINDOW_S)

    def values(self, now_s: float) -> dict[str, list[float]]:
        """What each stage took within the window before `now_s`, in order of time."""
        found: list[list[float]] = [[] for _ in STAGES]
        first = self._first_within(now_s)
        packed = self._packed
        for stage, seconds in zip(
            packed[first::_NUMBERS], packed[first + 2 :: _NUMBERS], strict=True
        ):
            found[int(stage)].append(seconds)
        return {
            name: values[-LATENCY_SAMPLES_MAX:] for name, values in zip(STAGES, found, strict=True)
        }


class RateWindow:
    """Totals over time; the rate is their growth within `limits.LATENCY_WINDOW_S`.

    Attributes:
        next_s: When totals are worth noting again: the window holds no more.
    """

    __slots__ = {
        "_packed": "Time, messages and bytes (exact to 2 ** 53) of each point.",
        "next_s": "See `Attributes`.",
    }

    def __init__(self) -> None:
        self.next_s = float("-inf")
        self._packed = array("d")

    def add(self, now_s: float, msgs: int, size_bytes: int) -> None:
        """Note totals; nothing is noted sooner than the window can hold."""
        if now_s < self.next_s:
            return
        self.next_s = now_s + LATENCY_WINDOW_S / (RATE_SAMPLES_MAX - 1)
        packed = self._packed
        packed.extend((now_s, msgs, size_bytes))
        if len(packed) > _NUMBERS and packed[_NUMBERS] <= now_s - LATENCY_WINDOW_S:
            # Two points are older than the window, which asks for the last of them only.
            del packed[: self._base(now_s)]

    def _base(self, now_s: float) -> int:
        """Where the last point before the window stands; -3 if there is none."""
        times = self._packed[::_NUMBERS]
        return _NUMBERS * (bisect_right(times, now_s - LATENCY_WINDOW_S) - 1)

    def rates(self, now_s: float, msgs: int, size_bytes: int) -> tuple[float, float]:
        """Messages and bytes a second, over the last second, with these totals now."""
        base = self._base(now_s)
        _, msgs_before, bytes_before = (
            self._packed[base : base + _NUMBERS] if base >= 0 else (0.0, 0.0, 0.0)
        )
        return (
            (msgs - msgs_before) / LATENCY_WINDOW_S,
            (size_bytes - bytes_before) / LATENCY_WINDOW_S,
        )
