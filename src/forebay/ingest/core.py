"""`IngestCore`: everything that a worker decides, without locks, clocks or threads.

The way of a message: it is *queued* (or *spilled* to disk and queued later), then it is part of a
*batch* that a turn decodes, then it is an outcome (`reorder`). Or it is *dropped*, from the queue
or at once; then a `DroppedMsg` takes its place.

Batches may finish in any order; outcomes leave in the order in which turns took their messages
from the queue. Without lanes that is the order of acceptance. The number that a message has in
that order is its *place*.

A Ctrl-C may come between any two lines where the caller's thread does the work. So a step works
everything out first and then takes effect in one assignment, or is undone.

The file is one class and longer than most: each part (accepting, dropping, spilling, turns) changes
the same few counters, and every message passes through here.
"""

from __future__ import annotations

import functools
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from forebay.ingest.counts import Counts
from forebay.ingest.outcomes import DroppedMsg, Outcome, RejectedMsg, num_messages
from forebay.ingest.queue import Entry, MessageQueue
from forebay.ingest.reorder import Finished, Reorder
from forebay.ingest.stats import IngestionStats, Rates, summarize

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from forebay.ingest.counts import Stamps
    from forebay.ingest.outcomes import ConvertedMsg, RejectedColumn
    from forebay.ingest.queue import Ready
    from forebay.ingest.victims import DropKey
    from forebay.model import ArrowMsg


_entry: Final[Callable[[tuple[Any, ...]], Entry]] = functools.partial(tuple.__new__, Entry)
"""Makes an `Entry` of a tuple of its fields, in a third of the time of calling it."""


class Batch(NamedTuple):
    """Messages of consecutive places, taken to be decoded in one turn.

    Attributes:
        first_place: The place of the first one.
        entries: The messages to decode.
        size_bytes: What they count for in the byte budget.
        ready: Outcomes that were known before; they have the first places.
    """

    first_place: int
    entries: list[Entry]
    size_bytes: int
    ready: Sequence[Ready] = ()


