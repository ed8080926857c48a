"""`Turns`: the task that a runtime runs for a worker, a few messages at a time.

A turn is *wanted* (counted, and given to the runtime), *begun* (a thread has its batch), and
*ended*; or an exception *breaks it off*, and its messages are queued again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from forebay.ingest.waiters import wake_all
from forebay.limits import (
    BRIEF_MSGS_MAX,
    PARALLEL_MSG_BYTES_MIN,
    SHORT_TURN_MSGS_MAX,
    SHORT_TURN_SLICE_S,
    TURN_BYTES_MAX,
    TURN_MSGS_MAX,
    TURN_SLICE_S,
)
from forebay.store import num_queries_running

if TYPE_CHECKING:
    from forebay.ingest.adaptive import BudgetStepper
    from forebay.ingest.batch_decoder import BatchDecoder, DecodedBatch
    from forebay.ingest.bounded_queue import BoundedQueue
    from forebay.ingest.core import Batch
    from forebay.ingest.owner import Owner
    from forebay.ingest.spill_queue import SpillQueue
    from forebay.ingest.waiters import Waiters
    from forebay.runtime import Runtime

logger = logging.getLogger(__name__)


class Turns:
    """The turns of one worker, at most `turns_max` at a time, each on a thread of the runtime.

    `run_turn`, `priority`, `is_light` and `is_brief` are what the runtime asks of a task. The
    runtime refers to this object until its last turn is over, and to nothing else of the worker.
    """

    __slots__ = {
        "_clock": "Seconds of the runtime's clock.",
        "_core": "The core of the queue.",
        "_decoder": "Decodes batches.",
        "_lock": "The worker's lock.",
        "_owner": "Hears of new output.",
        "_queue": "What turns take messages from.",
        "_runtime": "Runs turns.",
        "_turns_max": "Turns at a time; `None` leaves it to the runtime.",
        "_waiters": "Threads to be woken after turns, and the threads that are in one.",
        "msgs_max": "Messages of one turn.",
        "num": "Turns that are wanted or begun, and not ended.",
        "priority": "1 for a blueprint, whose turns come before those of others; else 0.",
        "slice_s": "Seconds after which a turn begins no other message.",
        "spilled": "Messages on disk; `None` if no policy ever allowed that.",
        "stepper": "Adapts the byte budget; `None` if it is fixed.",
    }

    def __init__(
        self,
        queue: BoundedQueue,
        waiters: Waiters,
        decoder: BatchDecoder,
        owner: Owner,
        runtime: Runtime,
        *,
        turns_max: int | None,
        stepper: BudgetStepper | None,
    ) -> None:
        self._queue = queue
        self._core = queue.core
        self._lock = queue.lock
        self._waiters = waiters
        self._decoder = decoder
        self._owner = owner
        self._runtime = runtime
        self._clock = queue.clock
        self._turns_max = turns_max
        self.msgs_max = TURN_MSGS_MAX
        self.slice_s = TURN_SLICE_S
        self.num = 0
        self.priority = int(queue.store_id is not None and queue.store_id.is_blueprint)
        self.spilled: SpillQueue | None = None
        self.stepper = stepper

    # Wanted

    def wants(self) -> bool:
        """Whether to start one more turn, after a message was queued; if so, it counts already.

        The caller holds the lock, and calls `start` without it.
        """
        num = self.num
        if num and (
            not self._core.exceeds(self.msgs_max, TURN_BYTES_MAX) or num >= self._num_allowed()
        ):
            return False
        self.num = num + 1
        return True

    def needs(self) -> bool:
        """As `wants`, for a caller that did not queue a message just now."""
        return self.has_input and self.wants()

    @property
    def has_input(self) -> bool:
        """Whether a turn would find something to do; the caller holds the lock."""
        if self._core.has_input:
            return True
        spilled = self.spilled
        return spilled is not None and spilled.wants_turn

    def start(self) -> None:
        """Have a turn scheduled that is counted already; called without the lock."""
        try:
            self._runtime.schedule(self)
        except BaseException:
            # It is not known whether it was scheduled. One turn too many does no harm, one too few
            # does. Where turns run in the caller, the next call that queues or waits starts one.
            if self._runtime.has_threads:
                self._runtime.schedule(self)
            else:
                with self._lock:
                    self.num = len(self._waiters.busy_threads)
            raise

    def resume(self) -> None:
        """Start a turn if one is needed; called without the lock."""
        with self._lock:
            starts = self.needs()
        if starts:
            self.start()

    def recover(self) -> None:
        """After a Ctrl-C in the middle of a call: release what is settled, run what is queued."""
        with self._lock:
            wakes = self._queue.release_settled()
            num_busy = len(self._waiters.busy_threads)
            if not self._runtime.has_threads:
                self.num = num_busy
            elif self.has_input:
                self.num = max(1, self.num)
            starts = self.num > num_busy
        if starts:
            self.start()
        wake_all(wakes)

    def _num_allowed(self) -> int:
        if self._turns_max is not None:
            return self._turns_max
        core = self._core
        return self._runtime.turns_at_once(core.queue_bytes // max(1, core.queue_depth))

    @property
    def is_light(self) -> bool:
        """Whether the next turn is mostly Python code, as far as is known without the lock."""
        core = self._core
        return core.queue_bytes < PARALLEL_MSG_BYTES_MIN * max(1, core.queue_depth)

    @property
    def is_brief(self) -> bool:
        """Whether all queued messages take a fraction of a turn."""
        return self._core.queue_depth <= BRIEF_MSGS_MAX and self.is_light

    def help(self) -> None:
        """Run a turn that waits for a thread; for a caller that would wait, without a deadline."""
        if not self._waiters.is_awaited(self._runtime.thread_id()):
            self._runtime.run_waiting(self)

    # The hub's bytes

    def wake(self) -> None:
        """There may be room in the hub's budget; called without locks."""
        with self._lock:
            spills = self._look_again()
        if spills:
            self.resume()

    def stop_waiting_for_hub(self) -> None:
        """Give up the place of this store among those that wait for the hub's bytes.

        Other threads of this store that wait ask again, and so take the place. Called without
        locks.
        """
        share = self._queue.share
        if share is None or not share.is_waiting:
            return
        with self._lock:
            wakes = share.stop_waiting()
            spills = self._look_again()
        wake_all(wakes)
        if spills:
            self.resume()

    def _look_again(self) -> bool:
        """Have threads and spilled messages look for room again; True if any are spilled."""
        self._waiters.notify()
        if self.spilled is not None:
            self.spilled.waits = False
        return self._core.spill_depth > 0

    # Begun and ended

    def run_turn(self) -> bool:
        """Decode the next few messages (the runtime calls this); True if there are more."""
        has_queries = num_queries_running() > 0
        makes_room = has_queries and self.is_light
        began_s = self._clock() if makes_room else 0.0
        try:
            more = self._run(is_short=has_queries or self._runtime.is_contended)
        except BaseException:
            self._break_off()
            raise
        finally:
            if self._queue.share is not None:
                self._queue.share.end_expansion()
        if makes_room and more:
            self._runtime.make_room(self._clock() - began_s)
        return more

    def _run(self, *, is_short: bool) -> bool:
        core, decoders, waiters = self._core, self._decoder, self._waiters
        thread = self._runtime.thread_id()
        if core.spill_depth and self.spilled is not None:
            self.spilled.read_back(self.wake, self.stop_waiting_for_hub)
        msgs_max, slice_s = self.msgs_max, self.slice_s
        if is_short:  # other stores wait, or queries run
            msgs_max, slice_s = min(msgs_max, SHORT_TURN_MSGS_MAX), min(slice_s, SHORT_TURN_SLICE_S)
        with self._lock:
            if len(waiters.busy_threads) >= self.num:
                return False  # one too many, see `start`
            began_s = self._clock()
            batch = core.take(msgs_max, TURN_BYTES_MAX, began_s)
            if batch is None:
                if self.has_input:
                    return True
                self.num -= 1
                return False
            waiters.busy_threads[thread] = batch
            decoder = decoders.borrow()
            # Many messages may have come at once, for which one turn was wanted.
            starts = self.wants()
        if starts:
            self.start()
        if decoder is None:
            decoder = decoders.make()
        decoded = decoders.decode(batch, decoder, began_s + slice_s)
        with self._lock:
            decoders.give_back(decoder)
            ended_s = self._clock()
            released = self._finish(batch, decoded, began_s, ended_s)
            notifies = released and self._owner.on_output is not None
            if not notifies:
                more = self._end(thread, decoded.interrupt)
        if self.stepper is not None and ended_s >= self.stepper.next_s:
            self._adapt(self.stepper, ended_s)
        if notifies:
            self._owner.note_output()
            with self._lock:
                more = self._end(thread, decoded.interrupt)
        share = self._queue.share
        if released and share is not None and core.reorder.output:
            wake_all(share.note_output())
        if decoded.interrupt is not None:
            self._pass_on(decoded.interrupt)
        return more

    def _finish(self, batch: Batch, decoded: DecodedBatch, began_s: float, ended_s: float) -> bool:
        """Take the outcomes of a turn; True if there is output that was not there before."""
        core, share = self._core, self._queue.share
        outcomes, converted, stamps, interrupt = decoded
        released = core.finish(batch, outcomes, began_s, ended_s, stamps, converted=converted)
        if converted and share is not None:
            # What the messages became is in memory already, whether there was room or not.
            share.charge(core.in_flight_bytes - share.held_bytes)
        if interrupt is not None:
            self._waiters.notify()
        else:
            self._waiters.notify_after_turn(ended_s)
        if self._queue.is_full:
            self._queue.note_drained()
        return released

    def _end(self, thread: int, interrupt: BaseException | None) -> bool:
        del self._waiters.busy_threads[thread]
        if self.has_input and (interrupt is None or self._runtime.has_threads):
            return True
        self.num -= 1
        self._decoder.release_free()
        return False

    def _pass_on(self, interrupt: BaseException) -> None:
        if self._runtime.is_in_caller:
            raise interrupt
        name = self._queue.store_name
        logger.error("decoding for %s was interrupted", name, exc_info=interrupt)

    def _break_off(self) -> None:
        """End this thread's turn after an exception that is not a message's: queue it again.

        That is Ctrl-C, if turns run in the caller.
        """
        waiters = self._waiters
        with self._lock:
            waiters.busy_threads.pop(self._runtime.thread_id(), None)
            self._core.give_back_others(waiters.busy_threads.values())
            self.num = len(waiters.busy_threads)
            waiters.notify()
            starts = self._runtime.has_threads and self.needs()
        if starts:
            self.start()

    def _adapt(self, stepper: BudgetStepper, now_s: float) -> None:
        found = stepper.surroundings()
        with self._lock:
            if stepper.step(self._core, found, now_s):
                self._waiters.notify()

    def validate(self) -> None:
        """Check what must hold while no thread holds the lock; for tests.

        Raises:
            AssertionError: Naming what does not hold.
        """
        most = self._turns_max
        assert self.num >= 0, "a turn ended twice"
        assert most is None or self.num <= most, "more turns than allowed"
        was_interrupted = self._decoder.interrupted_seq >= 0
        assert self.num or not self._core.has_input or was_interrupted, "stalled"
