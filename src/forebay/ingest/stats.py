"""What a worker says of itself: counts that add up, sizes, and latency by stage."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from forebay.model import StoreId


@dataclass(frozen=True, slots=True)
class StageLatency:
    """Seconds that a stage took within the last second (`limits.LATENCY_WINDOW_S`)."""

    samples: int = 0
    p50_s: float = 0.0
    p99_s: float = 0.0
    max_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Rates:
    """How much passed a point within the last second."""

    msgs_per_s: float = 0.0
    bytes_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class IngestionStats:
    """One moment of a worker; `accepted == committed + rejected + dropped + in_flight` always.

    Attributes:
        accepted: Messages taken in, ever.
        committed: Messages whose chunk its owner took over: handed out by `poll()`, or, where the
            owner acknowledges (`take_output`), put into the store.
        rejected: Messages whose outcome was settled as a rejection, by decoder or store.
        dropped: Messages dropped by a policy.
        in_flight: Messages whose outcome is not settled yet: spilled, queued, being decoded,
            waiting to be polled, or polled and not acknowledged.
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
        columns_rejected: Columns that could not be read, of messages that were committed without
            them; they are among `rejections()` too.
        dropped_bytes: What dropped messages counted for.
        dropped_by_reason: Dropped messages, counted by the name of the policy.
        spilled: Messages that went through files on disk, ever.
        spill_depth: Messages that are on disk now.
        spill_bytes: What these count for.
        full_episodes: How often there was no room, counted from one time it drained to the next.
        accept_rate: What came in.
        settle_rate: What was committed or rejected.
        latency: By stage, sampled once a turn, of the turn's oldest message. Of the worker:
            `queue` (accepted until its turn), `decode` (of one message) and `output` (decoded
            until taken). On the way from the sender, by the clocks of both: `logged_to_batched`
            (row id to chunk id), `batched_to_encoded`, `encoded_to_sent`, `sent_to_decoded`,
            `decoded_to_committed`, and `end_to_end` (commit minus logged); a stage that no SDK
            noted counts to the next one noted.
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
    columns_rejected: int = 0
    dropped_bytes: int = 0
    dropped_by_reason: Mapping[str, int] = field(default_factory=dict)
    spilled: int = 0
    spill_depth: int = 0
    spill_bytes: int = 0
    full_episodes: int = 0
    accept_rate: Rates = Rates()
    settle_rate: Rates = Rates()
    latency: Mapping[str, StageLatency] = field(default_factory=dict)
    is_closed: bool = False


@dataclass(frozen=True, slots=True)
class HubIngestionStats:
    """One moment of all stores of a hub.

    Attributes:
        stores: Each store that took in a message.
        total: All of them together: counts, sizes and rates added up (peaks too, so the total's
            peaks are bounds and not moments), latencies over all samples.
        budget_used_bytes: Bytes in flight of the hub's budget.
        budget_limit_bytes: That budget.
    """

    stores: Mapping[StoreId, IngestionStats] = field(default_factory=dict)
    total: IngestionStats = IngestionStats()
    budget_used_bytes: int = 0
    budget_limit_bytes: int = 0


def total(
    parts: Iterable[IngestionStats], latencies: Iterable[Mapping[str, list[float]]]
) -> IngestionStats:
    """Several stores as one."""
    sums: dict[str, Any] = {}
    rates = {"accept_rate", "settle_rate"}
    reasons = {"rejected_by_reason", "dropped_by_reason"}
    parts = list(parts)
    for one in fields(IngestionStats):
        values = [getattr(part, one.name) for part in parts]
        if one.name in reasons:
            sums[one.name] = dict(sum((Counter(value) for value in values), Counter()))
        elif one.name in rates:
            sums[one.name] = Rates(
                sum(value.msgs_per_s for value in values),
                sum(value.bytes_per_s for value in values),
            )
        elif one.name == "is_closed":
            sums[one.name] = bool(values) and all(values)
        elif one.name != "latency":
            sums[one.name] = sum(values)
    samples: dict[str, list[float]] = {}
    for stages in latencies:
        for name, seconds in stages.items():
            samples.setdefault(name, []).extend(seconds)
    sums["latency"] = {name: summarize(seconds) for name, seconds in samples.items()}
    return IngestionStats(**sums)


def summarize(values: list[float]) -> StageLatency:
    """Seconds in short; percentiles are values that occurred."""
    if not values:
        return StageLatency()
    values = sorted(values)
    last = len(values) - 1
    return StageLatency(len(values), values[last // 2], values[-(-last * 99 // 100)], values[last])
