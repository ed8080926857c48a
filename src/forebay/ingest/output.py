"""`Output`: the part of the core from which outcomes leave, in the order of their places.

What is *early* waits for batches before it; then it is *output*, then *handed* over to the owner,
and at last settled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.ingest.core_state import CoreState, Finished
from forebay.ingest.outcomes import DroppedMsg, Outcome, RejectedMsg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forebay.ingest.outcomes import RejectedColumn, Rejection


class Output(CoreState):
    """Outcomes from the end of their batch to the end of what they are charged for."""

    __slots__ = ()

    # Release, in order

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
                    before.columns + finished.columns,
                )
                now = [*output[:-1], both], early, next_place
                self._output, self._early, self.next_output_place = now
                return
        if not output or output[-1] is not finished:
            output.append(finished)
        self._early, self.next_output_place = early, next_place

    # To the owner and away

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
        columns: list[RejectedColumn] = []
        count = size = 0
        place = self.settled_place
        for finished in self._handed:
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
            seqs = {out.seq for finished in self._handed for out in finished.outcomes}
            rejections += [one for one in refused if one.seq in seqs]
        if columns:
            whole = {rejected.seq for rejected in rejections}
            columns = [column for column in columns if column.seq not in whole]
        if rejections or columns:
            noted: list[Rejection] = [*rejections, *columns]
            noted.sort(key=lambda rejected: rejected.seq)
            self.rejections.extend(noted)
        left = self.output_bytes - size
        num_columns = sum(column.count for column in columns)
        settled = counts.settled(count, size, rejections, num_columns)
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
