"""`Intake`: the part of the core where messages come in and barriers are set."""

from __future__ import annotations

import functools
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

from forebay.ingest.core_state import CoreState
from forebay.ingest.queue import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forebay.ingest.outcomes import RejectedMsg
    from forebay.ingest.victims import DropKey
    from forebay.model import ArrowMsg


_entry: Final[Callable[[tuple[Any, ...]], Entry]] = functools.partial(tuple.__new__, Entry)
"""An `Entry` of its fields, for a third of calling it."""


class Intake(CoreState):
    """What is let in, and what it is charged for. Whoever accepts has asked for room first."""

    __slots__ = ()

    def has_room(self, cost: int, *, is_first: bool = False) -> bool:
        """Whether a message of that cost can be queued now.

        What comes after spilled messages must not go before them: it has no room. A first lane
        goes its own way, as far as no barrier forbids it.
        """
        if self.spill_depth and (self._spills_all or not (is_first and self._has_lanes)):
            return False
        return self._fits(cost)

    def room_for(self, costs: Sequence[int]) -> int:
        """How many messages of these costs, from the first on, can be queued now."""
        if self.spill_depth:
            return 0
        count = min(len(costs), self.capacity - self.queue_depth)
        left = self.byte_budget - self.queue_bytes - self.output_bytes
        while count and sum(costs[:count]) > left:
            count //= 2
        return count

    def accept_many(
        self, taken: Sequence[tuple[ArrowMsg, int]], source: object, now_s: float
    ) -> None:
        """Take messages in, each with its cost (there is room)."""
        seq, count = self.accepted, len(taken)
        msgs, costs = zip(*taken, strict=True)
        seqs = range(seq, seq + count)
        fields = zip(msgs, repeat(source), costs, repeat(now_s), seqs, repeat(None), strict=False)
        entries = list(map(_entry, fields))
        size = sum(costs)
        now = seq + count, self.queue_depth + count, self.queue_bytes + size
        try:
            self._rest.extend(entries)
            self.accepted, self.queue_depth, self.queue_bytes = now
        except BaseException:
            if self.accepted == seq:
                for entry in reversed(entries):
                    self.queue.take_back(entry.seq)
            raise

    def accept(
        self,
        msg: ArrowMsg,
        source: object,
        cost: int,
        now_s: float,
        key: DropKey | None = None,
        *,
        is_first: bool = False,
    ) -> int:
        """Take a message in (there is room), and give its sequence number."""
        seq = self.accepted
        now = seq + 1, self.queue_depth + 1, self.queue_bytes + cost
        try:
            if key is None and not is_first:
                self._rest.append(Entry(msg, source, cost, now_s, seq))
            else:
                self.queue.append(Entry(msg, source, cost, now_s, seq, key), is_first=is_first)
            self.accepted, self.queue_depth, self.queue_bytes = now
        except BaseException:
            if self.accepted == seq:
                self.queue.take_back(seq)
            raise
        return seq

    def refuse(self, rejected: RejectedMsg) -> int:
        """Take a message in as a rejection (there is room), at its place; its sequence number."""
        seq = self.accepted
        now = seq + 1, self.queue_depth + 1
        try:
            self._rest.append(rejected)
            self.accepted, self.queue_depth = now
        except BaseException:
            if self.accepted == seq:
                self.queue.take_back(seq)
            raise
        return seq

    def set_barrier(self) -> int:
        """Let nothing that comes later be processed before what is accepted already.

        Returns:
            The place from which on everything comes later.
        """
        lowest = self.queue.lowest_seq()
        if self.spill_depth:
            lowest = self._spilled_from if lowest is None else min(lowest, self._spilled_from)
        self.queue.set_barrier(self.accepted, lowest)
        self._spills_all = self.spill_depth > 0
        return self.accepted

    def set_byte_budget(self, byte_budget: int) -> None:
        """Allow more bytes, or fewer; what is in flight stays."""
        self.byte_budget = byte_budget
        self._over_bytes = self.queue_bytes + self.output_bytes
