"""`Overflow`: the part of the core for what finds no room: dropped, or kept on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.ingest.core_state import CoreState
from forebay.ingest.outcomes import DroppedMsg
from forebay.ingest.queue import Entry

if TYPE_CHECKING:
    from forebay.ingest.outcomes import RejectedMsg
    from forebay.ingest.victims import DropKey


class Overflow(CoreState):
    """What is dropped keeps its place; what is spilled counts until it is queued again."""

    __slots__ = ()

    # Dropping

    def drop_new(self, cost: int, reason: str) -> int:
        """Accept a message and drop it; its sequence number."""
        seq = self.accepted
        self.accepted = seq + 1
        self.counts.drop(1, cost, reason)
        self.queue.append_ready(DroppedMsg(seq, seq, 1, cost, ((reason, 1),)))
        return seq

    def drop_queued(self, key: DropKey, reason: str) -> Entry | None:
        """Drop the queued message that makes room for one of this key, if there is one."""
        entry = self.queue.pop_victim(key)
        if entry is not None:
            self.queue_depth -= 1
            self.queue_bytes -= entry.cost
            self.counts.drop(1, entry.cost, reason)
            dropped = DroppedMsg(entry.seq, entry.seq, 1, entry.cost, ((reason, 1),))
            self.queue.replace(entry, dropped)
        return entry

    def could_fit(self, cost: int) -> bool:
        """Whether a message could be queued if all that is queued were dropped."""
        decoding = sum(batch.size_bytes for batch in self._decoding.values())
        held = self.output_bytes + decoding + sum(batch.size_bytes for batch in self._returned)
        return not self.spill_depth and (held + cost <= self.byte_budget or not held)

    # Spilling

    def spill(self, cost: int) -> int:
        """Accept a message that is on disk; its sequence number."""
        seq = self.accepted
        if not self.spill_depth:
            self._spilled_from = seq
        # At once: a Ctrl-C between two of them would leave a message that never comes out.
        self.accepted, self.spill_depth, self.spill_bytes = (
            seq + 1,
            self.spill_depth + 1,
            self.spill_bytes + cost,
        )
        return seq

    @property
    def wants_spilled(self) -> bool:
        """Whether spilled messages should come back: the queue and the budget are half empty."""
        if not self.spill_depth or 2 * self.queue_depth > self.capacity:
            return False
        in_flight = self.queue_bytes + self.output_bytes
        return 2 * in_flight <= self.byte_budget

    def is_unspilled(self, seq: int) -> bool:
        """Whether a message that was on disk is queued already."""
        return not self.spill_depth or seq < self._spilled_from

    def can_unspill(self, cost: int) -> bool:
        """Whether a message from disk finds room in the queue."""
        return self._fits(cost)

    def unspill(self, item: Entry | RejectedMsg, cost: int) -> None:
        """Queue the oldest message that is on disk, or what became of it there."""
        queued = self.queue_bytes + (item.cost if type(item) is Entry else 0)
        now = self.queue_depth + 1, queued, self.spill_depth - 1, self.spill_bytes - cost
        try:
            self._rest.append(item)
            self.queue_depth, self.queue_bytes, self.spill_depth, self.spill_bytes = now
            self._spilled_from = item.seq + 1
        except BaseException:
            if self.spill_depth != now[2]:
                self.queue.take_back(item.seq)
            else:
                self._spilled_from = item.seq + 1
            raise
        if not self.spill_depth:
            self._spills_all = False
