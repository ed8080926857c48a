"""`Inflow`: what is on its way into one store, and the order in which it gets there."""

from __future__ import annotations

import logging
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, assert_never

from forebay.chunk import Chunk, PackedChunk
from forebay.errors import (
    FlushTimeoutError,
    ForebayError,
    MessageDroppedError,
    WorkerClosedError,
)
from forebay.hub.guarded_store import Event, GuardedStore
from forebay.ingest import (
    AdaptiveBudget,
    DroppedMsg,
    Gap,
    IngestionStats,
    IngestionWorker,
    Outcome,
    Policy,
    PolicyRules,
    ProcessedChunk,
    RejectedMsg,
    chunk_decoder,
)
from forebay.limits import (
    COMMIT_BYTES_MAX,
    COMMIT_CHUNKS_MAX,
    COMMIT_ROWS_MAX,
    QUEUE_CAPACITY_MSGS,
    REJECTIONS_KEPT_MAX,
    REPORTS_KEPT_MAX,
    STORE_BUDGET_BYTES,
)
from forebay.runtime import Runtime

if TYPE_CHECKING:
    from forebay.ingest import ByteBudget, Decode
    from forebay.model import ArrowMsg, StoreId
    from forebay.store import Contents

logger = logging.getLogger("forebay")

NOT_SUBMITTED = -1
"""The sequence number of a rejection that never was in the worker's queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InflowSettings:
    """How messages get into a store.

    Attributes:
        capacity: Messages that may wait for the worker.
        byte_budget: Bytes that may be in flight, queued and processed together; or bounds within
            which memory and use choose them.
        hub_budget: What all stores of a hub share.
        runtime: Where the worker runs.
        decoder_factory: Makes what turns a message into a chunk.
        turns_max: Threads that may decode for the store at once; `None` leaves it to the runtime:
            several while messages are bulky and processors idle. The order is kept.
        has_lanes: Static data goes before queued temporal data.
        policies: What becomes of messages that find no room.
    """

    capacity: int = QUEUE_CAPACITY_MSGS
    byte_budget: int | AdaptiveBudget = STORE_BUDGET_BYTES
    hub_budget: ByteBudget | None = None
    runtime: Runtime | None = None
    decoder_factory: Callable[[], Decode] = chunk_decoder
    turns_max: int | None = None
    has_lanes: bool = False
    policies: PolicyRules = field(default_factory=PolicyRules)


class WorkerOutput(NamedTuple):
    """What became of one submitted message (of several in a row, if a policy dropped them).

    Attributes:
        chunk: The chunk as it was processed; `None` if the message could not be decoded.
        was_empty: Whether the store held nothing before.
        result: The events of the insertion (none if the store knew the chunk already), or the
            error that refused the message.
    """

    chunk: Chunk | None
    was_empty: bool
    result: list[Event] | ForebayError


class Inflow:
    """The worker of one store, made with its first message, and the commit of its output.

    Attributes:
        commits_itself: Commit as soon as the worker has output, on its thread. Otherwise output
            waits for `poll`.
        num_reports_lost: Outputs committed that no poll told of, because none came in time.
    """

    __slots__ = (
        "__weakref__",
        "_decode",
        "_direct_rejections",
        "_in_order",
        "_is_closed",
        "_next_commit_place",
        "_num_direct",
        "_num_direct_rejected",
        "_policies",
        "_refused",
        "_reports",
        "_reports_bytes",
        "_reports_bytes_max",
        "_runtime",
        "_settings",
        "_store",
        "_store_id",
        "_worker",
        "commits_itself",
        "num_reports_lost",
    )

    def __init__(
        self,
        store: GuardedStore,
        settings: InflowSettings,
        runtime: Runtime,
        *,
        commits_itself: bool,
    ) -> None:
        """Make it without a worker."""
        self.commits_itself = commits_itself
        self._store = store
        self._store_id = store.store_id
        self._settings = settings
        self._runtime = runtime
        self._worker: IngestionWorker | None = None
        self._decode: Decode | None = None
        self._refused: dict[int, RejectedMsg] = {}
        self._reports: deque[tuple[WorkerOutput, int]] | None = None
        self._reports_bytes = 0
        budget = settings.byte_budget
        self._reports_bytes_max = budget if isinstance(budget, int) else budget.ceiling_bytes
        self.num_reports_lost = 0
        self._in_order: list[tuple[int, Callable[[], None]]] = []
        self._next_commit_place = 0
        self._is_closed = False
        self._num_direct = 0
        self._num_direct_rejected = 0
        # Replaced and never changed, so that it can be read without the lock.
        self._direct_rejections: tuple[RejectedMsg, ...] = ()
        self._policies = settings.policies

    @property
    def worker(self) -> IngestionWorker:
        """The worker, made now if there is none."""
        return self._worker or self._start_worker()

    def _start_worker(self) -> IngestionWorker:
        with self._store.order_lock:
            if self._worker is None:
                self._worker = IngestionWorker(
                    self._settings.capacity,
                    self._settings.byte_budget,
                    store_id=self._store_id,
                    runtime=self._runtime,
                    hub_budget=self._settings.hub_budget,
                    on_output=weakly(self.on_output),
                    on_full=weakly(self.commit_finished),
                    decoder_factory=self._settings.decoder_factory,
                    turns_max=self._settings.turns_max,
                    has_lanes=self._settings.has_lanes,
                    policies=self._policies,
                )
            return self._worker

    def set_policy(self, policy: Policy | str, contents: Contents) -> None:
        """Choose what becomes of messages that find no room from now on."""
        with self._store.order_lock:
            self._policies = self._policies.with_policy(policy, contents)
            if self._worker is not None:
                self._worker.set_policies(self._policies)

    @property
    def policies(self) -> PolicyRules:
        """What becomes of messages that find no room."""
        return self._policies

    def add(self, msg: ArrowMsg) -> list[Event]:
        """Decode and insert a message here and now, after everything submitted before it.

        Raises:
            InvalidChunkError: It cannot be decoded.
            StoreError: The store refuses the chunk.
        """
        self.flush()
        with self._store.order_lock:
            self._check_open()
            decode = self._decode = self._decode or self._settings.decoder_factory()
            try:
                chunk = decode(msg)
            except ForebayError as error:
                rejected = RejectedMsg(NOT_SUBMITTED, self._store_id, msg.chunk_id, error)
                self._direct_rejections = _with_rejection(self._direct_rejections, rejected)
                self._num_direct_rejected += 1
                raise
            return self._insert_directly(chunk)

    def add_chunk(self, chunk: Chunk) -> list[Event]:
        """Insert a chunk here and now, after everything submitted before it."""
        self.flush()
        with self._store.order_lock:
            self._check_open()
            return self._insert_directly(chunk)

    def _check_open(self) -> None:
        if self._is_closed:
            msg = f"{self._store_id} is closed and takes nothing new"
            raise WorkerClosedError(msg, store_id=self._store_id)

    def _insert_directly(self, chunk: Chunk) -> list[Event]:
        with self._store.order_lock:
            _, events = self._store.insert(chunk)
            self._num_direct += 1
        self._store.settle()
        return events

    def call_in_order(self, action: Callable[[], None]) -> None:
        """Call `action`, under the order lock, once all submitted so far is in, and no more."""
        with self._store.order_lock:
            if self._worker is not None:
                position = self._worker.set_barrier()
                if self._next_commit_place < position:
                    self._in_order.append((position, action))
                    return
            action()

    def poll(self, turns_max: int | None = None) -> list[WorkerOutput]:
        """Commit finished output; report on all that was committed since the last poll."""
        with self._store.order_lock:
            self._commit(turns_max)
            outputs = [report for report, _ in self._reports or ()]
            self._reports, self._reports_bytes = None, 0
        self._store.settle()
        return outputs

    def position(self) -> int:
        """The number of the last message submitted, for `wait_processed`; -1 before the first."""
        return -1 if self._worker is None else self._worker.last_seq

    def wait_processed(self, position: int) -> None:
        """Return when everything up to that position was decoded, committed or not."""
        if self._worker is not None:
            self._worker.wait_processed(position)

    def flush(self, timeout: float | None = None) -> None:
        """Return when all that was submitted before is committed.

        Raises:
            FlushTimeoutError: It was not within `timeout` seconds.
        """
        worker = self._worker
        if worker is None:
            return
        in_time = worker.wait_processed(timeout=timeout)
        self.commit_finished()
        if not in_time:
            stats = self.stats()
            msg = (
                f"{self._store_id}: {stats.in_flight} of {stats.accepted} messages were still in "
                f"flight after {timeout} s; wait longer, or look at ingestion_stats()"
            )
            raise FlushTimeoutError(msg, store_id=self._store_id)

    def close(self, timeout: float | None = None) -> None:
        """Finish and commit what was accepted, then take nothing new."""
        self._is_closed = True
        self.worker.close(timeout)
        self.commit_finished()

    def on_output(self) -> None:
        """The worker has output: commit it, or leave it to a poll."""
        if self.commits_itself:
            self.commit_finished()

    def commit_finished(self) -> None:
        """Commit now; reports wait for the next poll, if anybody is to poll."""
        with self._store.order_lock:
            self._commit()
        self._store.settle()

    def _commit(self, turns_max: int | None = None) -> None:
        """Move output into the store; the caller holds the order lock.

        The worker gives what is not acknowledged again: after a Ctrl-C in the middle, the next
        commit goes on where this one stopped. What was inserted, but not counted yet, is inserted
        once more, and the store knows it.
        """
        worker = self._worker
        if worker is None:
            return
        try:
            taken = deque(worker.take_output(turns_max))
            if taken:
                self._skip_committed(taken, worker.settled_place)
                self._commit_all(taken)
                worker.acknowledge(tuple(self._refused.values()))
                self._refused = {}
        finally:
            worker.let_go()

    def _skip_committed(self, taken: deque[Outcome], place: int) -> None:
        while taken and place < self._next_commit_place:
            place += _num_places(taken.popleft())

    def _commit_all(self, taken: deque[Outcome]) -> None:
        while taken:
            if self.commits_itself and self._commit_unheard(taken):
                continue
            outcome = taken[0]
            self._call_due(self._next_commit_place)
            report = self._commit_one(outcome)
            if not self.commits_itself:
                self._keep_report(report, outcome.size_bytes)
            self._next_commit_place += _num_places(outcome)
            taken.popleft()
        self._call_due(self._next_commit_place)

    def _commit_unheard(self, taken: deque[Outcome]) -> bool:
        """Commit chunks of which nobody wants to know more than that they are in.

        It ends at whatever else has to be seen to, also at a chunk that the store refuses.

        Returns:
            Whether there was anything to be committed so.
        """
        before = len(taken)
        while len(rows := self._rows_of(taken)) > 1 and self._store.insert_rows_unheard(rows):
            self._next_commit_place += len(rows)
            for _ in rows:
                taken.popleft()
        try:
            self._store.insert_unheard(self._chunks_of(taken))
        except ForebayError as error:
            outcome = taken.popleft()
            assert isinstance(outcome, ProcessedChunk)  # noqa: S101, RUF100 - see `_chunks_of`
            error.chunk_id = outcome.chunk.id
            self._refused[outcome.seq] = outcome.refused(self._store_id, error)
            self._next_commit_place += 1
        return len(taken) < before

    def _rows_of(self, taken: deque[Outcome]) -> list[PackedChunk]:
        """The packed rows that come first, up to whatever has to be seen to between them."""
        rows: list[PackedChunk] = []
        count = COMMIT_ROWS_MAX
        if self._in_order:
            count = min(count, self._in_order[0][0] - self._next_commit_place)
        for outcome in islice(taken, max(0, count)):
            chunk = outcome.chunk if type(outcome) is ProcessedChunk else None
            if type(chunk) is not PackedChunk:
                break
            rows.append(chunk)
        return rows

    def _chunks_of(self, taken: deque[Outcome]) -> Iterator[Chunk]:
        due = self._in_order[0][0] if self._in_order else None
        for number in range(COMMIT_CHUNKS_MAX):
            if not taken or self._next_commit_place == due:
                return
            outcome = taken[0]
            if type(outcome) is not ProcessedChunk:
                return
            chunk = outcome.chunk
            if number and type(chunk) is PackedChunk:
                return  # There may be more of them, which cost less together.
            yield chunk
            self._next_commit_place += 1
            taken.popleft()
            if outcome.size_bytes > COMMIT_BYTES_MAX:
                return

    def _keep_report(self, report: WorkerOutput, size_bytes: int) -> None:
        """Keep a report for the next poll; if nobody ever polls, the oldest ones go.

        The data itself is in the store: what is lost is word of it, which is worth less than the
        memory of a process that never asks. Chunks that the store took over cost nothing here;
        those that it knew already, or refused, live on in their reports alone.
        """
        if isinstance(report.result, list) and report.result:
            size_bytes = 0
        reports = self._reports
        if reports is None:
            reports = self._reports = deque()
        reports.append((report, size_bytes))
        self._reports_bytes += size_bytes
        while len(reports) > REPORTS_KEPT_MAX or (
            self._reports_bytes > self._reports_bytes_max and len(reports) > 1
        ):
            _, forgotten_bytes = reports.popleft()
            self._reports_bytes -= forgotten_bytes
            if not self.num_reports_lost:
                logger.warning(
                    "%s: nobody polls for what was committed, so the oldest reports are dropped; "
                    "call poll_worker_output(), or let the store commit by itself",
                    self._store_id,
                )
            self.num_reports_lost += 1

    def _commit_one(self, outcome: Outcome) -> WorkerOutput:
        match outcome:
            case RejectedMsg():
                return WorkerOutput(None, self._next_commit_place == 0, outcome.error)
            case DroppedMsg():
                error = _dropped(self._store_id, outcome.count, outcome.reason)
                return WorkerOutput(None, self._next_commit_place == 0, error)
            case ProcessedChunk():
                try:
                    was_empty, events = self._store.insert(outcome.chunk)
                except ForebayError as refusal:
                    self._refused[outcome.seq] = outcome.refused(self._store_id, refusal)
                    return WorkerOutput(outcome.chunk, self._next_commit_place == 0, refusal)
                return WorkerOutput(outcome.chunk, was_empty, events)
            case _:
                assert_never(outcome)

    def _call_due(self, position: int) -> None:
        waiting = self._in_order
        while waiting and waiting[0][0] <= position:
            try:
                waiting[0][1]()
            except Exception:
                del waiting[0]
                raise
            del waiting[0]  # not before: a Ctrl-C must not lose an activation

    def stats(self) -> IngestionStats:
        """Counts, depths, bytes and latencies."""
        if self._worker is None:
            settings = self._settings
            budget = settings.byte_budget
            start_bytes = budget if isinstance(budget, int) else budget.start_bytes
            stats = IngestionStats(capacity=settings.capacity, byte_budget=start_bytes)
        else:
            stats = self._worker.stats()
        direct, refused = self._num_direct, self._num_direct_rejected
        return replace(
            stats,
            accepted=stats.accepted + direct + refused,
            committed=stats.committed + direct,
            rejected=stats.rejected + refused,
        )

    def rejections(self) -> list[RejectedMsg]:
        """Messages that could not become part of the store, newest last, each with its cause."""
        rejections = [] if self._worker is None else self._worker.rejections()
        return [*self._direct_rejections, *rejections]

    def gaps(self) -> list[Gap]:
        """What policies dropped, oldest first."""
        return [] if self._worker is None else self._worker.gaps()

    def latencies(self) -> dict[str, list[float]]:
        """The last second's samples by stage."""
        return {} if self._worker is None else self._worker.latencies()


