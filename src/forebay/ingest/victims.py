"""`Victims`: which queued message a dropping policy takes first. Pure."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from forebay.ingest.policy import LatestWins

if TYPE_CHECKING:
    from forebay.ingest.policy import Policy
    from forebay.model import EntityPath


class DropKey(NamedTuple):
    """Under which policy a message may be dropped, and its entity if that matters there."""

    policy: Policy
    entity: EntityPath | None = None


class Holder(Protocol):
    """Knows which messages still wait."""

    def holds(self, seq: int) -> bool:
        """Whether that message still waits."""
        ...


class Victims:
    """Queued messages under one policy, in the order in which they would be dropped.

    Messages leave the queue without telling; what has left is skipped, and forgotten with the
    next one that comes, so there are never more than twice as many as are queued.
    """

    __slots__ = {
        "_is_latest": "Whether messages that have a later one of their entity go first.",
        "_newest": "The newest message of each entity.",
        "_oldest": "All messages, oldest first.",
        "_superseded": "Messages that have a later one of their entity, oldest first.",
    }

    def __init__(self, policy: Policy) -> None:
        self._is_latest = isinstance(policy, LatestWins)
        self._oldest: deque[int] = deque()
        self._superseded: deque[int] = deque()
        self._newest: dict[EntityPath | None, int] = {}

    def add(self, seq: int, entity: EntityPath | None, front_seq: int) -> None:
        """Note a message that was queued; `front_seq` is the oldest one that still waits."""
        oldest = self._oldest
        while oldest and oldest[0] < front_seq:
            oldest.popleft()
        oldest.append(seq)
        if not self._is_latest:
            return
        superseded = self._superseded
        while superseded and superseded[0] < front_seq:
            superseded.popleft()
        previous = self._newest.get(entity, -1)
        if previous >= front_seq:
            superseded.append(previous)
        elif len(self._newest) > 2 * len(oldest) + 64:
            self._newest = {path: one for path, one in self._newest.items() if one >= front_seq}
        self._newest[entity] = seq

    def pop(self, entity: EntityPath | None, queue: Holder) -> int | None:
        """The message to drop for one of that entity; `None` if there is none to drop."""
        if self._is_latest:
            while self._superseded:
                if queue.holds(seq := self._superseded.popleft()):
                    return seq
            seq = self._newest.pop(entity, -1)
            if seq >= 0 and queue.holds(seq):
                return seq
        while self._oldest:
            if queue.holds(seq := self._oldest.popleft()):
                return seq
        return None
