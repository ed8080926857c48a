"""Turns: a few messages are decoded at a time, on a thread of the runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.ingest.adaptive import Measured
from forebay.ingest.queue import Entry
from forebay.ingest.state import WorkerState, logger
from forebay.limits import (
    BUDGET_INTERVAL_S,
    ROOM_WAKE_INTERVAL_S,
    SHORT_TURN_MSGS_MAX,
    SHORT_TURN_SLICE_S,
    TURN_BYTES_MAX,
)
from forebay.store import num_queries_running

if TYPE_CHECKING:
    from forebay.ingest.spill import Spilled


class Turns(WorkerState):
    """What the worker does when the runtime calls it."""

    __slots__ = ()

    def run_turn(self) -> bool:
        """Decode the next few messages (the runtime calls this); True if there are more."""
        makes_room = num_queries_running() > 0 and self.is_light
        began_s = self._clock() if makes_room else 0.0
        try:
            more = self._run_turn()
        except BaseException:
            self._break_off_turn()
            raise
        if makes_room and more:
            self._runtime.make_room(self._clock() - began_s)
        return more

    def _run_turn(self) -> bool:  # noqa: PLR0912 - each step at its time, without a call more
        runtime, core, clock = self._runtime, self._core, self._clock
        decoders = self._batch_decoder
        thread = runtime.thread_id()
        if core.spill_depth:
            self._read_back()
        msgs_max, slice_s = self._turn_length()
        with self._lock:
            if len(self._busy_threads) >= self._num_turns:
                return False  # one too many, see `_start_turn`
            began_s = clock()
            batch = core.take(msgs_max, TURN_BYTES_MAX, began_s)
            if batch is None:
                if self._has_input():
                    return True
                self._num_turns -= 1
                return False
            self._busy_threads[thread] = batch
            decoder = decoders.borrow()
            # Many messages may have come at once, and that asked for one turn.
            starts = self._wants_turn()
        if starts:
            self._start_turn()
        if decoder is None:
            decoder = decoders.make()
        outcomes, converted, stamps, interrupt = decoders.decode(batch, decoder, began_s + slice_s)
        with self._lock:
            decoders.give_back(decoder)
            ended_s = clock()
            released = core.finish(batch, outcomes, began_s, ended_s, stamps, converted=converted)
            if converted and self._share is not None:
                # What they became is there already, whether there was room for it or not.
                self._share.charge(core.in_flight_bytes - self._share.held_bytes)
            if self._num_waiting and (interrupt is not None or self._is_worth_waking(ended_s)):
                self._notify()
            if self._is_full:
                self._note_drained()
            notifies = released and self._on_output is not None
            if not notifies:
                more = self._end_turn(thread, interrupt)
        if self._adaptive is not None and ended_s >= self._adapt_s:
            self._adapt(ended_s)
        if notifies and self._on_output is not None:
            self._call(self._on_output)
            with self._lock:
                more = self._end_turn(thread, interrupt)
        if released and self._share is not None and core.reorder.has_output:
            self._wake_all(self._share.note_output())
        if interrupt is not None:
            if runtime.is_in_caller:
                raise interrupt
            logger.error("decoding for %s was interrupted", self._store_name, exc_info=interrupt)
        return more

    def _turn_length(self) -> tuple[int, float]:
        """Messages and seconds of the next turn: less of both while stores wait, or queries run."""
        if not (self._runtime.is_contended or num_queries_running()):
            return self._turn_msgs_max, self._turn_slice_s
        return min(self._turn_msgs_max, SHORT_TURN_MSGS_MAX), min(
            self._turn_slice_s, SHORT_TURN_SLICE_S
        )

    def _is_worth_waking(self, now_s: float) -> bool:
        """Whether those who wait should look now; at each turn would cost more than the turns.

        Who waits for room is let sleep while the queue is more than half full, for a moment at
        most: meanwhile there is enough to do. Who waits for a message sleeps until it is done, or
        until there is output that has to be committed before what is on disk can come back.
        """
        core = self._core
        watched = self._watched_seqs
        if watched and (core.spill_depth or core.is_processed(min(watched))):
            return True
        if (
            core.queue_depth > core.capacity // 2
            and core.has_input
            and now_s - self._woken_s < ROOM_WAKE_INTERVAL_S
        ):
            return False
        self._woken_s = now_s
        return self._num_waiting > len(self._watched_seqs)

    def _end_turn(self, thread: int, interrupt: BaseException | None) -> bool:
        del self._busy_threads[thread]
        if self._has_input() and (interrupt is None or self._runtime.has_threads):
            return True
        self._num_turns -= 1
        self._batch_decoder.release_free()
        return False

    def _break_off_turn(self) -> None:
        """End the turn of this thread that an exception ended where none should have come from.

        That is Ctrl-C, if turns run in the caller. What it had taken is queued again.
        """
        with self._lock:
            self._busy_threads.pop(self._runtime.thread_id(), None)
            self._core.give_back_others(self._busy_threads.values())
            self._num_turns = len(self._busy_threads)
            self._notify()
            starts = self._runtime.has_threads and self._needs_turn()
        if starts:
            self._start_turn()

    # Spilled messages and budgets

    def _read_back(self) -> None:
        """Queue spilled messages, oldest first, as far as there is room for them."""
        with self._lock:
            spill = self._spill
            if spill is None or self._is_reading_back or not self._core.wants_spilled:
                return
            self._is_reading_back = True
            # Whoever makes room, or is writing just now, clears this and asks for a turn.
            self._spill_waits = True
        try:
            while (spilled := spill.peek(self.store_id)) is not None:
                with self._lock:
                    is_queued = self._core.is_unspilled(spilled.item.seq)
                    if not is_queued and not self._try_unspill(spilled):
                        break
                spill.pop()
        finally:
            with self._lock:
                self._is_reading_back = False
                needs_hub = self._spill_needs_hub
                self._spill_needs_hub = False
            if not needs_hub:
                self._stop_waiting_for_hub()

    def _try_unspill(self, spilled: Spilled) -> bool:
        core = self._core
        if not core.wants_spilled:
            self._spill_waits = False
            return False
        charged = spilled.cost if type(spilled.item) is Entry else 0
        share = self._share
        if not core.can_unspill(charged):
            self._spill_waits = True
            return False
        if charged and share is not None and not share.try_charge(charged, self._wake):
            self._spill_waits = self._spill_needs_hub = True
            self._notify()  # Who waits for this message may have other stores make room.
            return False
        core.unspill(spilled.item, spilled.cost)
        return True

    def _adapt(self, now_s: float) -> None:
        """Let the byte budget follow memory and use; called without the lock."""
        core, budget, controller = self._core, self._hub_budget, self._adaptive
        free_bytes = self._free_memory()
        num_busy = 1 if budget is None else max(1, budget.num_busy)
        held_bytes = 0 if budget is None else budget.used_bytes
        with self._lock:
            if controller is None or now_s < self._adapt_s:
                return
            self._adapt_s = now_s + BUDGET_INTERVAL_S
            if budget is None:
                held_bytes = core.in_flight_bytes
            drained = core.counts.drain_bytes_per_s(now_s)
            measured = Measured(
                None if free_bytes is None else free_bytes + held_bytes,
                num_busy,
                drained if drained or core.queue_depth else None,
            )
            core.set_byte_budget(controller.step(measured))
            self._notify()
