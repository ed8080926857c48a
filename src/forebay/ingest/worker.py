"""`IngestionWorker`: turns `ArrowMsg`s into chunks, in order, behind a bounded queue.

One class and a long file on purpose: all of it is one state behind one lock (`_lock`), and whoever
changes how submitters wait has to see how turns and owners wake them. What can be decided without
that lock is in `core`. One other lock is ever taken while it is held, the byte budget's, which is
a leaf. Callbacks and `Runtime.schedule` are called without any.
"""

from __future__ import annotations

import itertools
import logging
from collections import deque
from typing import TYPE_CHECKING, NoReturn, Self, TypeAlias

from forebay.errors import FlushTimeoutError, QueueFullError, WorkerClosedError
from forebay.ingest.core import Batch, IngestCore
from forebay.ingest.outcomes import Outcome, ProcessedChunk, RejectedMsg, message_cost, rejection
from forebay.limits import (
    ALIKE_MSGS_MIN,
    QUEUE_CAPACITY_MSGS,
    ROOM_WAKE_INTERVAL_S,
    STORE_BUDGET_BYTES,
    TURN_BYTES_MAX,
    TURN_MSGS_MAX,
)
from forebay.runtime import default_runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from forebay.chunk import Chunk
    from forebay.ingest.budget import ByteBudget
    from forebay.ingest.stats import IngestionStats
    from forebay.model import ArrowMsg, StoreId
    from forebay.runtime import Runtime


Decode: TypeAlias = "Callable[[ArrowMsg], Chunk]"
"""Turns a message into a chunk; whatever it raises rejects that message."""

logger = logging.getLogger(__name__)


def chunk_decoder() -> Decode:
    """A decoder of its own for one turn at a time; it learns the schemas it meets."""
    from forebay.codec import ChunkDecoder  # noqa: PLC0415 - not needed before the first message

    return ChunkDecoder().decode


def _decoded_alike(batch: Batch, decode: Decode) -> Iterable[Chunk | None]:
    """What a decoder that can decode messages together makes of a batch; `None`: one by one."""
    together = getattr(getattr(decode, "__self__", None), "decode_alike", None)
    if together is None or len(batch.entries) < ALIKE_MSGS_MIN:
        return itertools.repeat(None)
    try:
        chunks: list[Chunk | None] = together([entry.msg for entry in batch.entries])
    except Exception:
        logger.exception("decoding messages together failed; decoding them one by one")
        return itertools.repeat(None)
    return chunks


