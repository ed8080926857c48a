"""What a worker says of itself: counts that add up, sizes, and latency by stage."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from forebay.limits import LATENCY_SAMPLES_MAX, LATENCY_WINDOW_S

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class StageLatency:
    """Seconds that a stage took within the last second (`limits.LATENCY_WINDOW_S`)."""

    samples: int = 0
    p50_s: float = 0.0
    p99_s: float = 0.0
    max_s: float = 0.0


@dataclass(frozen=True, slots=True)
class IngestionStats:
    """One moment of a worker; `accepted == committed + rejected + dropped + in_flight` always.

    Attributes:
        accepted: Messages taken in, ever.
        committed: Messages whose chunk its owner took over: handed out by `poll()`, or, where the
            owner acknowledges (`take_output`), put into the store.
        rejected: Messages whose outcome was settled as a rejection, by decoder or store.
        dropped: Messages dropped by a policy.
        in_flight: Messages whose outcome is not settled yet: queued, being decoded, waiting to be
            polled, or polled and not acknowledged.
        queue_depth: Messages not yet processed: queued or being decoded.
        queue_bytes: What these count for.
        capacity: The most that `queue_depth` may be.
        output_depth: Outcomes that wait to be polled or acknowledged.
        output_bytes: What these count for.
        byte_budget: The most that `queue_bytes + output_bytes` may be (one message larger than
            the budget may be in flight alone).
        queue_depth_peak: Highest `queue_depth` so far.
        in_flight_bytes_peak: Highest `queue_bytes + output_bytes` so far.
        rejected_by_reason: Settled rejections, counted by `RejectedMsg.reason`.
        latency: By stage: `queue` (accepted until its turn), `decode` (of one message) and
            `output` (decoded until polled); sampled once a turn, of the turn's oldest message.
        is_closed: Whether `close()` was called.
    """

    accepted: int = 0
    committed: int = 0
    rejected: int = 0
    dropped: int = 0
    in_flight: int = 0
    queue_depth: int = 0
    queue_bytes: int = 0
    capacity: int = 0
    output_depth: int = 0
    output_bytes: int = 0
    byte_budget: int = 0
    queue_depth_peak: int = 0
    in_flight_bytes_peak: int = 0
    rejected_by_reason: Mapping[str, int] = field(default_factory=dict)
    latency: Mapping[str, StageLatency] = field(default_factory=dict)
    is_closed: bool = False


class LatencyWindow:
    """The last samples of one stage. Adding costs one append; the sorting is done on asking."""

    __slots__ = ("_samples",)

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=LATENCY_SAMPLES_MAX)

    def add(self, now_s: float, seconds: float) -> None:
        """Note that something took `seconds`, ending at `now_s`."""
        self._samples.append((now_s, seconds))

    def summary(self, now_s: float) -> StageLatency:
        """What was added within the window before `now_s`."""
        since = now_s - LATENCY_WINDOW_S
        values = sorted(seconds for at, seconds in self._samples if at >= since)
        if not values:
            return StageLatency()
        last = len(values) - 1
        return StageLatency(
            len(values), values[last // 2], values[-(-last * 99 // 100)], values[last]
        )
