"""`WorkerState`: what the parts of a worker share, behind one lock.

The worker is one state (`worker_fields`) in six files: `room` (finding room, waiting for it),
`shedding` (dropping, spilling), `admission` (submitting), `turns` (decoding), `worker` (output,
waiting, ending) and this. Whoever changes how submitters wait has to see how turns and owners wake
them. What can be decided without the lock is in `core`. Three other locks are ever taken while
`_lock` is held, those of the byte budget, the gaps and the pool of decoders, which are leaves; the
spill files' lock is taken before it. Callbacks and `Runtime.schedule` are called without any.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from forebay.ingest.gaps import Peekers
from forebay.ingest.worker_fields import WorkerFields
from forebay.limits import BRIEF_MSGS_MAX, PARALLEL_MSG_BYTES_MIN, TURN_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from forebay.model import ArrowMsg, EntityPath

logger = logging.getLogger(__name__)


class WorkerState(WorkerFields):
    """What every part of a worker does: wait, wake, ask for a turn."""

    __slots__ = ()

    # Turns wanted

    def _wants_turn(self) -> bool:
        """Whether to schedule one more turn now; if so it counts as scheduled already."""
        turns = self._num_turns
        if turns and (
            turns >= self._turns_allowed()
            or not self._core.exceeds(self._turn_msgs_max, TURN_BYTES_MAX)
        ):
            return False
        self._num_turns = turns + 1
        return True

    def _needs_turn(self) -> bool:
        """As `_wants_turn`, for whoever did not just put something in."""
        return self._has_input() and self._wants_turn()

    def _start_turn(self) -> None:
        """Have a turn scheduled that is counted already; called without the lock."""
        try:
            self._runtime.schedule(self)  # type: ignore[arg-type]
        except BaseException:
            # Whether it is scheduled nobody knows; one too many does no harm, one too few would.
            # Where turns run in the caller, the next call that puts something in or waits begins
            # a new one.
            if self._runtime.has_threads:
                self._runtime.schedule(self)  # type: ignore[arg-type]
            else:
                with self._lock:
                    self._num_turns = len(self._busy_threads)
            raise

    def _recover(self) -> None:
        """After a Ctrl-C in the middle of something: give back what is charged, run what waits."""
        with self._lock:
            wakes = self._release_settled()
            if not self._runtime.has_threads:
                self._num_turns = len(self._busy_threads)
            elif self._has_input():
                self._num_turns = max(1, self._num_turns)
            starts = self._num_turns > len(self._busy_threads)
        if starts:
            self._start_turn()
        self._wake_all(wakes)

    def _release_settled(self) -> list[Callable[[], None]]:
        """Give back what the hub's budget holds for nothing; returns whom to wake."""
        share, core = self._share, self._core
        if share is None:
            return []
        surplus = share.held_bytes - core.in_flight_bytes
        return share.release(surplus) if surplus else []

    def _wake_all(self, wakes: Iterable[Callable[[], None]]) -> None:
        """Call all of them, even if a Ctrl-C comes between two."""
        waiting = iter(wakes)
        try:
            for wake in waiting:
                wake()
        except BaseException:
            for wake in waiting:
                wake()
            raise

    def _turns_allowed(self) -> int:
        if self._turns_max is not None:
            return self._turns_max
        core = self._core
        return self._runtime.turns_at_once(core.queue_bytes // max(1, core.queue_depth))

    @property
    def is_light(self) -> bool:
        """Whether the next turn is mostly Python, as far as one can tell without a lock."""
        core = self._core
        return core.queue_bytes < PARALLEL_MSG_BYTES_MIN * max(1, core.queue_depth)

    @property
    def is_brief(self) -> bool:
        """Whether all that waits takes a fraction of a turn."""
        core = self._core
        return core.queue_depth <= BRIEF_MSGS_MAX and self.is_light

    def _has_input(self) -> bool:
        core = self._core
        if core.has_input or not core.spill_depth:
            return core.has_input
        return core.wants_spilled and not (self._is_reading_back or self._spill_waits)

    # Waiting and waking

    def _wait(self, deadline: float | None) -> bool:
        """Let go of the lock until something changed; False if waiting longer is no use."""
        me = self._runtime.thread_id()
        if me in self._busy_threads or me == self._owner_thread:
            return False  # the caller is what it would wait for
        left = None if deadline is None else deadline - self._clock()
        if left is not None and left <= 0:
            return False
        changed = self._changed
        if changed is None:
            changed = self._changed = self._runtime.condition(self._lock)
        self._num_waiting += 1
        try:
            return changed.wait(left)
        finally:
            self._num_waiting -= 1
            if not self._num_waiting:
                self._changed = None

    def _notify(self) -> None:
        """Wake all who wait; the caller holds the lock."""
        if self._changed is not None:
            self._changed.notify_all()

    def _outputs_unasked(self, asked: int) -> int | None:
        """How often other stores left output, if this one waits for the hub's bytes.

        `None` if it does not, or if it asked for all of that output already.
        """
        share = self._share
        if share is None or not share.is_waiting:
            return None
        outputs = share.num_outputs
        return None if outputs == asked else outputs

    def _reclaim_from_others(self) -> None:
        if self._share is not None:
            self._share.reclaim_from_others()

    def _stop_waiting_for_hub(self) -> None:
        """One that waited for the hub's bytes does not any more; called without the lock.

        Others of this store that wait too ask again, and so take the place in the hub's order.
        """
        share = self._share
        if share is None or not share.is_waiting:
            return
        with self._lock:
            wakes = share.stop_waiting()
            self._notify()
            self._spill_waits = False
            spills = self._core.spill_depth > 0
        self._wake_all(wakes)
        if spills:
            self._resume()

    def _reclaim(self) -> None:
        """Commit finished output for another store that waits for bytes, if the owner lets it."""
        if self._on_full is not None and self._core.reorder.has_output:
            self._call(self._on_full)

    def _wake(self) -> None:
        """There may be room in the hub's budget."""
        with self._lock:
            self._notify()
            self._spill_waits = False
            spills = self._core.spill_depth > 0
        if spills:
            self._resume()

    def _resume(self) -> None:
        """Go on with spilled messages that found no room."""
        with self._lock:
            starts = self._needs_turn()
        if starts:
            self._start_turn()

    def _peeker(self) -> Peekers:
        with self._lock:
            if self._peekers is None:
                self._peekers = Peekers(self._runtime)
            return self._peekers

    def _head(self, msg: ArrowMsg) -> tuple[EntityPath | None, bool]:
        """The entity of a message, if its head can be read, and whether it is static."""
        return self._peeker().head(msg)

    def _times(self, msg: ArrowMsg) -> Mapping[str, tuple[int, int]]:
        """First and last time by timeline, as far as the front of the message tells."""
        return self._peeker().time_ranges(msg)

    def _call(self, callback: Callable[[], object]) -> None:
        try:
            callback()
        except Exception:
            logger.exception("a callback of the worker of %s failed", self._store_name)

    # Full and drained

    def _note_full(self) -> None:
        """There was no room; the first time since it drained begins an episode."""
        if not self._is_full:
            self._is_full = True
            self._has_warned = False
            self._core.counts.full_episodes += 1
            self._gaps.begin_episode()

    def _note_drained(self) -> None:
        core = self._core
        if 4 * core.queue_depth <= core.capacity and not core.spill_depth:
            self._is_full = 4 * core.in_flight_bytes > core.byte_budget

    def _full_warning(self, now_s: float, what_happens: str) -> str | None:
        """What to tell people, once per episode; the caller logs it without the lock."""
        if self._has_warned:
            return None
        self._has_warned = True
        core = self._core
        stats = core.stats(now_s, is_closed=self._is_closed)
        return (
            f"the queue of {self._store_name} is full ({core.queue_depth} of {core.capacity} "
            f"messages, {core.in_flight_bytes} of {core.byte_budget} bytes; "
            f"{stats.accept_rate.msgs_per_s:.0f} messages/s come in, "
            f"{stats.settle_rate.msgs_per_s:.0f} are committed): {what_happens}. "
            "Log less, commit more often, allow a larger capacity or byte_budget, or choose "
            "another policy"
        )

    @property
    def _store_name(self) -> str:
        return "a store" if self.store_id is None else str(self.store_id)
