"""`IngestionWorker`: turns `ArrowMsg`s into chunks, in order, behind a bounded queue."""

from __future__ import annotations

from collections import deque
from operator import itemgetter
from typing import TYPE_CHECKING, Final, Self

from forebay.errors import FlushTimeoutError, IngestError
from forebay.ingest.adaptive import BudgetStepper
from forebay.ingest.batch_decoder import BatchDecoder, chunk_decoder
from forebay.ingest.blocking import BlockingCalls
from forebay.ingest.bounded_queue import BoundedQueue
from forebay.ingest.core import IngestCore
from forebay.ingest.full_queue import FullQueue
from forebay.ingest.gaps import Peekers
from forebay.ingest.outcomes import message_cost
from forebay.ingest.owner import Owner
from forebay.ingest.policy import PolicyRules
from forebay.ingest.spill_files import SpillFiles
from forebay.ingest.spill_queue import SpillQueue
from forebay.ingest.turns import Turns
from forebay.ingest.validation import validate
from forebay.ingest.waiters import Waiters, wake_all
from forebay.limits import MESSAGE_SIZE_BYTES_MAX, QUEUE_CAPACITY_MSGS, STORE_BUDGET_BYTES
from forebay.runtime import default_runtime, wall_clock_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from forebay.ingest.adaptive import AdaptiveBudget
    from forebay.ingest.budget import ByteBudget
    from forebay.ingest.decoder_pool import Decode
    from forebay.ingest.gaps import Gap
    from forebay.ingest.outcomes import Outcome, RejectedMsg, Rejection
    from forebay.ingest.stats import IngestionStats
    from forebay.model import ArrowMsg, StoreId
    from forebay.runtime import Runtime

_cost_of: Final = itemgetter(1)