def _num_places(outcome: Outcome) -> int:
    return outcome.count if type(outcome) is DroppedMsg else 1


def _with_rejection(
    kept: tuple[RejectedMsg, ...], rejected: RejectedMsg
) -> tuple[RejectedMsg, ...]:
    """The first rejections and the last, as a worker keeps them."""
    if len(kept) < REJECTIONS_KEPT_MAX:
        return (*kept, rejected)
    half = REJECTIONS_KEPT_MAX // 2
    return (*kept[:half], *kept[half + 1 :], rejected)


def _dropped(store_id: StoreId, count: int, reason: str) -> MessageDroppedError:
    text = f"{count} messages of {store_id} were dropped ({reason}); gaps() tells which"
    return MessageDroppedError(text, count=count, store_id=store_id)


def weakly(method: Callable[[], None]) -> Callable[[], None]:
    """`method`, without keeping its object alive: a store that is dropped is gone at once."""
    return _WeakCall(weakref.ref(method.__self__), method.__func__)  # type: ignore[attr-defined]


class _WeakCall:
    """A third of the memory of a `weakref.WeakMethod` in a closure; each store has two."""

    __slots__ = ("_function", "_owner")

    def __init__(self, owner: weakref.ref[object], function: Callable[[object], object]) -> None:
        self._owner = owner
        self._function = function

    def __call__(self) -> None:
        owner = self._owner()
        if owner is not None:
            self._function(owner)
