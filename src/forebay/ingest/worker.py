"""`IngestionWorker`: turns `ArrowMsg`s into chunks, in order, behind a bounded queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from forebay.errors import FlushTimeoutError
from forebay.ingest.admission import Admission
from forebay.ingest.batch_decoder import chunk_decoder
from forebay.ingest.turns import Turns
from forebay.limits import MESSAGE_SIZE_BYTES_MAX, QUEUE_CAPACITY_MSGS, STORE_BUDGET_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forebay.ingest.adaptive import AdaptiveBudget
    from forebay.ingest.batch_decoder import Decode
    from forebay.ingest.budget import ByteBudget
    from forebay.ingest.gaps import Gap
    from forebay.ingest.outcomes import Outcome, RejectedMsg, Rejection
    from forebay.ingest.policy import PolicyRules
    from forebay.ingest.stats import IngestionStats
    from forebay.model import StoreId
    from forebay.runtime import Runtime


class IngestionWorker(Admission, Turns):
    """Decodes the messages of one store off its caller's thread.

    It owns no thread: while there are messages, it takes turns in its runtime; when idle or
    dropped, nothing of it is left there. Whoever drops it with messages accepted drops only their
    outcomes: they are still processed, and `on_output` still hears of it.

    The outcomes count against the byte budget until they are settled. `poll()` settles what it
    hands out. An owner that commits chunks itself calls `take_output()`, commits, then
    `acknowledge()`, and so `stats().committed` counts what is in its store.

    All methods are safe from any thread. `on_output` and `on_full` are called without locks, and
    an exception of theirs is logged, not passed on.

    With `has_lanes`, static data goes before queued temporal data: it is processed sooner, so
    outcomes are in order within the static data and within the rest, but no longer between the
    two. A barrier (`set_barrier`) is passed by nothing, and nothing starves. Without it, which is
    the default, outcomes are in the order of submission.

    Attributes:
        store_id: The store it works for, for messages to people.
        priority: 1 for a blueprint, whose turns and bytes come before those of others; else 0.
    """

    __slots__ = ()

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
            capacity: Messages accepted and not yet processed.
            byte_budget: Bytes of messages and outcomes in flight, or bounds to choose it within.
            store_id: The store it works for.
            runtime: Where it takes its turns; by default this process's.
            hub_budget: Bytes shared with other workers.
            turns_max: Turns it may have at the same time, on as many threads; `None` leaves it to
                the runtime: several while messages are bulky and processors idle.
            has_lanes: Let static data go before the rest.
            policies: What becomes of a message that finds no room; by default it waits.
            message_bytes_max: Bytes of one message as it came; a larger one, or one that claims to
                become more than the hub's budget, is rejected unread.
            on_output: Called after a turn that left new output.
            on_full: Called by a submitter that finds the budget taken by finished output, so
                that its owner can commit it.
            decoder_factory: Makes what turns a message into a chunk, one for each turn at a time.

        Raises:
            ValueError: A bound that would let nothing in.
        """
        super().__init__(
            capacity,
            byte_budget,
            store_id=store_id,
            runtime=runtime,
            hub_budget=hub_budget,
            turns_max=turns_max,
            has_lanes=has_lanes,
            policies=policies,
            message_bytes_max=message_bytes_max,
            on_output=on_output,
            on_full=on_full,
            decoder_factory=decoder_factory,
        )

    # Output

    def poll(self) -> list[Outcome]:
        """All outcomes so far, in order, each once; they count as committed or rejected now.

        Never blocks. For an owner that commits nothing of its own; see `take_output`.
        """
        with self._lock:
            outcomes = self._core.reorder.hand_over(self._clock())
            wakes = self._settle(()) if outcomes else ()
        self._wake_all(wakes)
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
                self._owner_thread = self._runtime.thread_id()
        return outcomes

    @property
    def settled_place(self) -> int:
        """How many messages are settled; for the owner, whose `acknowledge` alone changes it."""
        return self._core.reorder.settled_place

    def let_go(self) -> None:
        """The owner commits nothing at this moment."""
        self._owner_thread = None

    def acknowledge(self, refused: Sequence[RejectedMsg] = ()) -> None:
        """Everything taken is committed now, but for the rejections among it and for `refused`.

        Args:
            refused: Chunks that the store refused; make them with `ProcessedChunk.refused`.
        """
        with self._lock:
            wakes = self._settle(refused)
            self._owner_thread = None
        self._wake_all(wakes)

    def _settle(self, refused: Sequence[RejectedMsg]) -> Sequence[Callable[[], None]]:
        core = self._core
        core.settle(refused, self._clock(), self._wall_clock())
        self._notify()
        wakes = self._release_settled()
        if core.spill_depth:
            self._spill_waits = False
            wakes = [*wakes, self._resume]
        return wakes

    # Waiting and ending

    def wait_processed(self, seq: int | None = None, timeout: float | None = None) -> bool:
        """Wait until all messages up to `seq` (by default all so far) are processed.

        Their outcomes are then in the output, or were taken from it. False if that did not happen
        within `timeout` seconds, or waits for the caller itself.
        """
        deadline = None if timeout is None else self._clock() + timeout
        waited_in_vain = False
        offered_place = asked = -1
        if seq is None:
            seq = self.last_seq
        while True:
            offers, outputs = False, None
            if deadline is None:
                with self._lock:
                    if self._core.is_processed(seq):
                        return True
                self._help()
            with self._lock:
                core = self._core
                if core.is_processed(seq):
                    return True
                starts = self._needs_turn()
                if not starts:
                    # What is on disk comes back only as finished output makes room for it.
                    place = core.reorder.next_place
                    offers = (
                        core.spill_depth > 0 and core.reorder.has_output and offered_place != place
                    ) and self._on_full is not None
                    offered_place = place
                    outputs = None if offers else self._outputs_unasked(asked)
                    asked = asked if outputs is None else outputs
                if not starts and not offers and outputs is None:
                    if waited_in_vain:
                        return False
                    self._watched_seqs.append(seq)
                    try:
                        waited_in_vain = not self._wait(deadline)
                    finally:
                        self._watched_seqs.remove(seq)
            if starts:
                self._start_turn()
            if offers and self._on_full is not None:
                self._call(self._on_full)
            if outputs is not None:
                self._reclaim_from_others()

    def _help(self) -> None:
        """Run a turn that waits for a thread: the caller has nothing better to do, and no hurry."""
        me = self._runtime.thread_id()
        if me not in self._busy_threads and me != self._owner_thread:
            self._runtime.run_waiting(self)

    def close(self, timeout: float | None = None) -> None:
        """Take nothing new, and finish what was accepted; the outcomes can still be polled.

        Submitters that wait for room wake up with `WorkerClosedError`.

        Raises:
            FlushTimeoutError: It is not finished after `timeout` seconds, but goes on.
        """
        with self._lock:
            self._is_closed = True
            self._notify()
        if not self.wait_processed(timeout=timeout):
            stats = self.stats()
            left = stats.queue_depth + stats.spill_depth
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
            return self._core.reorder.has_output

    def stats(self) -> IngestionStats:
        """Counts, sizes and latencies of this moment."""
        with self._lock:
            return self._core.stats(self._clock(), is_closed=self._is_closed)

    def rejections(self) -> list[Rejection]:
        """The settled rejections, also of columns.

        Of very many the first and last `REJECTIONS_KEPT_MAX` halves.
        """
        with self._lock:
            return list(self._core.reorder.rejections)

    @property
    def kept_bytes(self) -> int:
        """About what rejections and gaps take of the process's memory, a moment ago."""
        return self._core.reorder.rejections.held_bytes + self._gaps.held_bytes

    def gaps(self) -> list[Gap]:
        """What policies dropped, oldest first, in bounded memory; counts add up to `dropped`."""
        return self._gaps.gaps()

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
        """Check everything that must hold while nobody holds the lock; for tests.

        Raises:
            AssertionError: Naming what does not hold.
        """
        core = self._core
        core.validate()
        held = core.in_flight_bytes
        assert self._share is None or self._share.held_bytes == held, "the hub's budget leaks"
        most = self._turns_max
        assert self._num_turns >= 0, "a turn ended twice"
        assert most is None or self._num_turns <= most, "more turns than allowed"
        assert self._num_turns or not core.has_input or self._batch_decoder.interrupted_seq >= 0, (
            "stalled"
        )
