"""`FullQueue`: what a full queue does with a message: wait, drop, or spill to disk."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, assert_never

from forebay.errors import QueueFullError
from forebay.ingest.gaps import Gap
from forebay.ingest.policy import (
    Block,
    Deadline,
    DropNewest,
    DropOldest,
    LatestWins,
    Spill,
    reason_of,
)
from forebay.ingest.victims import DropKey
from forebay.ingest.waiters import wake_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from forebay.ingest.blocking import BlockingCalls
    from forebay.ingest.bounded_queue import BoundedQueue, Submission
    from forebay.ingest.gaps import Peekers
    from forebay.ingest.owner import Owner
    from forebay.ingest.policy import PolicyRules
    from forebay.ingest.queue import Entry
    from forebay.ingest.spill_queue import SpillQueue
    from forebay.ingest.turns import Turns
    from forebay.ingest.waiters import Waiters
    from forebay.model import ArrowMsg, EntityPath

logger = logging.getLogger(__name__)


class FullQueue:
    """Submits messages under policies. A worker whose messages all wait has no such object.

    Called without locks.
    """

    __slots__ = {
        "_blocking": "For messages that wait for room.",
        "_lock": "The worker's lock.",
        "_owner": "Commits finished output, which takes room.",
        "_queue": "What messages are submitted to.",
        "_rules": "The policies of the store.",
        "_turns": "Started where messages were queued.",
        "_waiters": "Woken where messages were dropped.",
        "peekers": "Read the entity and the times of a message without decoding it.",
        "spilled": "The messages on disk.",
    }

    def __init__(
        self,
        rules: PolicyRules,
        queue: BoundedQueue,
        waiters: Waiters,
        turns: Turns,
        blocking: BlockingCalls,
        *,
        owner: Owner,
        spilled: SpillQueue,
        peekers: Peekers,
    ) -> None:
        self._rules = rules
        self._queue = queue
        self._lock = queue.lock
        self._waiters = waiters
        self._turns = turns
        self._owner = owner
        self._blocking = blocking
        self.spilled = spilled
        self.peekers = peekers

    def submission(self, msg: ArrowMsg, source: object) -> Submission:
        """The message with its policy; its head is read only if its entity matters now."""
        rules = self._rules
        plain = self._queue.checked(msg, source)
        if plain.refusal is not None:
            return plain
        is_static, entity = msg.is_static is True, None
        if rules.is_blocking or is_static:
            return plain._replace(is_first=is_static)
        if rules.needs_entity or msg.is_static is None:
            entity, is_static = self.peekers.head(msg)
        policy = rules.policy_for(entity)
        if is_static:
            # Never dropped; but it may take its place among the messages on disk.
            kept = policy if isinstance(policy, Spill) else Block()
            return plain._replace(policy=kept, is_first=True)
        key = DropKey(policy, entity) if isinstance(policy, DropOldest | LatestWins) else None
        return plain._replace(policy=policy, key=key)

    def submit(self, msg: ArrowMsg, source: object, timeout: float | None) -> int:
        """Accept a message: queue it if there is room, else do as its policy says.

        Args:
            msg: The message.
            source: What the submitter names as its source.
            timeout: Seconds to wait at most, where the policy is to wait.

        Returns:
            Its sequence number.

        Raises:
            WorkerClosedError: The worker is or gets closed.
            QueueFullError: There was no room in time.
        """
        submission = self.submission(msg, source)
        with self._lock:
            seq = self._queue.try_submit(submission)
            starts = seq is not None and self._turns.wants()
            if seq is None:
                self._queue.note_full()
        if starts:
            self._turns.start()
        if seq is not None:
            return seq
        policy = submission.policy
        match policy:
            case Block():
                return self._block(submission, timeout)
            case Deadline(ms):
                return self._wait_until(submission, ms / 1000, timeout)
            case DropNewest() | DropOldest() | LatestWins():
                seq = self.drop_others(submission)
                return self.drop(submission) if seq is None else seq
            case Spill():
                seq = self._spill(submission, policy)
                return self._blocking.submit(submission, timeout) if seq is None else seq
            case _:
                assert_never(policy)

    def try_submit(self, msg: ArrowMsg, source: object) -> bool:
        """Queue a message if there is room, or its policy can make some; say whether.

        Raises:
            WorkerClosedError: The worker is closed.
        """
        submission = self.submission(msg, source)
        with self._lock:
            accepted = self._queue.try_submit(submission) is not None
            starts = accepted and self._turns.wants()
        if starts:
            self._turns.start()
        if accepted:
            return True
        policy = submission.policy
        match policy:
            case DropOldest() | LatestWins():
                return self.drop_others(submission) is not None
            case Spill():
                return self._spill(submission, policy) is not None
            case Block() | Deadline() | DropNewest():
                return False
            case _:
                assert_never(policy)

    # Waiting

    def _block(self, submission: Submission, timeout: float | None) -> int:
        files = self.spilled.files
        keeps_order = not submission.is_first and submission.refusal is None
        if files is not None and self._queue.core.spill_depth and keeps_order:
            # Other messages of this store are on disk: behind them there is room, in order.
            seq = self._spill(submission, files.policy)
            if seq is not None:
                return seq
        return self._blocking.submit(submission, timeout)

    def _wait_until(self, submission: Submission, wait_s: float, timeout: float | None) -> int:
        if timeout is not None and timeout < wait_s:
            return self._blocking.submit(submission, timeout)
        try:
            return self._blocking.submit(submission, wait_s)
        except QueueFullError:
            return self.drop(submission)

    # Dropping

    def drop_others(self, submission: Submission) -> int | None:
        """Queue a message, and drop queued messages for it if its policy allows that.

        Returns:
            Its sequence number; `None` if it found no room.
        """
        if self._owner.can_make_room:
            self._owner.make_room()  # finished output should take no room from messages
        queue, key = self._queue, submission.key
        reason = reason_of(submission.policy)
        victims: list[Entry] = []
        wakes: list[Callable[[], None]] = []
        with self._lock:
            seq = queue.try_submit(submission)
            if key is not None and queue.could_fit(submission.cost):
                while seq is None:
                    victim = queue.core.drop_queued(key, reason)
                    if victim is None:
                        break
                    victims.append(victim)
                    if queue.share is not None:
                        wakes += queue.share.release(victim.cost)
                    seq = queue.try_submit(submission)
            starts = (seq is not None or bool(victims)) and self._turns.wants()
            if victims:
                self._waiters.notify()
        wake_all(wakes)
        if starts:
            self._turns.start()
        for victim in victims:
            entity = victim.key.entity if victim.key is not None else None
            self.note_gap(victim.msg, entity, reason, victim.cost, victim.seq)
        if victims:
            self._warn_of_dropping(reason)
        return seq

    def drop(self, submission: Submission) -> int:
        """Accept a message and drop it: it has its place among the outcomes."""
        queue, reason = self._queue, reason_of(submission.policy)
        with self._lock:
            if queue.is_closed:
                queue.refuse_closed()
            seq = queue.core.drop_new(submission.cost, reason)
            starts = self._turns.wants()
        if starts:
            self._turns.start()
        entity = submission.key.entity if submission.key is not None else None
        self.note_gap(submission.msg, entity, reason, submission.cost, seq)
        self._warn_of_dropping(reason)
        return seq

    def note_gap(
        self, msg: ArrowMsg, entity: EntityPath | None, reason: str, cost: int, seq: int
    ) -> None:
        """Note what a dropped message was of; its entity is read if it is not known."""
        if entity is None:
            entity = self.peekers.head(msg)[0]
        times = self.peekers.time_ranges(msg)
        self._queue.gaps.add(Gap(entity, reason, 1, cost, seq, seq, times))

    def _warn_of_dropping(self, reason: str) -> None:
        if self._queue.has_warned:
            return
        with self._lock:
            what = f"the policy {reason} drops messages, see gaps()"
            warning = self._queue.full_warning(what)
        if warning is not None:
            logger.warning("%s", warning)

    # Spilling

    def _spill(self, submission: Submission, policy: Spill) -> int | None:
        """Accept a message into a file, unless there is room now; `None` if the disk is full."""
        queue, spilled = self._queue, self.spilled
        with spilled.write_lock:
            with self._lock:
                seq = queue.try_submit(submission)
                starts = seq is not None and self._turns.wants()
                writes = seq is None and spilled.open(policy)
            if writes:
                seq = spilled.write(submission)
                with self._lock:
                    starts = self._turns.needs()
        if starts:
            self._turns.start()
        if seq is None and queue.is_closed:
            queue.refuse_closed()
        return seq
