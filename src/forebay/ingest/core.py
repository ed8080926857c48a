"""`IngestCore`: everything a worker decides, without locks, clocks or threads.

A message is *queued* (or *spilled* to disk, then queued), then part of a *batch* that is being
decoded, then an outcome in the *output*, then *handed over* to the owner, and at last *settled*:
committed or rejected. Or it is *dropped*, from the queue or at once; its place stays.

A person's Ctrl-C may come between any two lines, where the caller's thread does the work. So a
step first works out everything and then takes effect in one assignment, or is undone.

Batches may finish in any order; outcomes leave in the order in which their messages were taken
from the queue, which is the order of acceptance unless there are lanes. The number that a message
has in that order is its *place*.
"""

from __future__ import annotations

import functools
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from forebay.ingest.counts import Counts, Stamps
from forebay.ingest.outcomes import DroppedMsg, Outcome, RejectedMsg, num_messages
from forebay.ingest.queue import Entry, MessageQueue, Ready
from forebay.ingest.rejections import RejectionLog
from forebay.ingest.validation import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from forebay.ingest.stats import IngestionStats
    from forebay.ingest.victims import DropKey
    from forebay.model import ArrowMsg


_entry: Final[Callable[[tuple[Any, ...]], Entry]] = functools.partial(tuple.__new__, Entry)
"""An `Entry` of its fields, for a third of calling it."""


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


