"""Submitting: a message finds room, waits for it, or meets its policy."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, NoReturn, assert_never

from forebay.errors import IngestError, QueueFullError, WorkerClosedError
from forebay.ingest.gaps import Gap
from forebay.ingest.outcomes import message_cost
from forebay.ingest.policy import (
    Block,
    Deadline,
    DropNewest,
    DropOldest,
    LatestWins,
    Policy,
    Spill,
    reason_of,
)
from forebay.ingest.state import WorkerState, logger
from forebay.ingest.victims import DropKey
from forebay.limits import FULL_WARN_AFTER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from forebay.ingest.queue import Entry
    from forebay.model import ArrowMsg, EntityPath


class Offer(NamedTuple):
    """A message that wants in, and what is known of it."""

    msg: ArrowMsg
    source: object
    cost: int
    policy: Policy = Block()
    key: DropKey | None = None
    is_first: bool = False


class Admission(WorkerState):
    """How messages come in. Everything here is safe from any thread."""

    __slots__ = ()

    def submit(self, msg: ArrowMsg, source: object = None, timeout: float | None = None) -> int:
        """Accept a message; if there is no room, wait for it, or do as the policy says.

        Returns:
            Its sequence number: how many messages were accepted before it.

        Raises:
            WorkerClosedError: The worker is or gets closed.
            QueueFullError: No room within `timeout` seconds, or nobody could ever make room.
        """
        try:
            if self._rules is not None:
                return self._submit_by_policy(self._offer(msg, source), timeout)
            cost = message_cost(msg)
            with self._lock:
                seq = self._try_accept(msg, source, cost)
                starts = seq is not None and self._wants_turn()
            if seq is None:
                return self._submit_later(Offer(msg, source, cost), timeout)
            if starts:
                self._start_turn()
            return seq
        except IngestError:
            raise
        except BaseException:
            self._recover()
            raise

    def submit_many(
        self, msgs: Iterable[ArrowMsg], source: object = None, timeout: float | None = None
    ) -> int:
        """Accept messages in order, for less than one by one.

        If it raises, the messages before the one that found no room are accepted.

        Returns:
            The sequence number of the last message accepted, -1 if there never was one.

        Raises:
            WorkerClosedError: The worker is or gets closed.
            QueueFullError: No room for one of them within `timeout` seconds.
        """
        try:
            return self._submit_all(msgs, source, timeout)
        except IngestError:
            raise
        except BaseException:
            self._recover()
            raise

    def _submit_all(self, msgs: Iterable[ArrowMsg], source: object, timeout: float | None) -> int:
        if self._rules is not None:
            seq = self._core.accepted - 1
            for msg in msgs:
                seq = self._submit_by_policy(self._offer(msg, source), timeout)
            return seq
        waiting = deque((msg, message_cost(msg)) for msg in msgs)
        while True:
            with self._lock:
                self._accept_together(waiting, source)
                seq = self._core.accepted - 1
                while waiting:
                    accepted = self._try_accept(waiting[0][0], source, waiting[0][1])
                    if accepted is None:
                        break
                    seq = accepted
                    waiting.popleft()
                starts = self._needs_turn()
            if starts:
                self._start_turn()
            if not waiting:
                return seq
            msg, cost = waiting.popleft()
            seq = self._submit_later(Offer(msg, source, cost), timeout)

    def try_submit(self, msg: ArrowMsg, source: object = None) -> bool:
        """Accept a message if there is room now, or the policy can make some; say whether.

        What would have to wait, or be dropped itself, is not taken and not counted.

        Raises:
            WorkerClosedError: The worker is closed.
        """
        try:
            return self._try_submit(self._offer(msg, source))
        except IngestError:
            raise
        except BaseException:
            self._recover()
            raise

    def _try_submit(self, offer: Offer) -> bool:
        with self._lock:
            accepted = self._try_accept_offer(offer) is not None
            starts = accepted and self._wants_turn()
        if starts:
            self._start_turn()
        if accepted:
            return True
        match offer.policy:
            case DropOldest() | LatestWins():
                return self._submit_over_others(offer, drops_itself=False) is not None
            case Spill():
                return self._submit_to_disk(offer, offer.policy) is not None
            case _:
                return False

    # Finding room

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
                        output_place = self._core.next_output_place
                        offers = (
                            self._on_full is not None
                            and self._core.has_output
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
            f"messages, {core.queue_bytes + core.output_bytes} of {core.byte_budget} bytes) and "
            f"there was {why}: poll more often, or allow a larger byte_budget"
        )
        raise QueueFullError(
            text, store_id=self.store_id, chunk_id=msg.chunk_id, byte_offset=msg.byte_offset
        )

    # Policies

    def _offer(self, msg: ArrowMsg, source: object) -> Offer:
        """The message with its policy; its head is read only if its entity matters now."""
        rules, cost = self._rules, message_cost(msg)
        if rules is None:
            return Offer(msg, source, cost)
        is_static, entity = msg.is_static is True, None
        if rules.is_blocking or is_static:
            return Offer(msg, source, cost, is_first=is_static)
        if rules.needs_entity or msg.is_static is None:
            entity, is_static = self._head(msg)
        policy = rules.policy_for(entity)
        if is_static:
            # Never dropped; but it may take its place among what is spilled.
            kept = policy if isinstance(policy, Spill) else Block()
            return Offer(msg, source, cost, kept, is_first=True)
        key = DropKey(policy, entity) if isinstance(policy, DropOldest | LatestWins) else None
        return Offer(msg, source, cost, policy, key)

    def _submit_by_policy(self, offer: Offer, timeout: float | None) -> int:
        with self._lock:
            seq = self._try_accept_offer(offer)
            starts = seq is not None and self._wants_turn()
            if seq is None:
                self._note_full()
        if starts:
            self._start_turn()
        if seq is not None:
            return seq
        match offer.policy:
            case Block():
                return self._submit_block(offer, timeout)
            case Deadline(ms):
                return self._submit_until(offer, ms / 1000, timeout)
            case DropNewest():
                return self._submit_over_others(offer, drops_itself=True) or 0
            case DropOldest() | LatestWins():
                return self._submit_over_others(offer, drops_itself=True) or 0
            case Spill():
                spilled = self._submit_to_disk(offer, offer.policy)
                return self._submit_later(offer, timeout) if spilled is None else spilled
            case _:
                assert_never(offer.policy)

    def _submit_block(self, offer: Offer, timeout: float | None) -> int:
        spill = self._spill
        if spill is not None and self._core.spill_depth and not offer.is_first:
            # Others of this store spill: behind them there is room, and order is kept.
            spilled = self._submit_to_disk(offer, spill.policy)
            if spilled is not None:
                return spilled
        return self._submit_later(offer, timeout)

    def _submit_until(self, offer: Offer, wait_s: float, timeout: float | None) -> int:
        if timeout is not None and timeout < wait_s:
            return self._submit_later(offer, timeout)
        try:
            return self._submit_later(offer, wait_s)
        except QueueFullError:
            return self._drop(offer)

    def _submit_over_others(self, offer: Offer, *, drops_itself: bool) -> int | None:
        """Accept a message, dropping what its policy finds less worth, or the message itself."""
        if self._on_full is not None and self._core.has_output:
            self._call(self._on_full)  # finished output takes no room from messages
        reason = reason_of(offer.policy)
        victims: list[Entry] = []
        wakes: list[Callable[[], None]] = []
        with self._lock:
            seq = self._try_accept_offer(offer)
            if offer.key is not None and self._could_fit(offer.cost):
                while seq is None:
                    victim = self._core.drop_queued(offer.key, reason)
                    if victim is None:
                        break
                    victims.append(victim)
                    if self._share is not None:
                        wakes += self._share.release(victim.cost)
                    seq = self._try_accept_offer(offer)
            starts = (seq is not None or bool(victims)) and self._wants_turn()
            if victims:
                self._notify()
        for wake in wakes:
            wake()
        if starts:
            self._start_turn()
        for victim in victims:
            entity = victim.key.entity if victim.key is not None else None
            self._note_gap(victim.msg, entity, reason, victim.cost, victim.seq)
        if victims:
            self._warn_of_dropping(reason)
        if seq is None and drops_itself:
            return self._drop(offer)
        return seq

    def _could_fit(self, cost: int) -> bool:
        """Whether dropping could make room at all, so that nothing is dropped for nothing."""
        share = self._share
        fits = self._core.could_fit(cost)
        return fits and (share is None or share.could_charge(cost, self._core.queue_bytes))

    def _drop(self, offer: Offer) -> int:
        """Accept a message and drop it: it has its place among the outcomes."""
        reason = reason_of(offer.policy)
        with self._lock:
            if self._is_closed:
                self._refuse_closed()
            seq = self._core.drop_new(offer.cost, reason)
            starts = self._wants_turn()
        if starts:
            self._start_turn()
        entity = offer.key.entity if offer.key is not None else None
        self._note_gap(offer.msg, entity, reason, offer.cost, seq)
        self._warn_of_dropping(reason)
        return seq

    def _note_gap(
        self, msg: ArrowMsg, entity: EntityPath | None, reason: str, cost: int, seq: int
    ) -> None:
        if entity is None:
            entity = self._head(msg)[0]
        self._gaps.add(Gap(entity, reason, 1, cost, seq, seq, self._times(msg)))

    def _warn_of_dropping(self, reason: str) -> None:
        if self._has_warned:
            return
        with self._lock:
            what = f"the policy {reason} drops messages, see gaps()"
            warning = self._full_warning(self._clock(), what)
        if warning is not None:
            logger.warning("%s", warning)

    # Spilling

    def _submit_to_disk(self, offer: Offer, policy: Spill) -> int | None:
        """Accept a message into a file, unless there is room now; `None` if the disk is full."""
        with self._spill_lock:
            with self._lock:
                seq = self._try_accept_offer(offer)
                if seq is None and self._spill is None:
                    self._spill = self._spill_type(policy, self._runtime)
                spill = self._spill
                if not self._core.spill_depth:
                    self._is_disk_full = False
                starts = seq is not None and self._wants_turn()
            if seq is None:
                if spill is None or self._is_disk_full:
                    return None
                error = spill.write(offer.msg, offer.source, offer.cost, self._clock())
                if error is not None:
                    # From here to the end of what is spilled nobody spills: whoever waits for
                    # room first also gets it first.
                    self._is_disk_full = True
                    logger.warning(
                        "%s cannot spill (%s): submitters wait until what is spilled was read back",
                        self._store_name,
                        error,
                    )
                    return None
                with self._lock:
                    if self._is_closed:
                        spill.unwrite()
                        self._refuse_closed()
                    seq = self._core.spill(offer.cost)
                    spill.number(seq)
                    self._core.counts.spilled += 1
                    self._spill_waits = False
                    starts = self._needs_turn()
        if starts:
            self._start_turn()
        return seq
