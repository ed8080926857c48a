"""Submitting: a message finds room, waits for it, or meets its policy."""

from __future__ import annotations

from collections import deque
from operator import itemgetter
from typing import TYPE_CHECKING, Final, assert_never

from forebay.errors import IngestError, LimitError, QueueFullError
from forebay.ingest.outcomes import message_cost
from forebay.ingest.policy import (
    Block,
    Deadline,
    DropNewest,
    DropOldest,
    LatestWins,
    Spill,
)
from forebay.ingest.room import Offer
from forebay.ingest.shedding import Shedding
from forebay.ingest.victims import DropKey

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forebay.model import ArrowMsg


_cost_of: Final = itemgetter(1)


class Admission(Shedding):
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
            if cost > self._cost_max:
                return self._submit_later(self._large(msg, source, cost), timeout)
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
        if waiting and max(map(_cost_of, waiting)) > self._cost_max:
            # Rare: one by one, so that those before and after a refused one keep their order.
            for msg, cost in waiting:
                seq = self._submit_later(self._large(msg, source, cost), timeout)
            return seq
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

    def _large(self, msg: ArrowMsg, source: object, cost: int) -> Offer:
        """The offer of a message that may be too large; then it is accepted as a rejection."""
        refusal = self._refusal(msg, cost)
        return Offer(msg, source, cost if refusal is None else 0, refusal=refusal)

    def _refusal(self, msg: ArrowMsg, cost: int) -> LimitError | None:
        size, budget = len(msg.payload), self._hub_budget
        if size > self._message_bytes_max:
            limit = "message_bytes_max"
            what = f"has {size:,} bytes, and may have {self._message_bytes_max:,}"
        elif budget is not None and cost > budget.limit_bytes:
            limit = "hub_budget"
            what = f"becomes {cost:,} bytes, and the hub's budget is {budget.limit_bytes:,}"
        else:
            return None
        text = f"a message of {self._store_name} {what} ({limit}): log smaller ones, or allow more"
        return LimitError(
            text,
            limit=limit,
            store_id=msg.store_id,
            chunk_id=msg.chunk_id,
            byte_offset=msg.byte_offset,
        )

    # Policies

    def _offer(self, msg: ArrowMsg, source: object) -> Offer:
        """The message with its policy; its head is read only if its entity matters now."""
        rules, cost = self._rules, message_cost(msg)
        if cost > self._cost_max and self._refusal(msg, cost) is not None:
            return self._large(msg, source, cost)
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
        keeps_order = not offer.is_first and offer.refusal is None
        if spill is not None and self._core.spill_depth and keeps_order:
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
