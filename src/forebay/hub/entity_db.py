"""`EntityDb`: one `ChunkStore`, and the worker that feeds it once there is something to feed."""

from __future__ import annotations

import weakref
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias, assert_never

from forebay.chunk import Chunk
from forebay.errors import FlushTimeoutError, ForebayError, StoreError
from forebay.hub.queries import Queries
from forebay.hub.subscribers import Subscribers, Subscription
from forebay.ingest import (
    IngestionStats,
    IngestionWorker,
    Outcome,
    ProcessedChunk,
    RejectedMsg,
    chunk_decoder,
)
from forebay.limits import QUEUE_CAPACITY_MSGS, STORE_BUDGET_BYTES
from forebay.model import (
    ArrowMsg,
    BlueprintActivationCommand,
    ChunkStoreEvent,
    LogMsg,
    SetStoreInfo,
    StoreId,
    StoreInfo,
)
from forebay.runtime import Runtime, default_runtime
from forebay.store import ChunkStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forebay.ingest import ByteBudget, Decode
    from forebay.store import StoreSnapshot

Event: TypeAlias = ChunkStoreEvent[Chunk]
"""One change of one store."""


@dataclass(frozen=True, slots=True)
class WorkerOutput:
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


def _weakly(method: Callable[[], None]) -> Callable[[], None]:
    """`method`, without keeping its object alive: a store that is dropped is gone at once."""
    reference = weakref.WeakMethod(method)

    def call() -> None:
        alive = reference()
        if alive is not None:
            alive()

    return call


