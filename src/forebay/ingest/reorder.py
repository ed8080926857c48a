"""`Reorder`: brings the outcomes of turns back into order and keeps them until they are settled.

Several turns may decode at once and end in any order. The outcomes of a turn are *early* while an
earlier turn is not finished, then *output*, then *handed* over to the owner, who commits them, and
at last *settled*: they no longer count for anything. Pure: no locks, clocks or threads.

A step works everything out first and takes effect in one assignment, because a Ctrl-C may come
between any two lines where the caller's thread does the work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from forebay.ingest.outcomes import DroppedMsg, Outcome, RejectedMsg
from forebay.ingest.rejections import RejectionLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forebay.ingest.counts import Counts, Stamps
    from forebay.ingest.outcomes import RejectedColumn, Rejection


class Finished(NamedTuple):
    """The outcomes of one turn.

    Attributes:
        outcomes: In the order of their places.
        size_bytes: What they count for in the byte budget.
        finished_s: When the turn ended, in seconds of the runtime's clock.
        num_places: How many messages they stand for.
        stamps: When one of the chunks came by, if that was noted.
        columns: Columns of the chunks that could not be read.
    """

    outcomes: list[Outcome]
    size_bytes: int
    finished_s: float
    num_places: int
    stamps: Stamps | None = None
    columns: tuple[RejectedColumn, ...] = ()


class Reorder:
    """Outcomes from the end of their turn until they are settled, in the order of their places.

    A *place* is the number that a message has in the order in which turns took messages.
    """

    __slots__ = {
        "_counts": "Totals and latencies, shared with the core.",
        "early": "Finished turns that wait for an earlier one, by their first place.",
        "handed": "What the owner has taken and not settled, in order.",
        "next_place": "All messages before this place are processed or dropped.",
        "output": "What the owner can take, in order.",
        "rejections": "The first settled rejections, and the last.",
        "settled_place": "All messages before this place are settled.",
        "size_bytes": "What all outcomes here count for in the byte budget.",
    }

    def __init__(self, counts: Counts) -> None:
        self.early: dict[int, Finished] = {}
        self.output: list[Finished] = []
        self.handed: list[Finished] = []
        self.next_place = 0
        self.settled_place = 0
        self.size_bytes = 0
        self.rejections = RejectionLog()
        self._counts = counts

    def release(self) -> bool:
        """Move what is no longer early to the output; True if there was anything."""
        released = False
        while (finished := self.early.get(self.next_place)) is not None:
            self._release(finished)
            released = True
        return released

    def _release(self, finished: Finished) -> None:
        output, place = self.output, self.next_place
        next_place = place + finished.num_places
        early = {}
        if len(self.early) > 1:
            early = {at: one for at, one in self.early.items() if at != place}
        if output and type(finished.outcomes[0]) is DroppedMsg:
            last = output[-1].outcomes[-1]
            if type(last) is DroppedMsg:
                # The owner took neither yet: drops in a row stay one outcome, however many.
                both = _merged(output[-1], last.merged(finished.outcomes[0]), finished)
                now = [*output[:-1], both], early, next_place
                self.output, self.early, self.next_place = now
                return
        if not output or output[-1] is not finished:
            output.append(finished)
        self.early, self.next_place = early, next_place

    @property
    def has_output(self) -> bool:
        """Whether there are outcomes to hand over."""
        return bool(self.output)

    def hand_over(self, now_s: float, turns_max: int | None = None) -> list[Outcome]:
        """Give outcomes to the owner; they stay in flight until `settle`.

        What was handed over before and is not settled comes again, first: then the first outcome
        has the place `settled_place`.

        Args:
            now_s: The clock, in seconds, for latencies.
            turns_max: Take the outcomes of so many turns; `None` for all.

        Returns:
            The outcomes, in order.
        """
        if self.early:
            self.release()  # A finish that a Ctrl-C broke off may have left something.
        taken = self.output if turns_max is None else self.output[:turns_max]
        handed = [*self.handed, *taken] if self.handed else taken
        outcomes: list[Outcome] = []
        for finished in handed:
            outcomes += finished.outcomes
        for finished in taken:
            self._counts.note_output(now_s, now_s - finished.finished_s)
        left = [] if turns_max is None else self.output[turns_max:]
        self.handed, self.output = handed, left
        return outcomes

    def settle(self, refused: Sequence[RejectedMsg], now_s: float, wall_ns: int) -> int:
        """Count what was handed over as committed, except for rejections and what is `refused`.

        Args:
            refused: Chunks that the store refused; those that were not handed over do not count.
            now_s: The clock, in seconds, for rates.
            wall_ns: Nanoseconds since the Unix epoch, for latencies since logging.

        Returns:
            The bytes that are no longer in flight.
        """
        counts = self._counts
        rejections: list[RejectedMsg] = []
        columns: list[RejectedColumn] = []
        count = size = 0
        place = self.settled_place
        for finished in self.handed:
            count += len(finished.outcomes)
            size += finished.size_bytes
            place += finished.num_places
            if finished.stamps is not None:
                counts.note_committed(now_s, finished.stamps, wall_ns)
            columns += finished.columns
            for out in finished.outcomes:
                if type(out) is RejectedMsg:
                    rejections.append(out)
                elif type(out) is DroppedMsg:
                    count -= 1
        if refused:
            seqs = {out.seq for finished in self.handed for out in finished.outcomes}
            rejections += [one for one in refused if one.seq in seqs]
        if columns:
            whole = {rejected.seq for rejected in rejections}
            columns = [column for column in columns if column.seq not in whole]
        if rejections or columns:
            noted: list[Rejection] = [*rejections, *columns]
            noted.sort(key=lambda rejected: rejected.seq)
            self.rejections.extend(noted)
        left = self.size_bytes - size
        num_columns = sum([column.count for column in columns]) if columns else 0
        settled = counts.settled(count, size, rejections, num_columns)
        self.handed, self.size_bytes, self.settled_place, counts.totals = [], left, place, settled
        counts.note_settled(now_s)
        return size


def _merged(before: Finished, dropped: DroppedMsg, after: Finished) -> Finished:
    """Two turns as one; `dropped` replaces the last outcome of one and the first of the other."""
    return Finished(
        [*before.outcomes[:-1], dropped, *after.outcomes[1:]],
        before.size_bytes + after.size_bytes,
        before.finished_s,
        before.num_places + after.num_places,
        before.stamps or after.stamps,
        before.columns + after.columns,
    )