class IngestCore:
    """Queue, order, budget and counts of one worker.

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

    # Input

    def has_room(self, cost: int, *, is_first: bool = False) -> bool:
        """Whether a message of that cost can be queued now.

        What comes after spilled messages must not go before them: it has no room. A first lane
        goes its own way, as far as no barrier forbids it.
        """
        if self.spill_depth and (self._spills_all or not (is_first and self._has_lanes)):
            return False
        return self._fits(cost)

    def _fits(self, cost: int) -> bool:
        if self.queue_depth >= self.capacity:
            return False
        in_flight = self.queue_bytes + self.output_bytes
        return in_flight + cost <= self.byte_budget or not in_flight

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
        self.accepted = seq + 1
        if not self.spill_depth:
            self._spilled_from = seq
        self.spill_depth += 1
        self.spill_bytes += cost
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

    # Turns

    @property
    def has_input(self) -> bool:
        """Whether a turn would find messages to decode, or outcomes to pass on."""
        return bool(self._rest or self._returned or (self._has_lanes and self.queue))

    def exceeds(self, msgs: int, size_bytes: int) -> bool:
        """Whether what is queued is more than that, so that a second turn would find enough."""
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
            elif self.has_input:
                taken = self.queue.take(msgs_max, bytes_max)
                ready, entries, size = taken
                self.queue.note_taken(entries)
                batch = Batch(first_place, entries, size, ready)
                self._decoding[first_place] = batch
                places = len(entries) + (num_messages(ready) if ready else 0)
                self._next_take_place = first_place + places
            else:
                return None
            self._note_taken(batch, now_s)
            return batch
        except BaseException:
            if batch is None and taken is not None:
                batch = Batch(first_place, taken[1], taken[2], taken[0])
            if batch is not None:
                self.give_back(batch)
            raise

    def _note_taken(self, batch: Batch, now_s: float) -> None:
        counts = self.counts
        if now_s >= counts.next_totals_s:
            counts.note_totals(now_s, self.accepted, self.seen_bytes)
        if batch.entries:
            counts.note_queued(now_s, now_s - batch.entries[0].accepted_s)

    def give_back(self, batch: Batch) -> None:
        """Queue a batch again whose turn was broken off, unless it was finished by then."""
        first_place = batch.first_place
        after = first_place + len(batch.entries) + num_messages(batch.ready)
        self._next_take_place = max(self._next_take_place, after)
        self._decoding.pop(first_place, None)
        is_finished = first_place < self.next_output_place or first_place in self._early
        if not is_finished and all(first_place != one.first_place for one in self._returned):
            self._returned = _by_place([*self._returned, batch])

    def give_back_others(self, decoding: Collection[Batch]) -> None:
        """Give back what counts as being decoded, but for these batches."""
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
    ) -> bool:
        """Take the outcomes of a batch's first messages; the rest is queued again, at its place.

        Returns:
            Whether there is output that was not there before.
        """
        self.counts.note_peaks(self.queue_depth, self.queue_bytes + self.output_bytes)
        first_place = batch.first_place
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
            self.counts.note_decoded(now_s, (now_s - began_s) / done)
        finished = Finished(outcomes, size, now_s, places, stamps)
        early = {**self._early, first_place: finished}
        now = early, returned, depth, self.queue_bytes - size, self.output_bytes + size
        self._early, self._returned, self.queue_depth, self.queue_bytes, self.output_bytes = now
        del self._decoding[first_place]
        return self._release_in_order()

    def _release_in_order(self) -> bool:
        released = False
        while (finished := self._early.get(self.next_output_place)) is not None:
            self._release(finished)
            released = True
        return released

    def _release(self, finished: Finished) -> None:
        output, place = self._output, self.next_output_place
        next_place = place + finished.num_places
        early = {}
        if len(self._early) > 1:
            early = {at: one for at, one in self._early.items() if at != place}
        if output and type(finished.outcomes[0]) is DroppedMsg:
            last = output[-1].outcomes[-1]
            if type(last) is DroppedMsg:
                # Nobody took the last ones yet: however many are dropped, they stay one outcome.
                before = output[-1]
                merged = [*before.outcomes[:-1], last.merged(finished.outcomes[0])]
                both = Finished(
                    merged + finished.outcomes[1:],
                    before.size_bytes + finished.size_bytes,
                    before.finished_s,
                    before.num_places + finished.num_places,
                    before.stamps or finished.stamps,
                )
                now = [*output[:-1], both], early, next_place
                self._output, self._early, self.next_output_place = now
                return
        if not output or output[-1] is not finished:
            output.append(finished)
        self._early, self.next_output_place = early, next_place

    @property
    def seen_bytes(self) -> int:
        """What all messages accepted so far counted for."""
        in_flight = self.queue_bytes + self.output_bytes + self.spill_bytes
        return in_flight + self.counts.settled_bytes + self.counts.dropped_bytes

    def is_processed(self, seq: int) -> bool:
        """Whether all messages up to this one are processed or dropped."""
        if self.next_output_place <= seq:
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
        for finished in self._early.values():
            lowest += [out.seq for out in finished.outcomes]
        return min(lowest)

    # Output

    @property
    def has_output(self) -> bool:
        """Whether there are outcomes to hand over."""
        return bool(self._output)

    def hand_over(self, now_s: float, batches_max: int | None = None) -> list[Outcome]:
        """Outcomes in order, whole turns at a time; they stay in flight until `settle`.

        What was handed over before and is not settled comes again, before the rest: the first
        outcome has the place `settled_place`.
        """
        if self._early:
            self._release_in_order()  # a finish that was broken off may have left something
        taken = self._output if batches_max is None else self._output[:batches_max]
        handed = [*self._handed, *taken] if self._handed else taken
        outcomes: list[Outcome] = []
        for finished in handed:
            outcomes += finished.outcomes
        for finished in taken:
            self.counts.note_output(now_s, now_s - finished.finished_s)
        left = [] if batches_max is None else self._output[batches_max:]
        self._handed, self._output = handed, left
        return outcomes

    def settle(
        self, refused: Sequence[RejectedMsg] = (), now_s: float = 0.0, wall_ns: int = 0
    ) -> int:
        """All that was handed over is committed, but for what was or is `refused`.

        Args:
            refused: Chunks that the store refused; those that were not handed over do not count.
            now_s: The clock, for rates.
            wall_ns: Nanoseconds since the Unix epoch, for latencies since logging.

        Returns:
            The bytes that are no longer in flight.
        """
        counts = self.counts
        counts.note_peaks(self.queue_depth, self.queue_bytes + self.output_bytes)
        rejections: list[RejectedMsg] = []
        count = size = 0
        place = self.settled_place
        for finished in self._handed:
            count += len(finished.outcomes)
            size += finished.size_bytes
            place += finished.num_places
            if finished.stamps is not None:
                counts.note_committed(now_s, finished.stamps, wall_ns)
            for out in finished.outcomes:
                if type(out) is RejectedMsg:
                    rejections.append(out)
                elif type(out) is DroppedMsg:
                    count -= 1
        if refused:
            seqs = {out.seq for finished in self._handed for out in finished.outcomes}
            rejections += [one for one in refused if one.seq in seqs]
        if rejections:
            rejections.sort(key=lambda rejected: rejected.seq)
            self.rejections.extend(rejections)
        left = self.output_bytes - size
        settled = counts.settled(count, size, rejections)
        self._handed, self.output_bytes, self.settled_place, counts.totals = (
            [],
            left,
            place,
            settled,
        )
        counts.note_settled(now_s)
        if self._over_bytes:
            self._over_bytes = min(self._over_bytes, self.queue_bytes + self.output_bytes)
        return size

    # Looking

    def stats(self, now_s: float, *, is_closed: bool) -> IngestionStats:
        """This moment."""
        return self.counts.stats(self, now_s, is_closed=is_closed)

    def validate(self) -> None:
        """Check everything that must hold between any two calls.

        Raises:
            AssertionError: Naming what does not hold.
        """
        validate(self)


def _by_place(batches: list[Batch]) -> list[Batch]:
    return sorted(batches, key=lambda batch: batch.first_place)