class IngestionWorker:
    """Decodes the messages of one store off its caller's thread.

    It owns no thread: while there are messages, it takes turns in its runtime; when idle or
    dropped, nothing of it is left there. Whoever drops it with messages accepted drops only their
    outcomes: they are still processed, and `on_output` still hears of it.

    The outcomes count against the byte budget until they are settled. `poll()` settles what it
    hands out. An owner that commits chunks itself calls `take_output()`, commits, then
    `acknowledge()`, and so `stats().committed` counts what is in its store.

    All methods are safe from any thread. `on_output` and `on_full` are called without locks, and
    an exception of theirs is logged, not passed on.

    Attributes:
        store_id: The store it works for, for messages to people.
    """

    _core_type: type[IngestCore] = IngestCore
    _turn_msgs_max = TURN_MSGS_MAX

    def __init__(
        self,
        capacity: int = QUEUE_CAPACITY_MSGS,
        byte_budget: int = STORE_BUDGET_BYTES,
        *,
        store_id: StoreId | None = None,
        runtime: Runtime | None = None,
        hub_budget: ByteBudget | None = None,
        turns_max: int = 1,
        on_output: Callable[[], object] | None = None,
        on_full: Callable[[], object] | None = None,
        decoder_factory: Callable[[], Decode] = chunk_decoder,
    ) -> None:
        """Make a worker; nothing runs before the first message.

        Args:
            capacity: Messages accepted and not yet processed.
            byte_budget: Bytes of messages and outcomes in flight.
            store_id: The store it works for.
            runtime: Where it takes its turns; by default this process's.
            hub_budget: Bytes shared with other workers.
            turns_max: Turns it may have at the same time, on as many threads.
            on_output: Called after a turn that left new output.
            on_full: Called by a submitter that finds the budget taken by finished output, so
                that its owner can commit it.
            decoder_factory: Makes what turns a message into a chunk, one for each turn at a time.

        Raises:
            ValueError: A bound that would let nothing in.
        """
        if capacity < 1 or byte_budget < 1 or turns_max < 1:
            msg = "capacity, byte_budget and turns_max must be at least 1"
            raise ValueError(msg)
        self.store_id = store_id
        self._runtime = runtime = runtime or default_runtime()
        self._lock = runtime.lock()
        self._changed = runtime.condition(self._lock)
        self._clock = runtime.monotonic_s
        self._core = self._core_type(capacity, byte_budget)
        self._share = None if hub_budget is None else hub_budget.open_share()
        self._turns_max = turns_max
        self._num_turns = 0
        self._busy_threads: list[int] = []
        self._owner_thread: int | None = None
        self._num_waiting = 0
        self._watched_seqs: list[int] = []
        self._woken_s = 0.0
        self._is_closed = False
        self._interrupted_seq = -1
        self._on_output = on_output
        self._on_full = on_full
        self._decoder_factory = decoder_factory
        self._decoders: list[Decode] = []

    # Submitting

    def submit(self, msg: ArrowMsg, source: object = None, timeout: float | None = None) -> int:
        """Accept a message, waiting for room if there is none.

        Returns:
            Its sequence number: how many messages were accepted before it.

        Raises:
            WorkerClosedError: The worker is or gets closed.
            QueueFullError: No room within `timeout` seconds, or nobody could ever make room.
        """
        cost = message_cost(msg)
        with self._lock:
            seq = self._try_accept(msg, source, cost)
            starts = seq is not None and self._wants_turn()
        if seq is None:
            return self._submit_later(msg, source, cost, timeout)
        if starts:
            self._runtime.schedule(self)
        return seq

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
        waiting = deque((msg, message_cost(msg)) for msg in msgs)
        while True:
            with self._lock:
                seq = self._core.accepted - 1
                while waiting:
                    accepted = self._try_accept(waiting[0][0], source, waiting[0][1])
                    if accepted is None:
                        break
                    seq = accepted
                    waiting.popleft()
                starts = self._core.has_input and self._wants_turn()
            if starts:
                self._runtime.schedule(self)
            if not waiting:
                return seq
            msg, cost = waiting.popleft()
            seq = self._submit_later(msg, source, cost, timeout)

    def try_submit(self, msg: ArrowMsg, source: object = None) -> bool:
        """Accept a message if there is room now, and say whether there was.

        Raises:
            WorkerClosedError: The worker is closed.
        """
        cost = message_cost(msg)
        with self._lock:
            accepted = self._try_accept(msg, source, cost) is not None
            starts = accepted and self._wants_turn()
        if starts:
            self._runtime.schedule(self)
        return accepted

    def _try_accept(
        self,
        msg: ArrowMsg,
        source: object,
        cost: int,
        wake: Callable[[], None] | None = None,
    ) -> int | None:
        if self._is_closed:
            text = f"the worker of {self._store_name} is closed and takes nothing new"
            raise WorkerClosedError(text, store_id=self.store_id)
        if not self._core.has_room(cost):
            return None
        if self._share is not None and not self._share.try_charge(cost, wake):
            return None
        return self._core.accept(msg, source, cost, self._clock())

    def _submit_later(self, msg: ArrowMsg, source: object, cost: int, timeout: float | None) -> int:
        """Accept a message as soon as there is room; let the owner commit what takes it."""
        deadline = None if timeout is None else self._clock() + timeout
        offered_seq = -1
        waited_in_vain = False
        try:
            while True:
                offers = False
                with self._lock:
                    seq = self._try_accept(msg, source, cost, self._wake)
                    starts = self._core.has_input and self._wants_turn()
                    if seq is None and not starts:
                        output_seq = self._core.next_output_seq
                        offers = (
                            self._on_full is not None
                            and self._core.has_output
                            and offered_seq != output_seq
                        )
                        offered_seq = output_seq
                        if not offers:
                            if waited_in_vain:
                                self._refuse(msg, timeout)
                            waited_in_vain = not self._wait(deadline)
                if starts:
                    self._runtime.schedule(self)
                if seq is not None:
                    return seq
                if offers and self._on_full is not None:
                    self._call(self._on_full)
        finally:
            if self._share is not None:
                self._share.stop_waiting()

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

    # Turns

    def _wants_turn(self) -> bool:
        """Whether to schedule one more turn now; if so it counts as scheduled already."""
        turns = self._num_turns
        if turns and (
            turns >= self._turns_max or not self._core.exceeds(self._turn_msgs_max, TURN_BYTES_MAX)
        ):
            return False
        self._num_turns = turns + 1
        return True

    def run_turn(self) -> bool:
        """Decode the next few messages (the runtime calls this); True if there are more."""
        runtime, core, clock = self._runtime, self._core, self._clock
        thread = runtime.thread_id()
        with self._lock:
            began_s = clock()
            batch = core.take(self._turn_msgs_max, TURN_BYTES_MAX, began_s)
            if batch is None:
                self._num_turns -= 1
                return False
            self._busy_threads.append(thread)
            decode = self._decoders.pop() if self._decoders else None
        if decode is None:
            decode = self._new_decoder()
        outcomes: list[Outcome] = []
        interrupt: BaseException | None = None
        try:
            self._decode(batch, decode, outcomes)
        except BaseException as error:  # noqa: BLE001, RUF100 - Ctrl-C must not lose messages
            interrupt = error
        with self._lock:
            self._decoders.append(decode)
            ended_s = clock()
            released = core.finish(batch, outcomes, began_s, ended_s)
            if self._num_waiting and (interrupt is not None or self._is_worth_waking(ended_s)):
                self._changed.notify_all()
            notifies = released and self._on_output is not None
            if not notifies:
                more = self._end_turn(thread, interrupt)
        if notifies and self._on_output is not None:
            self._call(self._on_output)
            with self._lock:
                more = self._end_turn(thread, interrupt)
        if interrupt is not None:
            if not runtime.has_threads:
                raise interrupt
            logger.error("decoding for %s was interrupted", self._store_name, exc_info=interrupt)
        return more

    def _is_worth_waking(self, now_s: float) -> bool:
        """Whether those who wait should look now; at each turn would cost more than the turns.

        Who waits for room is let sleep while the queue is more than half full, for a moment at
        most: meanwhile there is enough to do. Who waits for a message sleeps until it is done.
        """
        core = self._core
        if self._watched_seqs and core.next_output_seq > min(self._watched_seqs):
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
        self._busy_threads.remove(thread)
        if self._core.has_input and (interrupt is None or self._runtime.has_threads):
            return True
        self._num_turns -= 1
        return False

    def _decode(self, batch: Batch, decode: Decode, outcomes: list[Outcome]) -> None:
        seq = batch.first_seq
        alike = _decoded_alike(batch, decode)
        for (msg, source, cost, _), chunk in zip(batch.entries, alike, strict=False):
            try:
                outcomes.append(ProcessedChunk(seq, decode(msg) if chunk is None else chunk, source, cost))
            except Exception as error:  # noqa: BLE001, RUF100 - whatever a decoder does, the next message is decoded
                outcomes.append(rejection(seq, msg, source, cost, error))
            except BaseException as error:
                # The message is tried once more. If it is the message that interrupts, and not a
                # person, that would go on for ever: the second time it is rejected.
                if seq == self._interrupted_seq:
                    outcomes.append(rejection(seq, msg, source, cost, error))
                self._interrupted_seq = seq
                raise
            seq += 1

    def _new_decoder(self) -> Decode:
        try:
            return self._decoder_factory()
        except Exception as error:  # noqa: BLE001, RUF100 - without a decoder each message is rejected
            cause = error

        def refuse(_msg: ArrowMsg) -> Chunk:
            raise cause

        return refuse

    # Output

    def poll(self) -> list[Outcome]:
        """All outcomes so far, in order, each once; they count as committed or rejected now.

        Never blocks. For an owner that commits nothing of its own; see `take_output`.
        """
        with self._lock:
            outcomes = self._core.hand_over(self._clock())
            wakes = self._settle(()) if outcomes else ()
        for wake in wakes:
            wake()
        return outcomes

    def take_output(self, turns_max: int | None = None) -> list[Outcome]:
        """Outcomes in order, each once; they stay in flight until `acknowledge()`.

        Its owner calls this, commits, and acknowledges under a lock of its own.

        Args:
            turns_max: Take the output of so many turns (`limits.TURN_MSGS_MAX` messages) at most.
        """
        with self._lock:
            outcomes = self._core.hand_over(self._clock(), turns_max)
            if outcomes:
                self._owner_thread = self._runtime.thread_id()
        return outcomes

    def acknowledge(self, refused: Sequence[RejectedMsg] = ()) -> None:
        """Everything taken is committed now, but for the rejections among it and for `refused`.

        Args:
            refused: Chunks that the store refused; make them with `ProcessedChunk.refused`.
        """
        with self._lock:
            wakes = self._settle(refused)
            self._owner_thread = None
        for wake in wakes:
            wake()

    def _settle(self, refused: Sequence[RejectedMsg]) -> Sequence[Callable[[], None]]:
        released = self._core.settle(refused)
        if self._num_waiting:
            self._changed.notify_all()
        return () if self._share is None or not released else self._share.release(released)

    # Waiting and ending

    def wait_processed(self, seq: int | None = None, timeout: float | None = None) -> bool:
        """Wait until all messages up to `seq` (by default all so far) are processed.

        Their outcomes are then in the output, or were taken from it. False if that did not happen
        within `timeout` seconds, or waits for the caller itself.
        """
        deadline = None if timeout is None else self._clock() + timeout
        waited_in_vain = False
        if seq is None:
            seq = self.last_seq
        while True:
            with self._lock:
                if self._core.next_output_seq > seq:
                    return True
                starts = self._core.has_input and self._wants_turn()
                if not starts:
                    if waited_in_vain:
                        return False
                    self._watched_seqs.append(seq)
                    try:
                        waited_in_vain = not self._wait(deadline)
                    finally:
                        self._watched_seqs.remove(seq)
            if starts:
                self._runtime.schedule(self)

    def close(self, timeout: float | None = None) -> None:
        """Take nothing new, and finish what was accepted; the outcomes can still be polled.

        Submitters that wait for room wake up with `WorkerClosedError`.

        Raises:
            FlushTimeoutError: It is not finished after `timeout` seconds, but goes on.
        """
        with self._lock:
            self._is_closed = True
            if self._num_waiting:
                self._changed.notify_all()
        if not self.wait_processed(timeout=timeout):
            left = self.stats().queue_depth
            text = f"{left} messages of {self._store_name} are not decoded after {timeout} s"
            raise FlushTimeoutError(text, store_id=self.store_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def last_seq(self) -> int:
        """The sequence number of the last message accepted; -1 before the first."""
        with self._lock:
            return self._core.accepted - 1

    @property
    def has_output(self) -> bool:
        """Whether `poll()` would give something now."""
        with self._lock:
            return self._core.has_output

    def stats(self) -> IngestionStats:
        """Counts, sizes and latencies of this moment."""
        with self._lock:
            return self._core.stats(self._clock(), is_closed=self._is_closed)

    def rejections(self) -> list[RejectedMsg]:
        """The last settled rejections, oldest first (`limits.REJECTIONS_KEPT_MAX`)."""
        with self._lock:
            return list(self._core.rejections)

    def _wait(self, deadline: float | None) -> bool:
        """Let go of the lock until something changed; False if waiting longer is no use."""
        me = self._runtime.thread_id()
        if me in self._busy_threads or me == self._owner_thread:
            return False  # the caller is what it would wait for
        left = None if deadline is None else deadline - self._clock()
        if left is not None and left <= 0:
            return False
        self._num_waiting += 1
        try:
            return self._changed.wait(left)
        finally:
            self._num_waiting -= 1

    def _wake(self) -> None:
        with self._lock:
            if self._num_waiting:
                self._changed.notify_all()

    def _call(self, callback: Callable[[], object]) -> None:
        try:
            callback()
        except Exception:
            logger.exception("a callback of the worker of %s failed", self._store_name)

    def validate(self) -> None:
        """Check everything that must hold while nobody holds the lock; for tests.

        Raises:
            AssertionError: Naming what does not hold.
        """
        core = self._core
        core.validate()
        held = core.queue_bytes + core.output_bytes
        assert self._share is None or self._share.held_bytes == held, "the hub's budget leaks"
        assert 0 <= self._num_turns <= self._turns_max, "more turns than allowed"
        assert self._num_turns or not core.has_input or self._interrupted_seq >= 0, "stalled"

    @property
    def _store_name(self) -> str:
        return "a store" if self.store_id is None else str(self.store_id)
