"""`IngestCore`: everything a worker decides, without locks, clocks or threads.

A message is *queued* (or *spilled* to disk, then queued), then part of a *batch* that is being
decoded, then an outcome in the *output*, then *handed over* to the owner, and at last *settled*:
committed or rejected. Or it is *dropped*, from the queue or at once; its place stays.

A person's Ctrl-C may come between any two lines, where the caller's thread does the work. So a
step first works out everything and then takes effect in one assignment, or is undone.

Batches may finish in any order; outcomes leave in the order in which their messages were taken
from the queue, which is the order of acceptance unless there are lanes. The number that a message
has in that order is its *place*.

Its parts are `intake` (accepting), `overflow` (dropping, spilling), this file (turns) and `output`
(release in order, hand over, settle); they share the slots of `core_state`. Each is a base class
and not an object of its own: a message passes all of them, and every step would cost an attribute
more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.ingest.core_state import Batch, Finished
from forebay.ingest.intake import Intake
from forebay.ingest.outcomes import Outcome, RejectedMsg, num_messages
from forebay.ingest.output import Output
from forebay.ingest.overflow import Overflow
from forebay.ingest.validation import validate

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from forebay.ingest.counts import Stamps
    from forebay.ingest.outcomes import ConvertedMsg, RejectedColumn
    from forebay.ingest.queue import Entry, Ready
    from forebay.ingest.stats import IngestionStats

__all__ = ["Batch", "Finished", "IngestCore"]


class IngestCore(Intake, Overflow, Output):
    """All that a worker decides; here, what turns take and give back."""

    __slots__ = ()

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
        queue_bytes = self.queue_bytes - size
        columns: tuple[RejectedColumn, ...] = ()
        if converted:
            seqs = {out.seq for out in outcomes}
            known = [one for one in converted if one.seq in seqs]
            columns = tuple([column for one in known for column in one.columns])
            size += sum(one.extra_bytes for one in known)
            self._over_bytes = max(self._over_bytes, queue_bytes + self.output_bytes + size)
        finished = Finished(outcomes, size, now_s, places, stamps, columns)
        early = {**self._early, first_place: finished}
        now = early, returned, depth, queue_bytes, self.output_bytes + size
        self._early, self._returned, self.queue_depth, self.queue_bytes, self.output_bytes = now
        del self._decoding[first_place]
        return self._release_in_order()

    # Looking

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
