"""What a policy does where there is no room: drop a message, or write it to disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.ingest.gaps import Gap
from forebay.ingest.policy import Spill, reason_of
from forebay.ingest.room import Offer, Room
from forebay.ingest.state import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from forebay.ingest.queue import Entry
    from forebay.ingest.spill import SpillFiles
    from forebay.model import ArrowMsg, EntityPath


class Shedding(Room):
    """Dropping and spilling; where nothing is shed, no message comes by here."""

    __slots__ = ()

    # Dropping

    def _submit_over_others(self, offer: Offer, *, drops_itself: bool) -> int | None:
        """Accept a message, dropping what its policy finds less worth, or the message itself."""
        if self._on_full is not None and self._core.reorder.has_output:
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
            if seq is None and spill is not None and not self._is_disk_full:
                seq, starts = self._write_to_disk(offer, spill)
        if starts:
            self._start_turn()
        if seq is None and self._is_closed:
            self._refuse_closed()
        return seq

    def _write_to_disk(self, offer: Offer, spill: SpillFiles) -> tuple[int | None, bool]:
        """Accept a message into a file, if it can be written and the worker is not closed.

        Returns:
            Its number, and whether to start a turn.
        """
        try:
            error = spill.write(offer.msg, offer.source, offer.cost, self._clock())
            if error is None:
                with self._lock:
                    seq = self._accept_spilled(offer.cost, spill)
                    # Who read back meanwhile found a message without a number, and waits.
                    self._spill_waits = False
                    return seq, self._needs_turn()
        except BaseException:
            spill.unwrite()
            self._spill_waits = False
            raise
        # From here to the end of what is spilled nobody spills: whoever waits for room first also
        # gets it first.
        self._is_disk_full = True
        logger.warning(
            "%s cannot spill (%s): submitters wait until what is spilled was read back",
            self._store_name,
            error,
        )
        return None, False

    def _accept_spilled(self, cost: int, spill: SpillFiles) -> int | None:
        """Accept the message written last, or take it back if the worker was closed meanwhile."""
        if self._is_closed:
            spill.unwrite()
            return None
        core = self._core
        seq = core.accepted
        try:
            core.spill(cost)
            spill.number(seq)
        except BaseException:
            if core.accepted > seq:
                spill.number(seq)
            raise
        core.counts.spilled += 1
        return seq
