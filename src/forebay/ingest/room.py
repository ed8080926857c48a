"""Finding room: a message is accepted if there is some, or waits until its owner makes some."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from forebay.errors import QueueFullError, WorkerClosedError
from forebay.ingest.policy import Block, Policy
from forebay.ingest.state import WorkerState, logger
from forebay.limits import FULL_WARN_AFTER_S

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from forebay.ingest.victims import DropKey
    from forebay.model import ArrowMsg


class Offer(NamedTuple):
    """A message that wants in, and what is known of it."""

    msg: ArrowMsg
    source: object
    cost: int
    policy: Policy = Block()
    key: DropKey | None = None
    is_first: bool = False


class Room(WorkerState):
    """Room in the queue and in the hub's budget: looking for it, and waiting for it."""

    __slots__ = ()

    # Now, or not; the caller holds the lock

    def _try_accept(
        self,
        msg: ArrowMsg,
        source: object,
        cost: int,
        wake: Callable[[], None] | None = None,
    ) -> int | None:
        if self._is_closed:
            self._refuse_closed()
        if not self._core.has_room(cost):
            return None
        if self._share is not None and not self._share.try_charge(cost, wake):
            return None
        return self._core.accept(msg, source, cost, self._clock())

    def _accept_together(self, waiting: deque[tuple[ArrowMsg, int]], source: object) -> None:
        """Accept what finds room without a doubt; for the rest each message is asked about."""
        core = self._core
        count = core.capacity - core.queue_depth
        if self._is_closed or count < 2:
            return
        count = core.room_for([cost for _, cost in islice(waiting, count)])
        if not count:
            return  # a charge of nothing would still count the store as busy
        taken = [waiting.popleft() for _ in range(count)]
        if self._share is None or self._share.try_charge(sum(cost for _, cost in taken)):
            core.accept_many(taken, source, self._clock())
        else:
            waiting.extendleft(reversed(taken))

    def _try_accept_offer(self, offer: Offer, wake: Callable[[], None] | None = None) -> int | None:
        msg, source, cost, _, key, is_first = offer
        if key is None and not is_first:
            return self._try_accept(msg, source, cost, wake)
        if self._is_closed:
            self._refuse_closed()
        if not self._core.has_room(cost, is_first=is_first):
            return None
        if self._share is not None and not self._share.try_charge(cost, wake):
            return None
        return self._core.accept(msg, source, cost, self._clock(), key, is_first=is_first)

    def _refuse_closed(self) -> NoReturn:
        text = f"the worker of {self._store_name} is closed and takes nothing new"
        raise WorkerClosedError(text, store_id=self.store_id)

    # Later

    def _submit_later(self, offer: Offer, timeout: float | None) -> int:
        """Accept a message as soon as there is room; let the owner commit what takes it."""
        began_s = self._clock()
        deadline = None if timeout is None else began_s + timeout
        offered_seq = -1
        waited_in_vain = False
        warning: str | None = None
        try:
            while True:
                offers = False
                with self._lock:
                    seq = self._try_accept_offer(offer, self._wake)
                    starts = self._needs_turn()
                    if seq is None and not starts:
                        self._note_full()
                        output_place = self._core.reorder.next_place
                        offers = (
                            self._on_full is not None
                            and self._core.reorder.has_output
                            and offered_seq != output_place
                        )
                        offered_seq = output_place
                        if not offers:
                            if waited_in_vain:
                                self._refuse(offer.msg, timeout)
                            warning = self._warn_of_waiting(began_s)
                            if warning is None:
                                waited_in_vain = not self._wait_or_warn(deadline, began_s)
                if warning is not None:
                    logger.warning("%s", warning)
                    warning = None
                if starts:
                    self._start_turn()
                if seq is not None:
                    return seq
                if offers and self._on_full is not None:
                    self._call(self._on_full)
        finally:
            if self._share is not None:
                self._share.stop_waiting()

    def _warn_of_waiting(self, began_s: float) -> str | None:
        now_s = self._clock()
        if now_s - began_s < FULL_WARN_AFTER_S:
            return None
        return self._full_warning(now_s, f"a submitter has waited {now_s - began_s:.0f} s for room")

    def _wait_or_warn(self, deadline: float | None, began_s: float) -> bool:
        """As `_wait`, but come back when it is time for a warning."""
        if self._has_warned:
            return self._wait(deadline)
        warn_at = began_s + FULL_WARN_AFTER_S
        if deadline is not None and deadline <= warn_at:
            return self._wait(deadline)
        return self._wait(warn_at) or self._clock() >= warn_at

    def _refuse(self, msg: ArrowMsg, timeout: float | None) -> NoReturn:
        core = self._core
        why = (
            f"no room within {timeout} s"
            if timeout is not None
            else "the caller itself is the only one who could make room"
        )
        text = (
            f"the queue of {self._store_name} is full ({core.queue_depth} of {core.capacity} "
            f"messages, {core.in_flight_bytes} of {core.byte_budget} bytes) and "
            f"there was {why}: poll more often, or allow a larger byte_budget"
        )
        raise QueueFullError(
            text, store_id=self.store_id, chunk_id=msg.chunk_id, byte_offset=msg.byte_offset
        )
