"""`Gap`: messages that a policy dropped, and `GapLog`, which keeps them in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from forebay.errors import ForebayError
from forebay.limits import GAP_TIMELINES_MAX, GAPS_KEPT_BYTES_MAX, GAPS_KEPT_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forebay.codec.chunks.peek import ChunkPeeker
    from forebay.model import ArrowMsg, EntityPath
    from forebay.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages of one entity that were dropped for one reason while the store was full.

    Attributes:
        entity: The entity of the messages; `None` if their head could not be read, or if the
            oldest gaps of several entities had to be merged.
        reason: The policy, by name.
        count: How many messages.
        size_bytes: What they counted for.
        first_seq: The first one's place among all messages accepted.
        last_seq: The last one's place.
        time_ranges: First and last time by timeline, of those whose times could be read; of at
            most `limits.GAP_TIMELINES_MAX` timelines.
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

    @property
    def held_bytes(self) -> int:
        """About what it takes of the process's memory."""
        names = sum(map(len, self.time_ranges)) + (len(str(self.entity)) if self.entity else 0)
        return _GAP_COST_BYTES + _TIMELINE_COST_BYTES * len(self.time_ranges) + names


_GAP_COST_BYTES: Final = 512
"""What a gap takes without what it names."""

_TIMELINE_COST_BYTES: Final = 256
"""What each timeline of a gap takes without its name."""


class GapLog:
    """Gaps of one store, in bounded memory. Safe from any thread.

    Drops of one entity for one reason are one gap until the store has drained. No count is ever
    lost: beyond `limits.GAPS_KEPT_MAX`, or `limits.GAPS_KEPT_BYTES_MAX`, the oldest become one.

    Attributes:
        held_bytes: About what the gaps take of the process's memory.
    """

    __slots__ = {
        "_closed": "Gaps of earlier episodes, oldest first.",
        "_gaps_max": "Gaps kept at most.",
        "_lock": "Guards all; no other lock is taken while it is held.",
        "_oldest": "The oldest gaps, merged into one.",
        "_open": "Gaps of the current episode, by entity and reason.",
        "held_bytes": "See `Attributes`.",
    }

    def __init__(self, runtime: Runtime, gaps_max: int = GAPS_KEPT_MAX) -> None:
        self.held_bytes = 0
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
            merged = gap if known is None else known.merged(gap)
            self._open[key] = merged
            if known is None:
                self.held_bytes += merged.held_bytes
                self._bound()
            elif len(merged.time_ranges) != len(known.time_ranges):
                self.held_bytes += merged.held_bytes - known.held_bytes
                self._bound()

    def _bound(self) -> None:
        while len(self._closed) + len(self._open) > 1 and (
            len(self._closed) + len(self._open) > self._gaps_max
            or self.held_bytes > GAPS_KEPT_BYTES_MAX
        ):
            oldest = self._take_oldest()
            before = self._oldest
            self._oldest = oldest if before is None else before.merged(oldest)
            self.held_bytes -= oldest.held_bytes
            self.held_bytes += self._oldest.held_bytes - (
                0 if before is None else before.held_bytes
            )

    def _take_oldest(self) -> Gap:
        if self._closed:
            return self._closed.pop(0)
        return self._open.pop(next(iter(self._open)))

    def gaps(self) -> list[Gap]:
        """All gaps, by the place of their first message."""
        with self._lock:
            gaps = [*self._closed, *self._open.values()]
            if self._oldest is not None:
                gaps.append(self._oldest)
        return sorted(gaps, key=lambda gap: gap.first_seq)


class Peekers:
    """Heads of messages, read by one thread at a time and made when first needed."""

    __slots__ = {
        "_lock": "One thread reads at a time.",
        "_peeker": "Reads heads; `None` before the first message.",
    }

    def __init__(self, runtime: Runtime) -> None:
        self._lock = runtime.lock()
        self._peeker: ChunkPeeker | None = None

    def head(self, msg: ArrowMsg) -> tuple[EntityPath | None, bool]:
        """The entity of a message, if its head can be read, and whether it is static."""
        from forebay.codec.chunks.peek import ChunkPeeker  # noqa: PLC0415 - for policies alone

        with self._lock:
            self._peeker = self._peeker or ChunkPeeker()
            try:
                layout = self._peeker.peek(msg).layout
            except ForebayError:
                return None, msg.is_static is True
        return layout.entity_path, not layout.indexes

    def time_ranges(self, msg: ArrowMsg) -> Mapping[str, tuple[int, int]]:
        """First and last time by timeline, as far as the front of the message tells."""
        from forebay.codec.chunks.peek import ChunkPeeker  # noqa: PLC0415 - for policies alone
        from forebay.codec.chunks.peek_times import peek_time_ranges  # noqa: PLC0415

        with self._lock:
            self._peeker = self._peeker or ChunkPeeker()
            try:
                ranges = peek_time_ranges(self._peeker, msg)
            except ForebayError:
                return {}
        return dict(islice(ranges.items(), GAP_TIMELINES_MAX))