class IngestionWorker:
    """Decodes the messages of one store, not on its caller's thread.

    It owns no thread: while there are messages, its runtime runs turns for it; when it is idle or
    dropped, nothing of it is left there. If it is dropped with messages accepted, they are still
    processed, and `on_output` is still called, but their outcomes are lost.

    The outcomes count against the byte budget until they are settled. `poll()` settles what it
    returns. An owner that commits chunks itself calls `take_output()`, commits, then
    `acknowledge()`, and so `stats().committed` counts what is in its store.

    Thread-safe. `on_output` and `on_full` are called without locks, and an exception of theirs is
    logged, not passed on.

    With `has_lanes`, static data goes before queued temporal data: it is processed sooner, so
    outcomes are in order within the static data and within the rest, but not between the two.
    No message passes a barrier (`set_barrier`), and no message waits for ever. Without lanes, which
    is the default, outcomes are in the order of submission.

    The worker is made of objects that share its lock; each says which of its methods are called
    with the lock held. `BoundedQueue` accepts messages, `Turns` runs `BatchDecoder`, `Waiters` and
    `BlockingCalls` wait and wake, `FullQueue` has the policies, `Owner` the callbacks. While the
    lock is held, three other locks may be taken: those of the byte budget, of the gaps and of the
    pool of decoders. The lock of spilling (`SpillQueue.write_lock`) is taken before it. Callbacks
    and `Runtime.schedule` are called without any lock.

    Attributes:
        store_id: The store it works for, for messages to people.
    """

    __slots__ = {
        "__weakref__": "Tests tell by it that a dropped worker is gone.",
        "_blocking": "Calls that wait.",
        "_clock": "Seconds of the runtime's clock.",
        "_core": "What decides: queue, order, budget and counts.",
        "_full_queue": "What a full queue does; `None` while all messages wait for room.",
        "_has_lanes": "Whether static data goes before the rest.",
        "_lock": "Guards all state of the worker.",
        "_owner": "The callbacks of the worker's owner.",
        "_queue": "The core, and the store's share of the hub's budget.",
        "_runtime": "Where turns run, and what waiting and time mean.",
        "_turns": "The task that the runtime runs.",
        "_waiters": "The threads that wait, decode or commit.",
        "_wall_clock": "Nanoseconds since the Unix epoch.",
        "store_id": "See `Attributes`.",
    }

    # What tests exchange.
    _core_type: type[IngestCore] = IngestCore
    _waiters_type: type[Waiters] = Waiters
    _turns_type: type[Turns] = Turns
    _full_queue_type: type[FullQueue] = FullQueue
    _spill_type: type[SpillFiles] = SpillFiles

    def __init__(
        self,
        capacity: int = QUEUE_CAPACITY_MSGS,
        byte_budget: int | AdaptiveBudget = STORE_BUDGET_BYTES,
        *,
        store_id: StoreId | None = None,
        runtime: Runtime | None = None,
        hub_budget: ByteBudget | None = None,
        turns_max: int | None = 1,
        has_lanes: bool = False,
        policies: PolicyRules | None = None,
        message_bytes_max: int = MESSAGE_SIZE_BYTES_MAX,
        on_output: Callable[[], object] | None = None,
        on_full: Callable[[], object] | None = None,
        decoder_factory: Callable[[], Decode] = chunk_decoder,
    ) -> None:
        """Make a worker; nothing runs before the first message.

        Args:
            capacity: Messages that may be accepted and not yet processed, at least 1.
            byte_budget: Bytes of messages and outcomes in flight, at least 1; or bounds within
                which memory and use choose it.
            store_id: The store it works for.
            runtime: Where its turns run; by default the runtime of this process.
            hub_budget: Bytes shared with other workers.
            turns_max: Turns it may have at the same time, on as many threads; `None` leaves it to
                the runtime: several while messages are bulky and processors idle.
            has_lanes: Let static data go before the rest.
            policies: What becomes of a message that finds no room; by default it waits, as
                messages of a blueprint always do.
            message_bytes_max: Bytes of one message as it came; a larger one, or one that claims to
                become more than the hub's budget, is rejected and not decoded.
            on_output: Called after a turn that left new output.
            on_full: Called by a submitter that finds the budget taken by finished output, so
                that its owner can commit it.
            decoder_factory: Makes what turns a message into a chunk, one for each turn at a time.

        Raises:
            ValueError: A bound is less than 1, so that no message would be accepted.
        """
        start_bytes = byte_budget if isinstance(byte_budget, int) else byte_budget.start_bytes
        if capacity < 1 or start_bytes < 1 or (turns_max is not None and turns_max < 1):
            msg = "capacity, byte_budget and turns_max must be at least 1"
            raise ValueError(msg)
        self.store_id = store_id
        self._has_lanes = has_lanes
        self._runtime = runtime = runtime or default_runtime()
        self._clock = clock = runtime.monotonic_s
        self._wall_clock = getattr(runtime, "wall_clock_ns", wall_clock_ns)
        self._core = core = self._core_type(capacity, start_bytes, has_lanes=has_lanes)
        self._owner = owner = Owner(core, store_id, on_output, on_full)
        share = None
        if hub_budget is not None:
            is_urgent = store_id is not None and store_id.is_blueprint
            share = hub_budget.open_share(urgent=is_urgent, reclaim=owner.reclaimer())
        self._queue = queue = BoundedQueue(
            core,
            share,
            runtime,
            store_id=store_id,
            message_bytes_max=message_bytes_max,
            hub_bytes_max=None if hub_budget is None else hub_budget.limit_bytes,
        )
        self._lock = queue.lock
        self._waiters = waiters = self._waiters_type(core, queue.lock, runtime)
        stepper = None if isinstance(byte_budget, int) else BudgetStepper(byte_budget, hub_budget)
        self._turns = turns = self._turns_type(
            queue,
            waiters,
            BatchDecoder(decoder_factory, clock, self._wall_clock),
            owner,
            runtime,
            turns_max=turns_max,
            stepper=stepper,
        )
        self._blocking = BlockingCalls(queue, waiters, turns, owner)
        self._full_queue: FullQueue | None = None
        self.set_policies(policies or PolicyRules())

    def set_policies(self, policies: PolicyRules) -> None:
        """Choose what becomes of messages that find no room from now on.

        A blueprint keeps all its messages, whatever is chosen.
        """
        turns = self._turns
        if turns.priority or (policies.is_blocking and not self._has_lanes):
            self._full_queue = None
            return
        with self._lock:
            if turns.spilled is None:
                turns.spilled = SpillQueue(
                    self._queue, self._waiters, self._runtime, self._spill_type
                )
            spilled = turns.spilled
        self._full_queue = self._full_queue_type(
            policies,
            self._queue,
            self._waiters,
            turns,
            self._blocking,
            owner=self._owner,
            spilled=spilled,
            peekers=Peekers(self._runtime),
        )

    # Submitting

    def submit(self, msg: ArrowMsg, source: object = None, timeout: float | None = None) -> int:
        """Accept a message; if there is no room, wait for it, or do as the policy says.

        Args:
            msg: The message.
            source: What the caller names as its source; the outcome has it.
            timeout: Seconds to wait at most; `None` for as long as it takes.

        Returns:
            Its sequence number: how many messages were accepted before it.

        Raises:
            WorkerClosedError: The worker is or gets closed.
            QueueFullError: No room within `timeout` seconds, or no thread could ever make room.
        """
        try:
            full_queue = self._full_queue  # another thread may exchange it
            if full_queue is not None:
                return full_queue.submit(msg, source, timeout)
            queue = self._queue
            cost = message_cost(msg)
            seq, starts = None, False
            if cost <= queue.cost_max:
                with self._lock:
                    seq = queue.try_accept(msg, source, cost)
                    starts = seq is not None and self._turns.wants()
            if seq is None:
                return self._blocking.submit(queue.checked(msg, source), timeout)
            if starts:
                self._turns.start()
            return seq
        except IngestError:
            raise
        except BaseException:
            self._turns.recover()
            raise

    def submit_many(
        self, msgs: Iterable[ArrowMsg], source: object = None, timeout: float | None = None
    ) -> int:
        """Accept messages in order, for less than one by one.

        If it raises, the messages before the one that found no room are accepted.

        Args:
            msgs: The messages.
            source: What the caller names as their source.
            timeout: Seconds to wait at most, for each message that finds no room.

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
            self._turns.recover()
            raise

    def _submit_all(self, msgs: Iterable[ArrowMsg], source: object, timeout: float | None) -> int:
        queue, turns, core = self._queue, self._turns, self._core
        full_queue = self._full_queue
        if full_queue is not None:
            seq = core.accepted - 1
            for msg in msgs:
                seq = full_queue.submit(msg, source, timeout)
            return seq
        waiting = deque((msg, message_cost(msg)) for msg in msgs)
        if waiting and max(map(_cost_of, waiting)) > queue.cost_max:
            # Rare: one by one, so that those before and after a rejected one keep their order.
            for msg, _ in waiting:
                seq = self._blocking.submit(queue.checked(msg, source), timeout)
            return seq
        while True:
            with self._lock:
                queue.accept_together(waiting, source)
                seq = core.accepted - 1
                while waiting:
                    accepted = queue.try_accept(waiting[0][0], source, waiting[0][1])
                    if accepted is None:
                        break
                    seq = accepted
                    waiting.popleft()
                starts = turns.needs()
            if starts:
                turns.start()
            if not waiting:
                return seq
            msg, _ = waiting.popleft()
            seq = self._blocking.submit(queue.checked(msg, source), timeout)

    def try_submit(self, msg: ArrowMsg, source: object = None) -> bool:
        """Accept a message if there is room now, or the policy can make some; say whether.

        A message that would have to wait, or to be dropped itself, is not accepted or counted.

        Raises:
            WorkerClosedError: The worker is closed.
        """
        try:
            full_queue = self._full_queue
            if full_queue is not None:
                return full_queue.try_submit(msg, source)
            submission = self._queue.checked(msg, source)
            with self._lock:
                accepted = self._queue.try_submit(submission) is not None
                starts = accepted and self._turns.wants()
            if starts:
                self._turns.start()
            return accepted
        except IngestError:
            raise
        except BaseException:
            self._turns.recover()
            raise

    # Output

    def poll(self) -> list[Outcome]:
        """All outcomes so far, in order, each once; they count as committed or rejected now.

        Never blocks. For an owner that commits nothing of its own; see `take_output`.
        """
        with self._lock:
            outcomes = self._core.reorder.hand_over(self._clock())
            wakes = self._settle(()) if outcomes else ()
        wake_all(wakes)
        return outcomes

    def take_output(self, turns_max: int | None = None) -> list[Outcome]:
        """Outcomes in order; they stay in flight until `acknowledge()`.

        Its owner calls this, commits, acknowledges, and whatever happened calls `let_go()`, all
        under a lock of its own. What was not acknowledged, because something interrupted it,
        comes again: the first outcome is that of the place `settled_place`.

        Args:
            turns_max: Take the output of so many turns (`limits.TURN_MSGS_MAX` messages) at most.
        """
        with self._lock:
            outcomes = self._core.reorder.hand_over(self._clock(), turns_max)
            if outcomes:
                self._waiters.owner_thread = self._runtime.thread_id()
        return outcomes

    @property
    def settled_place(self) -> int:
        """How many messages are settled; for the owner, whose `acknowledge` alone changes it."""
        return self._core.reorder.settled_place

    def let_go(self) -> None:
        """The owner commits nothing at this moment."""
        self._waiters.owner_thread = None

    def acknowledge(self, refused: Sequence[RejectedMsg] = ()) -> None:
        """Everything taken is committed now, but for the rejections among it and for `refused`.

        Args:
            refused: Chunks that the store refused; make them with `ProcessedChunk.refused`.
        """
        with self._lock:
            wakes = self._settle(refused)
            self._waiters.owner_thread = None
        wake_all(wakes)

    def _settle(self, refused: Sequence[RejectedMsg]) -> Sequence[Callable[[], None]]:
        core = self._core
        core.settle(refused, self._clock(), self._wall_clock())
        self._waiters.notify()
        wakes = self._queue.release_settled()
        if core.spill_depth and self._turns.spilled is not None:
            self._turns.spilled.waits = False
            wakes = [*wakes, self._turns.resume]
        return wakes

    # Waiting and ending

    def wait_processed(self, seq: int | None = None, timeout: float | None = None) -> bool:
        """Wait until all messages up to `seq` (by default all so far) are processed.

        Their outcomes are then in the output, or were taken from it.

        Args:
            seq: The sequence number of a message.
            timeout: Seconds to wait at most; `None` for as long as it takes.

        Returns:
            False if that did not happen in time, or only the caller could bring it about.
        """
        with self._lock:
            if seq is None:
                seq = self._core.accepted - 1
            if self._core.is_processed(seq):
                return True
        return self._blocking.wait_processed(seq, timeout)

    def close(self, timeout: float | None = None) -> None:
        """Take nothing new, and finish what was accepted; the outcomes can still be polled.

        Submitters that wait for room wake up with `WorkerClosedError`.

        Raises:
            FlushTimeoutError: It is not finished after `timeout` seconds, but goes on.
        """
        with self._lock:
            self._queue.is_closed = True
            self._waiters.notify()
        if not self.wait_processed(timeout=timeout):
            stats = self.stats()
            left = stats.queue_depth + stats.spill_depth
            text = f"{left} messages of {self._queue.store_name} are not decoded after {timeout} s"
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
            return self._core.reorder.has_output

    def stats(self) -> IngestionStats:
        """Counts, sizes and latencies of this moment."""
        with self._lock:
            return self._core.stats(self._clock(), is_closed=self._queue.is_closed)

    def rejections(self) -> list[Rejection]:
        """The settled rejections, also of columns.

        Of very many the first and last `REJECTIONS_KEPT_MAX` halves.
        """
        with self._lock:
            return list(self._core.reorder.rejections)

    @property
    def kept_bytes(self) -> int:
        """About what rejections and gaps take of the process's memory, a moment ago."""
        return self._core.reorder.rejections.held_bytes + self._queue.gaps.held_bytes

    def gaps(self) -> list[Gap]:
        """What policies dropped, oldest first, in bounded memory; counts add up to `dropped`."""
        return self._queue.gaps.gaps()

    def set_barrier(self) -> int:
        """Let nothing submitted from now on be processed before what was submitted already.

        Returns:
            How many outcomes come before it: as many as messages were accepted.
        """
        with self._lock:
            return self._core.set_barrier()

    def latencies(self) -> dict[str, list[float]]:
        """Seconds of the last second's samples by stage, to be summed up over several workers."""
        with self._lock:
            return self._core.counts.latency.values(self._clock())

    def validate(self) -> None:
        """Check everything that must hold while no thread holds the lock; for tests.

        Raises:
            AssertionError: Naming what does not hold.
        """
        share, core = self._queue.share, self._core
        validate(core)
        assert share is None or share.held_bytes == core.in_flight_bytes, "the hub's budget leaks"
        self._turns.validate()
