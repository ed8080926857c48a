"""`SpillQueue`: the messages of a queue that are on disk, written by submitters, read by turns."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from forebay.ingest.queue import Entry
from forebay.ingest.spill_files import SpillFiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from forebay.ingest.bounded_queue import BoundedQueue, Submission
    from forebay.ingest.policy import Spill
    from forebay.ingest.spill_files import Spilled
    from forebay.ingest.waiters import Waiters
    from forebay.runtime import Runtime

logger = logging.getLogger(__name__)


class SpillQueue:
    """Messages go to files where the queue has no room, and come back, in order, once it has.

    Submitters write one at a time, under `write_lock`, which is taken before the worker's lock.
    One turn at a time reads.
    """

    __slots__ = {
        "_files_type": "Makes the files.",
        "_is_disk_full": "A write failed, so nothing is written until all was read back.",
        "_is_reading_back": "A turn reads messages back.",
        "_lock": "The worker's lock.",
        "_needs_hub": "The turn that reads back stopped because the hub has no room.",
        "_queue": "Where messages come back to.",
        "_runtime": "Makes the lock of the files.",
        "_waiters": "Threads that wait for messages on disk to be processed.",
        "files": "The files; `None` before the first message is spilled.",
        "waits": "There is no room, or no message that may be read; a change clears this.",
        "write_lock": "Held while a message is written and accepted.",
    }

    def __init__(
        self,
        queue: BoundedQueue,
        waiters: Waiters,
        runtime: Runtime,
        files_type: type[SpillFiles] = SpillFiles,
    ) -> None:
        self._queue = queue
        self._lock = queue.lock
        self._waiters = waiters
        self._runtime = runtime
        self._files_type = files_type
        self.files: SpillFiles | None = None
        self.write_lock = runtime.lock()
        self.waits = False
        self._is_disk_full = False
        self._is_reading_back = False
        self._needs_hub = False

    @property
    def wants_turn(self) -> bool:
        """Whether a turn could bring messages back; the caller holds the worker's lock."""
        return self._queue.core.wants_spilled and not (self._is_reading_back or self.waits)

    # Writing; the caller holds `write_lock`

    def open(self, policy: Spill) -> bool:
        """Prepare to write a message; the caller also holds the worker's lock.

        Args:
            policy: Where to, and how many bytes at most, if there are no files yet.

        Returns:
            Whether the message may be written. If the disk was full, none may until all that is
            spilled was read back: so a submitter that waits for room keeps its place.
        """
        if self.files is None:
            self.files = self._files_type(policy, self._runtime)
        if not self._queue.core.spill_depth:
            self._is_disk_full = False
        return not self._is_disk_full

    def write(self, submission: Submission) -> int | None:
        """Accept a message into a file.

        Returns:
            Its sequence number; `None` if the disk is full, or the worker was closed meanwhile.
        """
        queue, files = self._queue, self.files
        assert files is not None, "`open` comes first"
        msg, source, cost = submission[:3]
        try:
            error = files.write(msg, source, cost, queue.clock())
            if error is None:
                with self._lock:
                    seq = self._accept(cost, files)
                    # A turn that read back meanwhile found a message without a number, and waits.
                    self.waits = False
                    return seq
        except BaseException:
            files.unwrite()
            self.waits = False
            raise
        self._is_disk_full = True
        logger.warning(
            "%s cannot spill (%s): submitters wait until what is spilled was read back",
            queue.store_name,
            error,
        )
        return None

    def _accept(self, cost: int, files: SpillFiles) -> int | None:
        """Accept the message written last, or take it back if the worker was closed meanwhile."""
        if self._queue.is_closed:
            files.unwrite()
            return None
        core = self._queue.core
        seq = core.accepted
        try:
            core.spill(cost)
            files.number(seq)
        except BaseException:
            if core.accepted > seq:
                files.number(seq)
            raise
        core.counts.spilled += 1
        return seq

    # Reading

    def read_back(self, wake: Callable[[], None], stop_waiting: Callable[[], None]) -> None:
        """Queue spilled messages, oldest first, as long as there is room; called without locks.

        Args:
            wake: Called when the hub may have room, if only the hub has none now.
            stop_waiting: Gives up a place among the stores that wait for the hub's bytes; called
                unless that place is needed from here on.
        """
        core = self._queue.core
        with self._lock:
            files = self.files
            if files is None or self._is_reading_back or not core.wants_spilled:
                return
            self._is_reading_back = True
            # A thread that makes room, or writes now, clears this and asks for a turn.
            self.waits = True
        try:
            while (spilled := files.peek(self._queue.store_id)) is not None:
                with self._lock:
                    is_queued = core.is_unspilled(spilled.item.seq)
                    if not is_queued and not self._try_unspill(spilled, wake):
                        break
                files.pop()
        finally:
            with self._lock:
                self._is_reading_back = False
                needs_hub = self._needs_hub
                self._needs_hub = False
            if not needs_hub:
                stop_waiting()

    def _try_unspill(self, spilled: Spilled, wake: Callable[[], None]) -> bool:
        core, share = self._queue.core, self._queue.share
        if not core.wants_spilled:
            self.waits = False
            return False
        charged = spilled.cost if type(spilled.item) is Entry else 0
        if not core.can_unspill(charged):
            self.waits = True
            return False
        if charged and share is not None and not share.try_charge(charged, wake):
            self.waits = self._needs_hub = True
            # A thread that waits for this message may have other stores make room.
            self._waiters.notify()
            return False
        core.unspill(spilled.item, spilled.cost)
        return True
