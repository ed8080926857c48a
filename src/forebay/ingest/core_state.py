"""`CoreState`: what the parts of `IngestCore` share, and the values that they pass on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from forebay.ingest.counts import Counts
from forebay.ingest.queue import MessageQueue
from forebay.ingest.rejections import RejectionLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forebay.ingest.counts import Stamps
    from forebay.ingest.outcomes import Outcome, RejectedColumn
    from forebay.ingest.queue import Entry, Ready


class Batch(NamedTuple):
    """Messages of consecutive places, taken to be decoded in one turn.

    Outcomes that were known before (`ready`) have the first places.
    """

    first_place: int
    entries: list[Entry]
    size_bytes: int
    ready: Sequence[Ready] = ()


class Finished(NamedTuple):
    """The outcomes of a batch, in order."""

    outcomes: list[Outcome]
    size_bytes: int
    finished_s: float
    num_places: int
    stamps: Stamps | None = None
    columns: tuple[RejectedColumn, ...] = ()


class CoreState:
    """Queue, order, budget and counts of one worker: all slots, for one object a worker.

    Attributes:
        capacity: Messages that may be queued or being decoded.
        byte_budget: Bytes that may be in flight; a single larger message is let in alone.
        accepted: Messages accepted so far, which is the next sequence number.
        next_output_place: All messages before this place are processed or dropped.
        queue_depth: Messages queued or being decoded.
        queue_bytes: What they count for.
        output_bytes: What outcomes count for, from decoding until they are settled.
        spill_depth: Messages on disk.
        spill_bytes: What they count for.
        rejections: The first settled rejections, and the last.
        settled_place: All messages before this place are settled.
    """

    __slots__ = (
        "_decoding",
        "_early",
        "_handed",
        "_has_lanes",
        "_next_take_place",
        "_output",
        "_over_bytes",
        "_rest",
        "_returned",
        "_spilled_from",
        "_spills_all",
        "accepted",
        "byte_budget",
        "capacity",
        "counts",
        "next_output_place",
        "output_bytes",
        "queue",
        "queue_bytes",
        "queue_depth",
        "rejections",
        "settled_place",
        "spill_bytes",
        "spill_depth",
    )

    def __init__(self, capacity: int, byte_budget: int, *, has_lanes: bool = False) -> None:
        self.capacity = capacity
        self.byte_budget = byte_budget
        self.accepted = 0
        self.next_output_place = 0
        self.settled_place = 0
        self.queue_depth = 0
        self.queue_bytes = 0
        self.output_bytes = 0
        self.spill_depth = 0
        self.spill_bytes = 0
        self.counts = Counts()
        self.rejections = RejectionLog()
        self.queue = MessageQueue(has_lanes=has_lanes)
        self._spills_all = False
        self._spilled_from = 0
        self._next_take_place = 0
        self._returned: list[Batch] = []
        self._decoding: dict[int, Batch] = {}
        self._early: dict[int, Finished] = {}
        self._output: list[Finished] = []
        self._handed: list[Finished] = []
        self._rest = self.queue.rest
        self._has_lanes = has_lanes
        self._over_bytes = 0

    def _fits(self, cost: int) -> bool:
        if self.queue_depth >= self.capacity:
            return False
        in_flight = self.queue_bytes + self.output_bytes
        return in_flight + cost <= self.byte_budget or not in_flight

    @property
    def seen_bytes(self) -> int:
        """What all messages accepted so far counted for."""
        in_flight = self.queue_bytes + self.output_bytes + self.spill_bytes
        return in_flight + self.counts.settled_bytes + self.counts.dropped_bytes
