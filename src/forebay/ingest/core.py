"""`IngestCore`: everything a worker decides, without locks, clocks or threads.

A message is *queued*, then part of a *batch* that is being decoded, then an outcome in the
*output*, then *handed over* to the owner, and at last *settled*: committed or rejected. Batches
may finish in any order; outcomes leave in the order in which their messages were accepted.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, NamedTuple

from forebay.ingest.outcomes import Outcome, RejectedMsg
from forebay.ingest.stats import IngestionStats, LatencyWindow
from forebay.limits import REJECTIONS_KEPT_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forebay.model import ArrowMsg


class Entry(NamedTuple):
    """One accepted message."""

    msg: ArrowMsg
    source: object
    cost: int
    accepted_s: float


class Batch(NamedTuple):
    """Messages of consecutive sequence numbers, taken to be decoded in one turn."""

    first_seq: int
    entries: list[Entry]
    size_bytes: int


class Finished(NamedTuple):
    """The outcomes of a batch, in order."""

    outcomes: list[Outcome]
    size_bytes: int
    finished_s: float


class IngestCore:
    """Queue, order, budget and counts of one worker.

    Attributes:
        capacity: Messages that may be queued or being decoded.
        byte_budget: Bytes that may be in flight; a single larger message is let in alone.
        accepted: Messages accepted so far, which is the next sequence number.
        next_output_seq: All messages before this one are processed.
        queue_depth: Messages queued or being decoded.
        queue_bytes: What they count for.
        output_bytes: What outcomes count for, from decoding until they are settled.
        rejections: The last settled rejections.
    """

    def __init__(self, capacity: int, byte_budget: int) -> None:
        self.capacity = capacity
        self.byte_budget = byte_budget
        self.accepted = 0
        self.committed = 0
        self.rejected = 0
        self.dropped = 0
        self.next_output_seq = 0
        self.queue_depth = 0
        self.queue_bytes = 0
        self.output_bytes = 0
        self.rejections: deque[RejectedMsg] = deque(maxlen=REJECTIONS_KEPT_MAX)
        self._rejected_by_reason: Counter[str] = Counter()
        self._queue: deque[Entry] = deque()
        self._next_take_seq = 0
        self._returned: list[Batch] = []
        self._decoding: dict[int, Batch] = {}
        self._early: dict[int, Finished] = {}
        self._output: list[Finished] = []
        self._handed: list[Finished] = []
        self._queue_depth_peak = 0
        self._bytes_peak = 0
        self._latency = {name: LatencyWindow() for name in ("queue", "decode", "output")}

    # Input

    def has_room(self, cost: int) -> bool:
        """Whether a message of that cost can be accepted now."""
        if self.queue_depth >= self.capacity:
            return False
        in_flight = self.queue_bytes + self.output_bytes
        return in_flight + cost <= self.byte_budget or not in_flight

    def accept(self, msg: ArrowMsg, source: object, cost: int, now_s: float) -> int:
        """Take a message in (there is room), and give its sequence number."""
        seq = self.accepted
        self.accepted = seq + 1
        self.queue_depth += 1
        self.queue_bytes += cost
        self._queue.append(Entry(msg, source, cost, now_s))
        return seq

    # Turns

    @property
    def has_input(self) -> bool:
        """Whether a turn would find messages to decode."""
        return bool(self._queue or self._returned)

    def exceeds(self, msgs: int, size_bytes: int) -> bool:
        """Whether what is queued is more than that, so that a second turn would find enough."""
        return len(self._queue) > msgs or (len(self._queue) > 1 and self.queue_bytes > size_bytes)

    def take(self, msgs_max: int, bytes_max: int, now_s: float) -> Batch | None:
        """The next messages to decode: at least one, then up to both bounds."""
        if self._returned:
            batch = self._returned.pop(0)
        elif self._queue:
            queue = self._queue
            entry = queue.popleft()
            entries, size = [entry], entry.cost
            while queue and len(entries) < msgs_max and size + queue[0].cost <= bytes_max:
                entry = queue.popleft()
                entries.append(entry)
                size += entry.cost
            batch = Batch(self._next_take_seq, entries, size)
            self._next_take_seq += len(entries)
        else:
            return None
        self._decoding[batch.first_seq] = batch
        self._latency["queue"].add(now_s, now_s - batch.entries[0].accepted_s)
        return batch

    def finish(self, batch: Batch, outcomes: list[Outcome], began_s: float, now_s: float) -> bool:
        """Take the outcomes of a batch's first messages; the rest is queued again, at its place.

        Returns:
            Whether there is output that was not there before.
        """
        self._note_peaks()
        del self._decoding[batch.first_seq]
        done, size = len(outcomes), batch.size_bytes
        if done < len(batch.entries):
            rest = batch.entries[done:]
            rest_size = sum(entry.cost for entry in rest)
            self._returned.append(Batch(batch.first_seq + done, rest, rest_size))
            self._returned.sort(key=lambda returned: returned.first_seq)
            size -= rest_size
            if not done:
                return False
        self._latency["decode"].add(now_s, (now_s - began_s) / done)
        self.queue_depth -= done
        self.queue_bytes -= size
        self.output_bytes += size
        finished = Finished(outcomes, size, now_s)
        if batch.first_seq != self.next_output_seq or self._early:
            self._early[batch.first_seq] = finished
            return self._release_in_order()
        self._output.append(finished)
        self.next_output_seq += done
        return True

    def _release_in_order(self) -> bool:
        released = False
        while (finished := self._early.pop(self.next_output_seq, None)) is not None:
            self._output.append(finished)
            self.next_output_seq += len(finished.outcomes)
            released = True
        return released

    # Output

    @property
    def has_output(self) -> bool:
        """Whether there are outcomes to hand over."""
        return bool(self._output)

    def hand_over(self, now_s: float, batches_max: int | None = None) -> list[Outcome]:
        """Outcomes in order, whole turns at a time; they stay in flight until `settle`."""
        if batches_max is None:
            taken, self._output = self._output, []
        else:
            taken, self._output = self._output[:batches_max], self._output[batches_max:]
        outcomes: list[Outcome] = []
        for finished in taken:
            outcomes += finished.outcomes
            self._latency["output"].add(now_s, now_s - finished.finished_s)
        self._handed += taken
        return outcomes

    def settle(self, refused: Sequence[RejectedMsg] = ()) -> int:
        """All that was handed over is committed, but for what was or is `refused`.

        Returns:
            The bytes that are no longer in flight.
        """
        self._note_peaks()
        rejections = list(refused)
        count = size = 0
        for finished in self._handed:
            count += len(finished.outcomes)
            size += finished.size_bytes
            rejections += [out for out in finished.outcomes if type(out) is RejectedMsg]
        self._handed = []
        if rejections:
            rejections.sort(key=lambda rejected: rejected.seq)
            self.rejections.extend(rejections)
            self._rejected_by_reason.update(rejected.reason for rejected in rejections)
        self.rejected += len(rejections)
        self.committed += count - len(rejections)
        self.output_bytes -= size
        return size

    # Looking

    def _note_peaks(self) -> None:
        # Depth and bytes only grow until here, so the peaks need no look at every message.
        if self.queue_depth > self._queue_depth_peak:  # noqa: PLR1730 - max() costs three times that
            self._queue_depth_peak = self.queue_depth
        in_flight_bytes = self.queue_bytes + self.output_bytes
        if in_flight_bytes > self._bytes_peak:  # noqa: PLR1730
            self._bytes_peak = in_flight_bytes

    def stats(self, now_s: float, *, is_closed: bool) -> IngestionStats:
        """This moment."""
        self._note_peaks()
        in_flight = self.accepted - self.committed - self.rejected - self.dropped
        return IngestionStats(
            accepted=self.accepted,
            committed=self.committed,
            rejected=self.rejected,
            dropped=self.dropped,
            in_flight=in_flight,
            queue_depth=self.queue_depth,
            queue_bytes=self.queue_bytes,
            capacity=self.capacity,
            output_depth=in_flight - self.queue_depth,
            output_bytes=self.output_bytes,
            byte_budget=self.byte_budget,
            queue_depth_peak=self._queue_depth_peak,
            in_flight_bytes_peak=self._bytes_peak,
            rejected_by_reason=dict(self._rejected_by_reason),
            latency={name: window.summary(now_s) for name, window in self._latency.items()},
            is_closed=is_closed,
        )

    def validate(self) -> None:
        """Check everything that must hold between any two calls.

        Raises:
            AssertionError: Naming what does not hold.
        """
        decoding = sorted(self._decoding.values(), key=lambda batch: batch.first_seq)
        unfinished = [*self._returned, *decoding]
        finished = [*self._handed, *self._output, *self._early.values()]
        queued = len(self._queue) + sum(len(batch.entries) for batch in unfinished)
        _check("queue depth", self.queue_depth, queued)
        sizes = sum(entry.cost for entry in self._queue)
        _check("queue bytes", self.queue_bytes, sizes + sum(b.size_bytes for b in unfinished))
        _check("output bytes", self.output_bytes, sum(f.size_bytes for f in finished))
        outcomes = [out for one in finished for out in one.outcomes]
        _check(
            "output bytes of all outcomes", self.output_bytes, sum(o.size_bytes for o in outcomes)
        )
        in_flight = queued + len(outcomes)
        _check("accepted", self.accepted, self.committed + self.rejected + self.dropped + in_flight)
        _check("messages taken or queued", self._next_take_seq + len(self._queue), self.accepted)

        leaving = [out.seq for one in [*self._handed, *self._output] for out in one.outcomes]
        first = self.next_output_seq - len(leaving)
        _check("order of outcomes", leaving, list(range(first, self.next_output_seq)))
        waiting = [out.seq for one in self._early.values() for out in one.outcomes]
        for batch in unfinished:
            waiting += range(batch.first_seq, batch.first_seq + len(batch.entries))
        _check(
            "messages in turns",
            sorted(waiting),
            list(range(self.next_output_seq, self._next_take_seq)),
        )

        in_flight_bytes = self.queue_bytes + self.output_bytes
        assert self.queue_depth <= self.capacity, "more messages than the capacity"
        assert in_flight_bytes <= self.byte_budget or in_flight == 1, "more bytes than the budget"


def _check(what: str, is_now: object, should_be: object) -> None:
    if is_now != should_be:
        msg = f"{what}: is {is_now}, should be {should_be}"
        raise AssertionError(msg)
