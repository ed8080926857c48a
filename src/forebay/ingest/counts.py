"""`Counts`: what a worker counts and times, and the `IngestionStats` made of it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from forebay.ingest.samples import STAGES, LatencySamples, RateWindow
from forebay.ingest.stats import IngestionStats, Rates, summarize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forebay.ingest.core import IngestCore
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
        "_bytes_peak": "Most bytes ever in flight.",
        "_depth_peak": "Most messages ever queued.",
        "_out": "What was settled, over the last second.",
        "_spill_bytes_peak": "Most bytes ever on disk.",
        "accept_rate": "What was accepted, over the last second.",
        "dropped": "Messages dropped.",
        "dropped_by_reason": "The same, by the name of the policy.",
        "dropped_bytes": "What they counted for.",
        "full_episodes": "How often the queue got full after it was drained.",
        "latency": "Samples of the last second, by stage.",
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
        self._depth_peak = 0
        self._bytes_peak = 0
        self._spill_bytes_peak = 0
        self.accept_rate = RateWindow()
        self._out = RateWindow()
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
        if depth > self._depth_peak:  # noqa: PLR1730 - max() costs three times that
            self._depth_peak = depth
        if in_flight_bytes > self._bytes_peak:  # noqa: PLR1730
            self._bytes_peak = in_flight_bytes

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
        self._out.add(now_s, committed + rejected, settled_bytes)

    def drain_bytes_per_s(self, now_s: float) -> float:
        """Bytes a second that left within the last second."""
        committed, rejected, settled_bytes, *_ = self.totals
        return self._out.rates(now_s, committed + rejected, settled_bytes)[1]

    def stats(self, core: IngestCore, now_s: float, *, is_closed: bool) -> IngestionStats:
        """This moment of the core that counts here."""
        self.note_peaks(core.queue_depth, core.in_flight_bytes)
        self._spill_bytes_peak = max(self._spill_bytes_peak, core.spill_bytes)
        in_flight = core.accepted - self.committed - self.rejected - self.dropped
        return IngestionStats(
            accepted=core.accepted,
            committed=self.committed,
            rejected=self.rejected,
            dropped=self.dropped,
            in_flight=in_flight,
            queue_depth=core.queue_depth,
            queue_bytes=core.queue_bytes,
            capacity=core.capacity,
            output_depth=in_flight - core.queue_depth - core.spill_depth,
            output_bytes=core.reorder.size_bytes,
            byte_budget=core.byte_budget,
            queue_depth_peak=self._depth_peak,
            in_flight_bytes_peak=self._bytes_peak,
            rejected_by_reason=dict(self.totals.rejected_by_reason),
            columns_rejected=self.totals.columns_rejected,
            dropped_bytes=self.dropped_bytes,
            dropped_by_reason=dict(self.dropped_by_reason),
            spilled=self.spilled,
            spill_depth=core.spill_depth,
            spill_bytes=core.spill_bytes,
            full_episodes=self.full_episodes,
            accept_rate=Rates(*self.accept_rate.rates(now_s, core.accepted, core.seen_bytes)),
            settle_rate=Rates(
                *self._out.rates(now_s, self.committed + self.rejected, self.settled_bytes)
            ),
            latency={name: summarize(took) for name, took in self.latency.values(now_s).items()},
            is_closed=is_closed,
        )
