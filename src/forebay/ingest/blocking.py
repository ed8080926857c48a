"""`BlockingCalls`: calls that wait until a queue has room, or until messages are processed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NoReturn

from forebay.errors import QueueFullError
from forebay.limits import FULL_WARN_AFTER_S, HUB_ROOM_LOOK_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from forebay.ingest.bounded_queue import BoundedQueue, Submission
    from forebay.ingest.owner import Owner
    from forebay.ingest.turns import Turns
    from forebay.ingest.waiters import Waiters
    from forebay.model import ArrowMsg

logger = logging.getLogger(__name__)


class _Asked:
    """What a waiting call has asked others to do, so that it asks again only after a change."""

    __slots__ = {
        "num_outputs": "How often stores had left output when others were asked to commit theirs.",
        "place": "The place up to which there was output when the owner was asked to commit.",
    }

    def __init__(self) -> None:
        self.place = -1
        self.num_outputs = -1


class BlockingCalls:
    """Backpressure: the calling thread waits, and meanwhile does what could end its wait.

    That is: to start a turn, to ask the owner to commit finished output, or, if the hub's bytes
    are taken, to ask the owners of other stores. Only a thread for which nothing of this is left
    to do sleeps. Called without locks.
    """

    __slots__ = {
        "_lock": "The worker's lock.",
        "_owner": "Commits finished output, which takes room.",
        "_queue": "What messages wait to get into.",
        "_turns": "Started where they are needed.",
        "_waiters": "Where threads sleep.",
        "hub_look_s": "Seconds after which a submitter looks again for room in the hub's budget.",
    }

    def __init__(self, queue: BoundedQueue, waiters: Waiters, turns: Turns, owner: Owner) -> None:
        self._queue = queue
        self._lock = queue.lock
        self._waiters = waiters
        self._turns = turns
        self._owner = owner
        self.hub_look_s: float = HUB_ROOM_LOOK_S

    def submit(self, submission: Submission, timeout: float | None) -> int:
        """Queue a message as soon as there is room.

        Args:
            submission: The message.
            timeout: Seconds to wait at most; `None` for as long as it takes.

        Returns:
            Its sequence number.

        Raises:
            WorkerClosedError: The worker is or gets closed.
            QueueFullError: No room within `timeout`, or only the caller could ever make room.
        """
        queue, turns = self._queue, self._turns
        began_s = queue.clock()
        deadline_s = None if timeout is None else began_s + timeout
        asked = _Asked()
        waited_in_vain = False
        try:
            while True:
                act: Callable[[], None] | None = None
                warning: str | None = None
                with self._lock:
                    seq = queue.try_submit(submission, turns.wake)
                    starts = turns.needs()
                    if seq is None and not starts:
                        queue.note_full()
                        act = self._next_act(asked, commits=True)
                        if act is None:
                            if waited_in_vain:
                                self._refuse(submission.msg, timeout)
                            warning = self._warning(began_s)
                            if warning is None:
                                waited_in_vain = not self._wait_or_look(deadline_s, began_s)
                if warning is not None:
                    logger.warning("%s", warning)
                if starts:
                    turns.start()
                if seq is not None:
                    return seq
                if act is not None:
                    act()
        finally:
            turns.stop_waiting_for_hub()

    def wait_processed(self, seq: int, timeout: float | None) -> bool:
        """Wait until all messages up to `seq` are processed.

        Args:
            seq: A sequence number.
            timeout: Seconds to wait at most; `None` for as long as it takes. Without a timeout the
                caller may run turns itself.

        Returns:
            False if that did not happen in time, or only the caller could bring it about.
        """
        core, turns = self._queue.core, self._turns
        deadline_s = None if timeout is None else self._queue.clock() + timeout
        asked = _Asked()
        waited_in_vain = False
        while True:
            act: Callable[[], None] | None = None
            if deadline_s is None:
                with self._lock:
                    if core.is_processed(seq):
                        return True
                turns.help()
            with self._lock:
                if core.is_processed(seq):
                    return True
                starts = turns.needs()
                if not starts:
                    # Messages come back from disk only as finished output makes room for them.
                    act = self._next_act(asked, commits=core.spill_depth > 0)
                    if act is None:
                        if waited_in_vain:
                            return False
                        waited_in_vain = not self._waiters.wait_processed(seq, deadline_s)
            if starts:
                turns.start()
            if act is not None:
                act()

    def _next_act(self, asked: _Asked, *, commits: bool) -> Callable[[], None] | None:
        """What the caller should do before it sleeps, without the lock; `None` if nothing.

        Args:
            asked: What it asked for before.
            commits: Whether finished output of this store is in its way.
        """
        reorder, share = self._queue.core.reorder, self._queue.share
        asked_place, asked.place = asked.place, reorder.next_place
        if commits and self._owner.can_make_room and asked_place != asked.place:
            return self._owner.make_room
        if share is None or not share.is_waiting or share.num_outputs == asked.num_outputs:
            return None
        asked.num_outputs = share.num_outputs
        return share.reclaim_from_others

    def _warning(self, began_s: float) -> str | None:
        waited_s = self._queue.clock() - began_s
        if waited_s < FULL_WARN_AFTER_S:
            return None
        return self._queue.full_warning(f"a submitter has waited {waited_s:.0f} s for room")

    def _wait_or_look(self, deadline_s: float | None, began_s: float) -> bool:
        """Wait, but not beyond the time of a warning, or of looking at the hub again."""
        queue, never = self._queue, float("inf")
        look_s = never if queue.has_warned else began_s + FULL_WARN_AFTER_S
        if queue.share is not None and queue.share.is_waiting:
            look_s = min(look_s, queue.clock() + self.hub_look_s)
        if look_s == never or (deadline_s is not None and deadline_s <= look_s):
            return self._waiters.wait(deadline_s)
        return self._waiters.wait(look_s) or queue.clock() >= look_s

    def _refuse(self, msg: ArrowMsg, timeout: float | None) -> NoReturn:
        queue = self._queue
        why = (
            f"no room within {timeout} s"
            if timeout is not None
            else "the caller itself is the only one who could make room"
        )
        text = (
            f"the queue of {queue.store_name} is full ({queue.fill}) and "
            f"there was {why}: poll more often, or allow a larger byte_budget"
        )
        raise QueueFullError(
            text, store_id=queue.store_id, chunk_id=msg.chunk_id, byte_offset=msg.byte_offset
        )
