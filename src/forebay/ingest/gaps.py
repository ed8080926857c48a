"""`Gap`: what a policy dropped, as something one can ask for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from forebay.errors import ForebayError
from forebay.limits import GAP_TIMELINES_MAX, GAPS_KEPT_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forebay.codec.peek import ChunkPeeker
    from forebay.model import ArrowMsg, EntityPath
    from forebay.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages of one entity that were dropped for one reason while the store was full.

    Attributes:
        entity: Whose they were; `None` if their head could not be read, or if the oldest gaps of
            several entities had to be merged.
        reason: The policy, by name.
        count: How many messages.
        size_bytes: What they counted for.
        first_seq: The first one's place among all messages accepted.
        last_seq: The last one's place.
        time_ranges: First and last time by timeline, of those whose times could be read; the first
            `limits.GAP_TIMELINES_MAX` timelines met.
    """

    entity: EntityPath | None
    reason: str
    count: int
    size_bytes: int
    first_seq: int
    last_seq: int
    time_ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def merged(self, other: Gap) -> Gap:
        """Both as one; what they do not share is left open."""
        ranges = dict(self.time_ranges)
        for timeline, (first, last) in other.time_ranges.items():
            if timeline not in ranges and len(ranges) >= GAP_TIMELINES_MAX:
                continue
            mine = ranges.get(timeline, (first, last))
            ranges[timeline] = (min(first, mine[0]), max(last, mine[1]))
        return replace(
            self,
            entity=self.entity if self.entity == other.entity else None,
            reason=self.reason if self.reason == other.reason else "several",
            count=self.count + other.count,
            size_bytes=self.size_bytes + other.size_bytes,
            first_seq=min(self.first_seq, other.first_seq),
            last_seq=max(self.last_seq, other.last_seq),
            time_ranges=ranges,
        )


class GapLog:
    """Gaps of one store, in bounded memory. Safe from any thread.

    Drops of one entity for one reason are one gap until the store has drained. No count is ever
    lost: beyond `limits.GAPS_KEPT_MAX` the oldest gaps become one.
    """

    __slots__ = ("_closed", "_gaps_max", "_lock", "_oldest", "_open")

    def __init__(self, runtime: Runtime, gaps_max: int = GAPS_KEPT_MAX) -> None:
        self._lock = runtime.lock()
        self._gaps_max = gaps_max
        self._closed: list[Gap] = []
        self._open: dict[tuple[EntityPath | None, str], Gap] = {}
        self._oldest: Gap | None = None

    def begin_episode(self) -> None:
        """What is dropped from now on makes new gaps."""
        with self._lock:
            self._closed += self._open.values()
            self._open.clear()
            self._bound()

    def add(self, gap: Gap) -> None:
        """Note what was dropped."""
        with self._lock:
            key = (gap.entity, gap.reason)
            known = self._open.get(key)
            self._open[key] = gap if known is None else known.merged(gap)
            if known is None:
                self._bound()

    def _bound(self) -> None:
        surplus = len(self._closed) + len(self._open) - self._gaps_max
        if surplus <= 0:
            return
        oldest = self._closed[:surplus]
        del self._closed[:surplus]
        for key in list(islice(self._open, surplus - len(oldest))):
            oldest.append(self._open.pop(key))
        for gap in oldest:
            self._oldest = gap if self._oldest is None else self._oldest.merged(gap)

    def gaps(self) -> list[Gap]:
        """All gaps, by the place of their first message."""
        with self._lock:
            gaps = [*self._closed, *self._open.values()]
            if self._oldest is not None:
                gaps.append(self._oldest)
        return sorted(gaps, key=lambda gap: gap.first_seq)


class Peekers:
    """Heads of messages, read by one thread at a time and made when first needed."""

    __slots__ = ("_lock", "_peeker")

    def __init__(self, runtime: Runtime) -> None:
        self._lock = runtime.lock()
        self._peeker: ChunkPeeker | None = None

    def head(self, msg: ArrowMsg) -> tuple[EntityPath | None, bool]:
        """The entity of a message, if its head can be read, and whether it is static."""
        from forebay.codec.peek import ChunkPeeker  # noqa: PLC0415 - for policies alone

        with self._lock:
            self._peeker = self._peeker or ChunkPeeker()
            try:
                layout = self._peeker.peek(msg).layout
            except ForebayError:
                return None, msg.is_static is True
        return layout.entity_path, not layout.indexes

    def time_ranges(self, msg: ArrowMsg) -> Mapping[str, tuple[int, int]]:
        """First and last time by timeline, as far as the front of the message tells."""
        from forebay.codec.peek import ChunkPeeker  # noqa: PLC0415 - for policies alone
        from forebay.codec.peek_times import peek_time_ranges  # noqa: PLC0415

        with self._lock:
            self._peeker = self._peeker or ChunkPeeker()
            try:
                return peek_time_ranges(self._peeker, msg)
            except ForebayError:
                return {}
