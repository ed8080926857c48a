"""`Inflow`: what is on its way into one store, and the order in which it gets there."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, assert_never

from forebay.chunk import Chunk
from forebay.errors import FlushTimeoutError, ForebayError
from forebay.hub.guarded_store import Event, GuardedStore
from forebay.ingest import (
    IngestionStats,
    IngestionWorker,
    Outcome,
    ProcessedChunk,
    RejectedMsg,
    chunk_decoder,
)
from forebay.limits import (
    COMMIT_BYTES_MAX,
    COMMIT_CHUNKS_MAX,
    QUEUE_CAPACITY_MSGS,
    STORE_BUDGET_BYTES,
)
from forebay.runtime import Runtime

if TYPE_CHECKING:
    from forebay.ingest import ByteBudget, Decode
    from forebay.model import ArrowMsg


@dataclass(frozen=True, slots=True, kw_only=True)
class InflowSettings:
    """How messages get into a store.

    Attributes:
        capacity: Messages that may wait for the worker.
        byte_budget: Bytes that may be in flight, queued and processed together.
        hub_budget: What all stores of a hub share.
        runtime: Where the worker runs.
        decoder_factory: Makes what turns a message into a chunk.
    """

    capacity: int = QUEUE_CAPACITY_MSGS
    byte_budget: int = STORE_BUDGET_BYTES
    hub_budget: ByteBudget | None = None
    runtime: Runtime | None = None
    decoder_factory: Callable[[], Decode] = chunk_decoder


class WorkerOutput(NamedTuple):
    """What became of one submitted message.

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
    """

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
        self._taken: deque[Outcome] = deque()
        self._refused: list[RejectedMsg] = []
        self._reports: list[WorkerOutput] = []
        self._in_order: deque[tuple[int, Callable[[], None]]] = deque()
        self._next_commit_seq = 0
        self._num_direct = 0

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
                )
            return self._worker

    def add(self, msg: ArrowMsg) -> list[Event]:
        """Decode and insert a message here and now, after everything submitted before it.

        Raises:
            InvalidChunkError: It cannot be decoded.
            StoreError: The store refuses the chunk.
        """
        self.flush()
        with self._store.order_lock:
            decode = self._decode = self._decode or self._settings.decoder_factory()
            return self._insert_directly(decode(msg))

    def add_chunk(self, chunk: Chunk) -> list[Event]:
        """Insert a chunk here and now, after everything submitted before it."""
        self.flush()
        return self._insert_directly(chunk)

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
                position = self._worker.last_seq + 1
                if self._next_commit_seq < position:
                    self._in_order.append((position, action))
                    return
            action()

    def poll(self, turns_max: int | None = None) -> list[WorkerOutput]:
        """Commit finished output; report on all that was committed since the last poll."""
        with self._store.order_lock:
            self._commit(turns_max)
            outputs, self._reports = self._reports, []
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

        What is taken from the worker stays in `_taken` until it is in the store: after a Ctrl-C in
        the middle, the next commit goes on where this one stopped.
        """
        worker = self._worker
        if worker is None:
            return
        self._taken.extend(worker.take_output(turns_max))
        if not self._taken:
            return
        while self._taken:
            if self.commits_itself:
                self._commit_unheard()
                if not self._taken:
                    break
            outcome = self._taken[0]
            self._call_due(outcome.seq)
            report = self._commit_one(outcome)
            if not self.commits_itself:
                self._reports.append(report)
            self._next_commit_seq = outcome.seq + 1
            self._taken.popleft()
        self._call_due(self._next_commit_seq)
        refused, self._refused = self._refused, []
        worker.acknowledge(refused)

    def _commit_unheard(self) -> None:
        """Commit chunks of which nobody wants to know more than that they are in.

        It ends at whatever else has to be seen to, also at a chunk that the store refuses.
        """
        try:
            self._store.insert_unheard(self._chunks_taken())
        except ForebayError as error:
            outcome = self._taken.popleft()
            assert isinstance(outcome, ProcessedChunk)  # noqa: S101, RUF100 - see `_chunks_taken`
            error.chunk_id = outcome.chunk.id
            self._refused.append(outcome.refused(self._store_id, error))
            self._next_commit_seq += 1

    def _chunks_taken(self) -> Iterator[Chunk]:
        taken = self._taken
        due = self._in_order[0][0] if self._in_order else None
        for _ in range(COMMIT_CHUNKS_MAX):
            if not taken or self._next_commit_seq == due:
                return
            outcome = taken[0]
            if type(outcome) is not ProcessedChunk:
                return
            yield outcome.chunk
            taken.popleft()
            self._next_commit_seq += 1
            if outcome.size_bytes > COMMIT_BYTES_MAX:
                return

    def _commit_one(self, outcome: Outcome) -> WorkerOutput:
        match outcome:
            case RejectedMsg():
                return WorkerOutput(None, self._next_commit_seq == 0, outcome.error)
            case ProcessedChunk():
                try:
                    was_empty, events = self._store.insert(outcome.chunk)
                except ForebayError as error:
                    self._refused.append(outcome.refused(self._store_id, error))
                    return WorkerOutput(outcome.chunk, self._next_commit_seq == 0, error)
                return WorkerOutput(outcome.chunk, was_empty, events)
            case _:
                assert_never(outcome)

    def _call_due(self, position: int) -> None:
        while self._in_order and self._in_order[0][0] <= position:
            self._in_order.popleft()[1]()

    def stats(self) -> IngestionStats:
        """Counts, depths, bytes and latencies."""
        if self._worker is None:
            settings = self._settings
            stats = IngestionStats(capacity=settings.capacity, byte_budget=settings.byte_budget)
        else:
            stats = self._worker.stats()
        direct = self._num_direct
        return replace(stats, accepted=stats.accepted + direct, committed=stats.committed + direct)

    def rejections(self) -> list[RejectedMsg]:
        """Messages that could not become part of the store, newest last, each with its cause."""
        return [] if self._worker is None else self._worker.rejections()


def weakly(method: Callable[[], None]) -> Callable[[], None]:
    """`method`, without keeping its object alive: a store that is dropped is gone at once."""
    reference = weakref.WeakMethod(method)

    def call() -> None:
        alive = reference()
        if alive is not None:
            alive()

    return call