class EntityDb(Queries):
    """One store: its info, its chunks, and its lazily created `IngestionWorker`.

    Three locks, taken in this order and never the other way:

    - `_commit_lock` is held by whoever moves finished output into the store, so that commits of
      one store happen in order whoever does them;
    - the hub's lock, when a blueprint's activation comes up in that order;
    - `_store_lock` guards the chunk store itself, for the time of one insertion or one snapshot.

    Queries take the last one alone, and only to get a snapshot.
    """

    def __init__(
        self,
        store_id: StoreId,
        *,
        capacity: int = QUEUE_CAPACITY_MSGS,
        byte_budget: int = STORE_BUDGET_BYTES,
        hub_budget: ByteBudget | None = None,
        runtime: Runtime | None = None,
        commits_itself: bool = False,
        decoder_factory: Callable[[], Decode] = chunk_decoder,
    ) -> None:
        """Make an empty store.

        Args:
            store_id: Its name.
            capacity: Messages that may wait for the worker.
            byte_budget: Bytes that may be in flight, queued and processed together.
            hub_budget: What all stores of a hub share.
            runtime: Where the worker runs.
            commits_itself: Commit as soon as the worker has output, on its thread. Otherwise
                output waits for `poll_worker_output`, as an `App` wants it.
            decoder_factory: Makes what turns a message into a chunk.
        """
        self.store_id = store_id
        self.info: StoreInfo | None = None
        self.data_source: str | None = None
        self._runtime = runtime or default_runtime()
        self._capacity = capacity
        self._byte_budget = byte_budget
        self._hub_budget = hub_budget
        self._commits_itself = commits_itself
        self._commit_lock = self._runtime.rlock()
        self._store_lock = self._runtime.lock()
        self._store = ChunkStore(store_id)
        self._worker: IngestionWorker | None = None
        self._decoder_factory = decoder_factory
        self._decode: Decode | None = None
        self._taken: deque[Outcome] = deque()
        self._refused: list[RejectedMsg] = []
        self._uncollected: list[WorkerOutput] = []
        self._in_order: deque[tuple[int, Callable[[], None]]] = deque()
        self._next_commit_seq = 0
        self._num_direct = 0
        self._subscribers = Subscribers(self._runtime)
        self.hub_subscribers: Subscribers | None = None

    # ---- what comes in -------------------------------------------------------------------

    def submit_arrow_msg(
        self, arrow_msg: ArrowMsg, source: str = "", timeout: float | None = None
    ) -> None:
        """Hand a message to the worker, which is made now if there is none.

        Blocks while the queue or the budget is full. If finished output fills it, that output is
        committed here first, and its events come with the next poll, so a thread that both
        submits and polls never waits for itself.

        Raises:
            QueueFullError: Still full after `timeout` seconds; the message was not taken.
            WorkerClosedError: The store was closed.
        """
        (self._worker or self._start_worker()).submit(arrow_msg, source, timeout)

    def try_submit_arrow_msg(self, arrow_msg: ArrowMsg, source: str = "") -> bool:
        """Hand a message to the worker unless that would block; says whether it was taken."""
        return (self._worker or self._start_worker()).try_submit(arrow_msg, source)

    def submit_arrow_msgs(self, arrow_msgs: Sequence[ArrowMsg], source: str = "") -> None:
        """Hand over several messages in order, for less than one by one; blocks while full."""
        (self._worker or self._start_worker()).submit_many(arrow_msgs, source)

    def add_log_msg(self, msg: LogMsg, source: str = "") -> list[Event]:
        """Take in one message here and now, after everything submitted before it.

        Returns:
            The events of the insertion; none for store info and for activation commands, which
            concern the hub.

        Raises:
            InvalidChunkError: The message cannot be decoded.
            StoreError: The store refuses the chunk.
        """
        match msg:
            case SetStoreInfo():
                self.set_store_info(msg.info, source)
                return []
            case BlueprintActivationCommand():
                return []
            case ArrowMsg():
                self.flush()
                with self._commit_lock:
                    decode = self._decode = self._decode or self._decoder_factory()
                    events = self._insert(decode(msg))
                    self._num_direct += 1
                    self._offer(events)
                self._deliver()
                return events
            case _:
                assert_never(msg)

    def add_chunk(self, chunk: Chunk) -> list[Event]:
        """Insert a chunk that is decoded already, after everything submitted before it."""
        self.flush()
        with self._commit_lock:
            events = self._insert(chunk)
            self._num_direct += 1
            self._offer(events)
        self._deliver()
        return events

    def set_store_info(self, info: StoreInfo, source: str = "") -> None:
        """Overwrite what is known of the store; no event tells of it."""
        self.info = info
        self.set_data_source(source)

    def set_data_source(self, source: str) -> None:
        """Name where the data comes from; the first source wins."""
        if self.data_source is None and source:
            self.data_source = source

    def call_in_order(self, action: Callable[[], None]) -> None:
        """Call `action` once everything submitted so far is committed, and nothing later.

        It is called under the commit lock: by this thread now if nothing is in flight, else by
        whoever commits the last message before it.
        """
        with self._commit_lock:
            if self._worker is not None:
                position = self._worker.last_seq + 1
                if self._next_commit_seq < position:
                    self._in_order.append((position, action))
                    return
            action()

    # ---- from the worker into the store --------------------------------------------------

    def poll_worker_output(self, turns_max: int | None = None) -> list[WorkerOutput]:
        """Commit finished output, and report on all that was committed since the last poll.

        Never waits for the worker. `turns_max` bounds what is committed by this call to the
        output of so many of the worker's turns (`limits.TURN_MSGS_MAX` messages each).
        """
        with self._commit_lock:
            self._commit(turns_max)
            outputs, self._uncollected = self._uncollected, []
        self._deliver()
        return outputs

    def flush(self, timeout: float | None = None) -> None:
        """Return when all that was submitted before is committed.

        Raises:
            FlushTimeoutError: It was not within `timeout` seconds.
        """
        worker = self._worker
        if worker is None:
            return
        in_time = worker.wait_processed(timeout=timeout)
        self._commit_finished()
        if not in_time:
            stats = self.ingestion_stats()
            msg = (
                f"{self.store_id}: {stats.in_flight} of {stats.accepted} messages were still in "
                f"flight after {timeout} s; wait longer, or look at ingestion_stats()"
            )
            raise FlushTimeoutError(msg, store_id=self.store_id)

    def close(self, timeout: float | None = None) -> None:
        """Finish and commit what was accepted, then take nothing new. Queries go on."""
        worker = self._worker or self._start_worker()
        worker.close(timeout)
        self._commit_finished()

    @property
    def commits_itself(self) -> bool:
        """Whether output is committed as soon as there is some, without a poll."""
        return self._commits_itself

    @commits_itself.setter
    def commits_itself(self, value: bool) -> None:
        self._commits_itself = value
        if value:
            self._on_output()

    def _start_worker(self) -> IngestionWorker:
        with self._commit_lock:
            if self._worker is None:
                self._worker = IngestionWorker(
                    self._capacity,
                    self._byte_budget,
                    store_id=self.store_id,
                    runtime=self._runtime,
                    hub_budget=self._hub_budget,
                    on_output=_weakly(self._on_output),
                    on_full=_weakly(self._commit_finished),
                    decoder_factory=self._decoder_factory,
                )
            return self._worker

    def _on_output(self) -> None:
        if self._commits_itself:
            self._commit_finished()

    def _commit_finished(self) -> None:
        """Commit now; reports wait for the next poll, if anybody is to poll."""
        with self._commit_lock:
            self._commit()
        self._deliver()

    def _commit(self, turns_max: int | None = None) -> None:
        """Move output into the store; the caller holds the commit lock.

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
            outcome = self._taken[0]
            self._call_due(outcome.seq)
            output = self._commit_one(outcome)
            if not self._commits_itself:
                self._uncollected.append(output)
            self._next_commit_seq = outcome.seq + 1
            self._taken.popleft()
        self._call_due(self._next_commit_seq)
        refused, self._refused = self._refused, []
        worker.acknowledge(refused)

    def _commit_one(self, outcome: Outcome) -> WorkerOutput:
        was_empty = self._store.is_empty
        match outcome:
            case RejectedMsg():
                return WorkerOutput(None, was_empty, outcome.error)
            case ProcessedChunk():
                try:
                    events = self._insert(outcome.chunk)
                except ForebayError as error:
                    self._refused.append(outcome.refused(self.store_id, error))
                    return WorkerOutput(outcome.chunk, was_empty, error)
                self._offer(events)
                return WorkerOutput(outcome.chunk, was_empty, events)
            case _:
                assert_never(outcome)

    def _insert(self, chunk: Chunk) -> list[Event]:
        try:
            with self._store_lock:
                return self._store.insert(chunk)
        except ForebayError:
            raise
        except Exception as error:
            # Whatever a chunk does to the store's code, the next one must still get its turn.
            msg = f"{self.store_id}: inserting {chunk.id} failed: {error!r}"
            raise StoreError(msg, store_id=self.store_id, chunk_id=chunk.id) from error

    def _call_due(self, position: int) -> None:
        while self._in_order and self._in_order[0][0] <= position:
            self._in_order.popleft()[1]()

    # ---- who listens, and what there is --------------------------------------------------

    def subscribe(self, callback: Callable[[Event], object]) -> Callable[[], None]:
        """Call `callback` with every event from now on, once each and in commit order.

        It is called on a thread of the runtime (natively), so a slow one delays nobody; one that
        raises is logged and goes on with the next event.

        Returns:
            A function that ends the subscription.
        """
        return self._subscribers.add(callback)

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """Who listens, with their errors."""
        return self._subscribers.subscriptions

    def _offer(self, events: list[Event]) -> None:
        self._subscribers.offer(events)
        if self.hub_subscribers is not None:
            self.hub_subscribers.offer(events)

    def _deliver(self) -> None:
        self._subscribers.deliver()
        if self.hub_subscribers is not None:
            self.hub_subscribers.deliver()

    def ingestion_stats(self) -> IngestionStats:
        """Counts, depths, bytes and latencies of this store's ingestion."""
        if self._worker is None:
            stats = IngestionStats(capacity=self._capacity, byte_budget=self._byte_budget)
        else:
            stats = self._worker.stats()
        direct = self._num_direct
        return replace(stats, accepted=stats.accepted + direct, committed=stats.committed + direct)

    def rejections(self) -> list[RejectedMsg]:
        """Messages that could not become part of the store, newest last, each with its cause."""
        return [] if self._worker is None else self._worker.rejections()

    def snapshot(self) -> StoreSnapshot:
        """All data as it is now: one generation, unchanged by whatever comes later."""
        with self._store_lock:
            return self._store.snapshot()

    def clone_with_new_id(self, store_id: StoreId) -> EntityDb:
        """A store of another name with the same data. What is in flight, and the worker, stay."""
        clone = EntityDb(
            store_id,
            capacity=self._capacity,
            byte_budget=self._byte_budget,
            hub_budget=self._hub_budget,
            runtime=self._runtime,
            commits_itself=self._commits_itself,
            decoder_factory=self._decoder_factory,
        )
        with self._store_lock:
            clone._store = self._store.copy(store_id)
        if self.info is not None:
            clone.info = SetStoreInfo(self.info).with_store_id(store_id).info
        clone.data_source = self.data_source
        return clone

    def __copy__(self) -> EntityDb:
        return self.clone_with_new_id(self.store_id)

    def __deepcopy__(self, memo: dict[int, object]) -> EntityDb:
        # Chunks are immutable: a copy that shares them is as deep as one can tell.
        return self.clone_with_new_id(self.store_id)

    def __repr__(self) -> str:
        return f"EntityDb({self.store_id}, {self.num_chunks} chunks, {self.num_rows} rows)"
