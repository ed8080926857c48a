"""`MessageQueue`: what waits for a turn, in lanes, with the places of what was dropped.

Pure: no locks, clocks or threads.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from forebay.ingest.outcomes import DroppedMsg, RejectedMsg
from forebay.ingest.victims import Victims
from forebay.limits import LANE_BYPASS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from forebay.ingest.victims import DropKey
    from forebay.model import ArrowMsg


class Entry(NamedTuple):
    """One accepted message; `key` says which policy may drop it, `None` if none may."""

    msg: ArrowMsg
    source: object
    cost: int
    accepted_s: float
    seq: int
    key: DropKey | None = None


Ready: TypeAlias = DroppedMsg | RejectedMsg
"""An outcome that is known before its turn."""

_seq_of = attrgetter("seq")
_NO_ENTRIES: Final[deque[Entry]] = deque()
_NO_BARRIERS: Final[deque[int]] = deque()


class MessageQueue:
    """Messages in the order in which turns will take them.

    Without lanes that is the order of acceptance. With lanes, what is put `first` (static data)
    goes before the rest, except past a barrier; after `limits.LANE_BYPASS_MAX` messages that went
    by, the rest has its turn, so nothing starves.
    """

    __slots__ = {
        "_barriers": "Sequence numbers that no later message may pass, in order.",
        "_bypassed": "Messages of the first lane that went before older ones.",
        "_first": "The first lane: static data.",
        "_victims": "What may be dropped, by policy.",
        "has_lanes": "Whether there is a first lane.",
        "rest": "The main lane.",
    }

    def __init__(self, *, has_lanes: bool = False) -> None:
        self.has_lanes = has_lanes
        self.rest: deque[Entry | Ready] = deque()
        # An empty deque takes 600 bytes; without lanes, nothing is ever put into these.
        self._first: deque[Entry] = deque() if has_lanes else _NO_ENTRIES
        self._bypassed = 0
        self._barriers: deque[int] = deque() if has_lanes else _NO_BARRIERS
        self._victims: dict[object, Victims] = {}

    def __bool__(self) -> bool:
        return bool(self.rest or self._first)

    def __len__(self) -> int:
        return len(self.rest) + len(self._first)

    def __iter__(self) -> Iterator[Entry | Ready]:
        yield from self._first
        yield from self.rest

    def append(self, entry: Entry, *, is_first: bool = False) -> None:
        """Put a message at the end of its lane."""
        if is_first and self.has_lanes:
            self._first.append(entry)
            return
        self.rest.append(entry)
        if entry.key is not None:
            victims = self._victims.get(entry.key.policy)
            if victims is None:
                victims = self._victims[entry.key.policy] = Victims(entry.key.policy)
            victims.add(entry.seq, entry.key.entity, self._front_seq())

    def take_back(self, seq: int) -> None:
        """Forget a message that was just appended, if it was."""
        for lane in (self._first, self.rest):
            if lane and lane[-1].seq == seq:
                lane.pop()

    def append_ready(self, outcome: Ready) -> None:
        """Put an outcome at its place, merged with what was dropped right before it."""
        last = self.rest[-1] if self.rest else None
        if (
            type(last) is DroppedMsg
            and type(outcome) is DroppedMsg
            and self._may_merge(last, outcome)
        ):
            self.rest[-1] = last.merged(outcome)
        else:
            self.rest.append(outcome)

    def set_barrier(self, seq: int, lowest: int | None) -> None:
        """Let no message from `seq` on go before one that came earlier.

        `lowest` is the oldest message here, or still to come from disk.
        """
        if lowest is None or not self.has_lanes:
            return
        while self._barriers and self._barriers[0] <= lowest:
            self._barriers.popleft()
        if not self._barriers or self._barriers[-1] < seq:
            self._barriers.append(seq)

    # Taking

    def take(self, msgs_max: int, bytes_max: int) -> tuple[list[Ready], list[Entry], int]:
        """Outcomes that are known already, then messages within both bounds (one at least)."""
        lane: deque[Entry | Ready] = self.rest
        before = None
        if self._first:
            lane, before = self._pick_lane()
        ready: list[Ready] = []
        entries: list[Entry] = []
        size = 0
        try:
            while lane and len(entries) < msgs_max:
                item = lane[0]
                if before is not None and item.seq >= before:
                    break
                if type(item) is Entry:
                    if entries and size + item.cost > bytes_max:
                        break
                    size += item.cost
                    entries.append(item)
                elif entries:
                    break  # a batch is known outcomes, then messages
                else:
                    ready.append(item)  # type: ignore[arg-type]
                lane.popleft()
            return ready, entries, size
        except BaseException:
            gone = [*ready, *entries]
            if lane and gone and gone[-1] is lane[0]:
                gone.pop()
            lane.extendleft(reversed(gone))
            raise

    def _pick_lane(self) -> tuple[deque[Entry | Ready], int | None]:
        """The lane whose turn it is, and the message before which it has to stop."""
        first: deque[Entry | Ready] = self._first  # type: ignore[assignment]
        if not self.rest:
            return first, None
        oldest = min(first[0].seq, self.rest[0].seq)
        while self._barriers and self._barriers[0] <= oldest:
            self._barriers.popleft()
        barrier = self._barriers[0] if self._barriers else None
        if first[0].seq < self.rest[0].seq:
            # Nothing is passed by; up to the older message of the other lane this is plain order.
            return first, self.rest[0].seq
        if barrier is not None and first[0].seq >= barrier:
            return self.rest, barrier
        if self._bypassed >= LANE_BYPASS_MAX:
            self._bypassed = 0
            return self.rest, barrier
        room = LANE_BYPASS_MAX - self._bypassed
        until = first[min(room, len(first)) - 1].seq + 1
        if barrier is not None:
            until = min(until, barrier)
        return first, until

    def note_taken(self, entries: Sequence[Entry]) -> None:
        """Count what just went past older messages."""
        if self.has_lanes and entries and self.rest:
            oldest = self.rest[0].seq
            self._bypassed += sum(1 for entry in entries if entry.seq > oldest)
            if entries[0].seq < oldest:
                self._bypassed = 0

    def lowest_seq(self) -> int | None:
        """The oldest message here."""
        seqs = [lane[0].seq for lane in (self._first, self.rest) if lane]
        return min(seqs) if seqs else None

    def _front_seq(self) -> int:
        return self.rest[0].seq

    # Dropping

    def pop_victim(self, key: DropKey) -> Entry | None:
        """Take out the message that makes room for one of this key; its place is not kept."""
        victims = self._victims.get(key.policy)
        seq = None if victims is None or not self.rest else victims.pop(key.entity, self)
        if seq is None:
            return None
        at = self._index(seq)
        entry = self.rest[at]
        assert type(entry) is Entry
        return entry

    def holds(self, seq: int) -> bool:
        """Whether that message still waits in the lane from which messages are dropped."""
        at = self._index(seq)
        return at < len(self.rest) and self.rest[at].seq == seq and type(self.rest[at]) is Entry

    def replace(self, entry: Entry, outcome: DroppedMsg) -> None:
        """Put an outcome in the place of a message, merged with its neighbours."""
        rest = self.rest
        at = self._index(entry.seq)
        rest[at] = outcome
        after = rest[at + 1] if at + 1 < len(rest) else None
        if type(after) is DroppedMsg and self._may_merge(outcome, after):
            rest[at] = outcome = outcome.merged(after)
            del rest[at + 1]
        before = rest[at - 1] if at else None
        if type(before) is DroppedMsg and self._may_merge(before, outcome):
            rest[at - 1] = before.merged(outcome)
            del rest[at]

    def _may_merge(self, one: DroppedMsg, later: DroppedMsg) -> bool:
        """Whether no barrier is between two outcomes: each side has to have its own places."""
        return not any(one.seq < barrier <= later.last_seq for barrier in self._barriers)

    def _index(self, seq: int) -> int:
        return bisect_left(self.rest, seq, key=_seq_of)