class IngestCore:
    """Queue, order, budget and counts of one worker. Its owner calls it one call at a time."""

    __slots__ = {
        "_decoding": "Batches that turns have taken, by their first place.",
        "_has_lanes": "Whether static data may go before queued temporal data.",
        "_next_take_place": "The place that the next message taken from the queue gets.",
        "_over_bytes": "What was in flight when the budget was made smaller; that much may stay.",
        "_rest": "The queue's main lane.",
        "_returned": "Batches that were given back, or what is left of them, by place.",
        "_spilled_from": "The sequence number of the oldest message on disk.",
        "_spills_all": "A barrier was set while messages were on disk: first lanes wait too.",
        "accepted": "Messages accepted so far, which is the next sequence number.",
        "byte_budget": "Bytes that may be in flight; a single larger message is let in alone.",
        "capacity": "Messages that may be queued or being decoded.",
        "counts": "Totals, peaks, rates and latencies.",
        "queue": "What waits for a turn.",
        "queue_bytes": "What queued messages, and those being decoded, count for.",
        "queue_depth": "Messages queued or being decoded.",
        "reorder": "Outcomes, from the end of their turn until they are settled.",
        "spill_bytes": "What the messages on disk count for.",
        "spill_depth": "Messages on disk.",
    }

    _reorder_type: type[Reorder] = Reorder

    def __init__(self, capacity: int, byte_budget: int, *, has_lanes: bool = False) -> None:
        self.capacity = capacity
        self.byte_budget = byte_budget
        self.accepted = 0
        self.queue_depth = 0
        self.queue_bytes = 0
        self.spill_depth = 0
        self.spill_bytes = 0
        self.counts = Counts()
        self.queue = MessageQueue(has_lanes=has_lanes)
        self.reorder = self._reorder_type(self.counts)
        self._spills_all = False
        self._spilled_from = 0
        self._next_take_place = 0
        self._returned: list[Batch] = []
        self._decoding: dict[int, Batch] = {}
        self._rest = self.queue.rest
        self._has_lanes = has_lanes
        self._over_bytes = 0

    @property
    def in_flight_bytes(self) -> int:
        """What counts against the byte budget: queued, being decoded, and not settled."""
        return self.queue_bytes + self.reorder.size_bytes

    @property
    def seen_bytes(self) -> int:
        """What all messages accepted so far counted for."""
        in_flight = self.in_flight_bytes + self.spill_bytes
        return in_flight + self.counts.settled_bytes + self.counts.dropped_bytes

    # Accepting. The caller has asked for room before.

    def has_room(self, cost: int, *, is_first: bool = False) -> bool:
        """Whether a message of that cost can be queued now.

        A message must not go before those that are on disk, so it has no room while there are
        any. A message of the first lane may, unless a barrier forbids it.
        """
        if self.spill_depth and (self._spills_all or not (is_first and self._has_lanes)):
            return False
        return self._fits(cost)

    def _fits(self, cost: int) -> bool:
        if self.queue_depth >= self.capacity:
            return False
        in_flight = self.queue_bytes + self.reorder.size_bytes
        return in_flight + cost <= self.byte_budget or not in_flight

    def room_for(self, costs: Sequence[int]) -> int:
        """How many messages of these costs, from the first on, can be queued now."""
        if self.spill_depth:
            return 0
        count = min(len(costs), self.capacity - self.queue_depth)
        left = self.byte_budget - self.in_flight_bytes
        while count and sum(costs[:count]) > left:
            count //= 2
        return count

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
        """Queue a message and return its sequence number."""
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

    def accept_many(
        self, taken: Sequence[tuple[ArrowMsg, int]], source: object, now_s: float
    ) -> None:
        """Queue messages, each given with its cost."""
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

    def refuse(self, rejected: RejectedMsg) -> int:
        """Queue a message as a rejection, at its place, and return its sequence number."""
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
            The first place of what comes later.
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
        self._over_bytes = self.in_flight_bytes

    # Dropping

    def drop_new(self, cost: int, reason: str) -> int:
        """Accept a message, drop it at once, and return its sequence number."""
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
        batches = (*self._decoding.values(), *self._returned)
        held = self.reorder.size_bytes + sum(batch.size_bytes for batch in batches)
        return not self.spill_depth and (held + cost <= self.byte_budget or not held)

    # Spilling

    def spill(self, cost: int) -> int:
        """Accept a message that is on disk and return its sequence number."""
        seq = self.accepted
        if not self.spill_depth:
            self._spilled_from = seq
        # In one step: a Ctrl-C between two of them would leave a message that never comes out.
        now = seq + 1, self.spill_depth + 1, self.spill_bytes + cost
        self.accepted, self.spill_depth, self.spill_bytes = now
        return seq

    @property
    def wants_spilled(self) -> bool:
        """Whether spilled messages should come back: the queue and the budget are half empty."""
        if not self.spill_depth or 2 * self.queue_depth > self.capacity:
            return False
        return 2 * self.in_flight_bytes <= self.byte_budget

    def is_unspilled(self, seq: int) -> bool:
        """Whether a message that was on disk is queued already."""
        return not self.spill_depth or seq < self._spilled_from

    def can_unspill(self, cost: int) -> bool:
        """Whether a message from disk finds room in the queue."""
        return self._fits(cost)

    def unspill(self, item: Entry | RejectedMsg, cost: int) -> None:
        """Queue the oldest message that is on disk, or its rejection if it cannot be read."""
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

    # Turns

    @property
    def has_input(self) -> bool:
        """Whether a turn would find messages to decode, or outcomes to pass on."""
        return bool(self._rest or self._returned or (self._has_lanes and self.queue))

    def exceeds(self, msgs: int, size_bytes: int) -> bool:
        """Whether more than that is queued, so that a second turn would find enough."""
        queued = len(self._rest) if not self._has_lanes else len(self.queue)
        return queued > msgs or (queued > 1 and self.queue_bytes > size_bytes)

    def take(self, msgs_max: int, bytes_max: int, now_s: float) -> Batch | None:
        """The next messages to decode, up to both bounds, and the outcomes known before them."""
        first_place = self._next_take_place
        taken: tuple[list[Ready], list[Entry], int] | None = None
        batch: Batch | None = None
        try:
            if self._returned:
                batch = self._returned[0]
                self._decoding[batch.first_place] = batch
                del self._returned[0]
            elif self._rest or (self._has_lanes and self.queue):
                taken = self.queue.take(msgs_max, bytes_max)
                ready, entries, size = taken
                if self._has_lanes:
                    self.queue.note_taken(entries)
                batch = Batch(first_place, entries, size, ready)
                self._decoding[first_place] = batch
                places = len(entries) + (num_messages(ready) if ready else 0)
                self._next_take_place = first_place + places
            else:
                return None
            counts = self.counts
            if now_s >= counts.accept_rate.next_s:
                counts.accept_rate.add(now_s, self.accepted, self.seen_bytes)
            return batch
        except BaseException:
            if batch is None and taken is not None:
                batch = Batch(first_place, taken[1], taken[2], taken[0])
            if batch is not None:
                self.give_back(batch)
            raise

    def give_back(self, batch: Batch) -> None:
        """Queue a batch again whose turn was broken off, unless it is finished."""
        first_place = batch.first_place
        after = first_place + len(batch.entries) + num_messages(batch.ready)
        self._next_take_place = max(self._next_take_place, after)
        self._decoding.pop(first_place, None)
        reorder = self.reorder
        is_finished = first_place < reorder.next_place or first_place in reorder.early
        if not is_finished and all(first_place != one.first_place for one in self._returned):
            self._returned = _by_place([*self._returned, batch])

    def give_back_others(self, decoding: Collection[Batch]) -> None:
        """Give back what counts as being decoded, except for these batches."""
        places = {batch.first_place for batch in decoding}
        for batch in list(self._decoding.values()):
            if batch.first_place not in places:
                self.give_back(batch)

    def finish(
        self,
        batch: Batch,
        outcomes: list[Outcome],
        began_s: float,
        now_s: float,
        stamps: Stamps | None = None,
        *,
        converted: Sequence[ConvertedMsg] = (),
    ) -> bool:
        """Take the outcomes of a batch's first messages; the rest is queued again, at its place.

        Args:
            batch: The batch.
            outcomes: Of its first messages.
            began_s: When the first of them was begun.
            now_s: The clock.
            stamps: When one of them came by.
            converted: Those of them that count for more than was known before, or lack columns.

        Returns:
            Whether there is output that was not there before.
        """
        reorder, first_place = self.reorder, batch.first_place
        self.counts.note_peaks(self.queue_depth, self.queue_bytes + reorder.size_bytes)
        done, size, places = len(outcomes), batch.size_bytes, len(outcomes)
        depth, returned = self.queue_depth - done, self._returned
        if batch.ready:
            places += num_messages(batch.ready)
            depth -= sum(type(out) is RejectedMsg for out in batch.ready)
            outcomes = [*batch.ready, *outcomes]
        if done < len(batch.entries):
            rest = batch.entries[done:]
            rest_size = sum(entry.cost for entry in rest)
            returned = _by_place([*returned, Batch(first_place + places, rest, rest_size)])
            size -= rest_size
            if not outcomes:
                self._returned = returned
                del self._decoding[first_place]
                return False
        if done:
            queued_s = began_s - batch.entries[0].accepted_s
            self.counts.note_turn(now_s, queued_s, (now_s - began_s) / done)
        queue_bytes = self.queue_bytes - size
        columns: tuple[RejectedColumn, ...] = ()
        if converted:
            seqs = {out.seq for out in outcomes}
            known = [one for one in converted if one.seq in seqs]
            columns = tuple([column for one in known for column in one.columns])
            size += sum(one.extra_bytes for one in known)
            self._over_bytes = max(self._over_bytes, queue_bytes + reorder.size_bytes + size)
        finished = Finished(outcomes, size, now_s, places, stamps, columns)
        early = {**reorder.early, first_place: finished}
        now = returned, depth, queue_bytes, early, reorder.size_bytes + size
        self._returned, self.queue_depth, self.queue_bytes, reorder.early, reorder.size_bytes = now
        del self._decoding[first_place]
        return reorder.release()

    # Settling

    def settle(
        self, refused: Sequence[RejectedMsg] = (), now_s: float = 0.0, wall_ns: int = 0
    ) -> int:
        """Count what was handed over as committed, except for rejections and what is `refused`.

        See `Reorder.settle`, which returns the bytes that are no longer in flight.
        """
        reorder = self.reorder
        self.counts.note_peaks(self.queue_depth, self.queue_bytes + reorder.size_bytes)
        released = reorder.settle(refused, now_s, wall_ns)
        if self._over_bytes:
            self._over_bytes = min(self._over_bytes, self.in_flight_bytes)
        return released

    # Looking

    def is_processed(self, seq: int) -> bool:
        """Whether all messages up to this one are processed or dropped."""
        if self.reorder.next_place <= seq:
            return False
        return not self._has_lanes or seq < self._lowest_unprocessed()

    def _lowest_unprocessed(self) -> int:
        lowest = [self.accepted]
        if (queued := self.queue.lowest_seq()) is not None:
            lowest.append(queued)
        if self.spill_depth:
            lowest.append(self._spilled_from)
        for batch in (*self._returned, *self._decoding.values()):
            lowest += [item.seq for item in (*batch.ready[:1], *batch.entries[:1])]
        for finished in self.reorder.early.values():
            lowest += [out.seq for out in finished.outcomes]
        return min(lowest)

    def stats(self, now_s: float, *, is_closed: bool) -> IngestionStats:
        """Counts, sizes and latencies of this moment."""
        counts = self.counts
        counts.note_peaks(self.queue_depth, self.in_flight_bytes)
        in_flight = self.accepted - counts.committed - counts.rejected - counts.dropped
        num_settled = counts.committed + counts.rejected
        return IngestionStats(
            accepted=self.accepted,
            committed=counts.committed,
            rejected=counts.rejected,
            dropped=counts.dropped,
            in_flight=in_flight,
            queue_depth=self.queue_depth,
            queue_bytes=self.queue_bytes,
            capacity=self.capacity,
            output_depth=in_flight - self.queue_depth - self.spill_depth,
            output_bytes=self.reorder.size_bytes,
            byte_budget=self.byte_budget,
            queue_depth_peak=counts.depth_peak,
            in_flight_bytes_peak=counts.bytes_peak,
            rejected_by_reason=dict(counts.totals.rejected_by_reason),
            columns_rejected=counts.totals.columns_rejected,
            dropped_bytes=counts.dropped_bytes,
            dropped_by_reason=dict(counts.dropped_by_reason),
            spilled=counts.spilled,
            spill_depth=self.spill_depth,
            spill_bytes=self.spill_bytes,
            full_episodes=counts.full_episodes,
            accept_rate=Rates(*counts.accept_rate.rates(now_s, self.accepted, self.seen_bytes)),
            settle_rate=Rates(*counts.settle_rate.rates(now_s, num_settled, counts.settled_bytes)),
            latency={name: summarize(took) for name, took in counts.latency.values(now_s).items()},
            is_closed=is_closed,
        )


def _by_place(batches: list[Batch]) -> list[Batch]:
    return sorted(batches, key=lambda batch: batch.first_place)
