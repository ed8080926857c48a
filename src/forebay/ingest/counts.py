"""`Counts`: what a worker counts and times. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from forebay.ingest.samples import STAGES, LatencySamples, RateWindow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forebay.ingest.outcomes import RejectedMsg

_QUEUE, _DECODE, _OUTPUT, _FIRST_OF_SENDER = range(4)
_END_TO_END = len(STAGES) - 1


class Stamps(NamedTuple):
    """When one chunk came by, in nanoseconds since the Unix epoch; 0 where it was not noted."""

    logged_ns: int
    batched_ns: int
    encoded_ns: int
    sent_ns: int
    decoded_ns: int


class Settled(NamedTuple):
    """What left a worker, ever; one value, so that it changes at once."""

    committed: int = 0
    rejected: int = 0
    size_bytes: int = 0
    rejected_by_reason: Mapping[str, int] = MappingProxyType({})
    columns_rejected: int = 0


class Counts:
    """Totals, peaks, reasons, rates and latencies of one worker."""

    __slots__ = {
        "accept_rate": "What was accepted, over the last second.",
        "bytes_peak": "Most bytes ever in flight.",
        "depth_peak": "Most messages ever queued.",
        "dropped": "Messages dropped.",
        "dropped_by_reason": "The same, by the name of the policy.",
        "dropped_bytes": "What they counted for.",
        "full_episodes": "How often the queue got full after it was drained.",
        "latency": "Samples of the last second, by stage.",
        "settle_rate": "What was settled, over the last second.",
        "spilled": "Messages written to disk.",
        "totals": "What was settled.",
    }

    def __init__(self) -> None:
        self.totals = Settled()
        self.dropped = 0
        self.dropped_bytes = 0
        self.dropped_by_reason: Counter[str] = Counter()
        self.full_episodes = 0
        self.spilled = 0
        self.depth_peak = 0
        self.bytes_peak = 0
        self.accept_rate = RateWindow()
        self.settle_rate = RateWindow()
        self.latency = LatencySamples()

    def note_turn(self, now_s: float, queued_s: float, decode_s: float) -> None:
        """A turn ended: its first message was queued so long, and each was decoded in so long."""
        self.latency.add_all((_QUEUE, now_s, queued_s, _DECODE, now_s, decode_s), now_s)

    def note_output(self, now_s: float, seconds: float) -> None:
        """An outcome waited so long to be taken."""
        self.latency.add_all((_OUTPUT, now_s, seconds), now_s)

    def note_committed(self, now_s: float, stamps: Stamps, wall_ns: int) -> None:
        """A chunk with these stamps is committed now; stages without a stamp are left out."""
        before = stamps.logged_ns
        samples: list[float] = []
        for stage, at_ns in enumerate((*stamps[1:], wall_ns), _FIRST_OF_SENDER):
            if at_ns:
                if before:
                    samples += (stage, now_s, (at_ns - before) / 1e9)
                before = at_ns
        if stamps.logged_ns:
            samples += (_END_TO_END, now_s, (wall_ns - stamps.logged_ns) / 1e9)
        self.latency.add_all(samples, now_s)

    def note_peaks(self, depth: int, in_flight_bytes: int) -> None:
        """Depth and bytes only grow until here, so the peaks need no look at every message."""
        if depth > self.depth_peak:  # noqa: PLR1730 - max() costs three times that
            self.depth_peak = depth
        if in_flight_bytes > self.bytes_peak:  # noqa: PLR1730
            self.bytes_peak = in_flight_bytes

    def drop(self, count: int, size_bytes: int, reason: str) -> None:
        """Messages were dropped."""
        self.dropped += count
        self.dropped_bytes += size_bytes
        self.dropped_by_reason[reason] += count

    @property
    def committed(self) -> int:
        """Messages committed."""
        return self.totals.committed

    @property
    def rejected(self) -> int:
        """Messages rejected."""
        return self.totals.rejected

    @property
    def settled_bytes(self) -> int:
        """What both of these counted for."""
        return self.totals.size_bytes

    def settled(
        self,
        count: int,
        size_bytes: int,
        rejections: Sequence[RejectedMsg],
        columns_rejected: int = 0,
    ) -> Settled:
        """The totals when so many messages leave, with these rejections among them."""
        committed, rejected, settled_bytes, by_reason, columns = self.totals
        if rejections:
            by_reason = Counter(by_reason) + Counter(one.reason for one in rejections)
        return Settled(
            committed + count - len(rejections),
            rejected + len(rejections),
            settled_bytes + size_bytes,
            by_reason,
            columns + columns_rejected,
        )

    def note_settled(self, now_s: float) -> None:
        """The totals changed."""
        committed, rejected, settled_bytes, *_ = self.totals
        self.settle_rate.add(now_s, committed + rejected, settled_bytes)

    def drain_bytes_per_s(self, now_s: float) -> float:
        """Bytes a second that left within the last second."""
        committed, rejected, settled_bytes, *_ = self.totals
        return self.settle_rate.rates(now_s, committed + rejected, settled_bytes)[1]
