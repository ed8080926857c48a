"""`Pipeline`: the worker of one store, and the commits of its output, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from forebay.chunk import ConvertedChunk
from forebay.errors import FlushTimeoutError, ForebayError, WorkerClosedError, copy_of
from forebay.hub.commits import Commits
from forebay.hub.reports import Reports, WorkerOutput
from forebay.hub.weak_calls import weakly
from forebay.ingest import (
    NOT_SUBMITTED,
    AdaptiveBudget,
    Gap,
    IngestionStats,
    IngestionWorker,
    Policy,
    PolicyRules,
    RejectedMsg,
    RejectionLog,
    chunk_decoder,
    rejected_columns,
)
from forebay.limits import (
    MESSAGE_SIZE_BYTES_MAX,
    QUEUE_CAPACITY_MSGS,
    STORE_BUDGET_BYTES,
    STORE_COST_BYTES,
)
from forebay.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forebay.chunk import Chunk
    from forebay.hub.guarded_store import GuardedStore
    from forebay.hub.subscribers import Event
    from forebay.ingest import ByteBudget, Decode, RejectedColumn, Rejection
    from forebay.model import ArrowMsg, ChunkId, Contents


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSettings:
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
        message_bytes_max: Bytes of one message as it came.
    """

    capacity: int = QUEUE_CAPACITY_MSGS
    byte_budget: int | AdaptiveBudget = STORE_BUDGET_BYTES
    hub_budget: ByteBudget | None = None
    runtime: Runtime | None = None
    decoder_factory: Callable[[], Decode] = chunk_decoder
    turns_max: int | None = None
    has_lanes: bool = False
    policies: PolicyRules = field(default_factory=PolicyRules)
    message_bytes_max: int = MESSAGE_SIZE_BYTES_MAX


class Pipeline:
    """The worker of one store, made with its first message, and the commit of its output.

    Attributes:
        commits_itself: Commit as soon as the worker has output, on its thread. Otherwise output
            waits for `poll`.
    """

    __slots__ = {
        "__weakref__": "The worker refers to its pipeline weakly.",
        "_commits": "Moves output into the store.",
        "_decode": "The decoder of messages that are added directly.",
        "_direct_lock": "Guards what is counted of messages that are added directly.",
        "_direct_reasons": "Rejections of messages that were added directly, by reason.",
        "_direct_rejections": "These rejections.",
        "_info_bytes": "What the store's info takes.",
        "_is_closed": "Whether the store takes nothing new.",
        "_num_direct": "Messages that were added directly and committed.",
        "_num_direct_columns": "Columns that they lack.",
        "_num_direct_rejected": "Messages that were added directly and rejected.",
        "_policies": "What becomes of messages that find no room.",
        "_reports": "What was committed since the last poll.",
        "_runtime": "Where the worker's turns run.",
        "_settings": "How the worker is made.",
        "_store": "Where chunks go.",
        "_store_id": "Its name.",
        "_worker": "The worker; `None` before the first message.",
        "commits_itself": "See `Attributes`.",
    }

    def __init__(
        self,
        store: GuardedStore,
        settings: PipelineSettings,
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
        budget = settings.byte_budget
        reports_bytes_max = budget if isinstance(budget, int) else budget.ceiling_bytes
        self._reports = Reports(store.store_id, reports_bytes_max)
        self._commits = Commits(store)
        self._is_closed = False
        self._num_direct = 0
        self._num_direct_rejected = 0
        self._num_direct_columns = 0
        self._direct_lock = runtime.lock()
        self._direct_rejections = RejectionLog()
        self._direct_reasons: Counter[str] = Counter()
        self._info_bytes = 0
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
                    message_bytes_max=self._settings.message_bytes_max,
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
            LimitError: A memory limit has no room for it.
            StoreError: The store refuses the chunk.
        """
        self.flush()
        with self._store.order_lock:
            self._check_open()
            decode = self._decode = self._decode or self._settings.decoder_factory()
            try:
                chunk = decode(msg)
            except ForebayError as error:
                self._reject(msg.chunk_id, error)
                raise
            finally:
                if self._settings.hub_budget is not None:
                    self._settings.hub_budget.expansions.end()
            events = self._insert_directly(chunk)
            if type(chunk) is ConvertedChunk:
                self._note_columns(rejected_columns(NOT_SUBMITTED, msg, None, chunk))
        self.settle()
        return events

    def _note_columns(self, columns: Sequence[RejectedColumn]) -> None:
        """Note columns of a committed message that could not be read."""
        with self._direct_lock:
            self._direct_rejections.extend(columns)
            self._num_direct_columns += sum(column.count for column in columns)

    def add_chunk(self, chunk: Chunk) -> list[Event]:
        """Insert a chunk here and now, after everything submitted before it.

        Raises:
            LimitError: A memory limit has no room for it.
            StoreError: The store refuses the chunk.
        """
        self.flush()
        with self._store.order_lock:
            self._check_open()
            events = self._insert_directly(chunk)
        self.settle()
        return events

    def _check_open(self) -> None:
        if self._is_closed:
            msg = f"{self._store_id} is closed and takes nothing new"
            raise WorkerClosedError(msg, store_id=self._store_id)

    def _insert_directly(self, chunk: Chunk) -> list[Event]:
        limit = self._store.full_limit if self._store.has_limits else None
        if limit is not None:
            error = copy_of(limit.refusal)
            error.store_id, error.chunk_id = self._store_id, chunk.id
            self._reject(chunk.id, error)
            raise error
        _, events = self._store.insert(chunk)
        self._num_direct += 1
        return events

    def _reject(self, chunk_id: ChunkId | None, error: ForebayError) -> None:
        """Note a message that never was in the queue; the error itself goes on to the caller."""
        rejected = RejectedMsg(NOT_SUBMITTED, self._store_id, chunk_id, copy_of(error))
        with self._direct_lock:
            self._direct_rejections.extend([rejected])
            self._num_direct_rejected += 1
            self._direct_reasons[rejected.reason] += 1

    def settle(self) -> None:
        """Do what commits entail; called with no lock held."""
        if self._store.has_limits:
            self.note_other_bytes()
        self._store.settle()

    def note_other_bytes(self) -> None:
        """Tell the store, and so its limits, what is held beyond its data."""
        self._store.note_other_bytes(self._other_bytes())

    def _other_bytes(self) -> int:
        size = STORE_COST_BYTES + self._info_bytes + self._direct_rejections.held_bytes
        size += self._reports.held_bytes
        return size if self._worker is None else size + self._worker.kept_bytes

    def note_info(self, info_bytes: int) -> None:
        """What the store says of itself takes so much memory; `settle` comes next."""
        self._info_bytes = info_bytes
        self.note_other_bytes()

    def call_in_order(self, action: Callable[[], None]) -> None:
        """Call `action`, under the order lock, once all submitted so far is in, and no more."""
        with self._store.order_lock:
            if self._worker is not None:
                self._commits.call_at(self._worker.set_barrier(), action)
            else:
                action()

    def poll(self, turns_max: int | None = None) -> list[WorkerOutput]:
        """Commit finished output; report on all that was committed since the last poll."""
        self.commit_finished(turns_max)
        with self._store.order_lock:
            outputs = self._reports.take()
        if outputs:
            self._store.note_other_bytes(self._other_bytes())
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

    def commit_finished(self, turns_max: int | None = None) -> None:
        """Commit finished output now; if the store is polled, reports wait for the next poll.

        Args:
            turns_max: Commit the output of so many turns at most; `None` for all.
        """
        is_done = False
        while not is_done:
            with self._store.order_lock:
                worker = self._worker
                reports = None if self.commits_itself else self._reports
                is_done = worker is None or self._commits.commit(worker, reports, turns_max)
            self.settle()
            turns_max = None if turns_max is None else 0

    @property
    def num_reports_lost(self) -> int:
        """Outputs committed that no poll told of, because none came in time."""
        return self._reports.num_lost

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
            columns_rejected=stats.columns_rejected + self._num_direct_columns,
            rejected_by_reason=dict(Counter(stats.rejected_by_reason) + self._direct_reasons),
        )

    def rejections(self) -> list[Rejection]:
        """Messages and columns that are not part of the store, newest last, each with its cause."""
        rejections = [] if self._worker is None else self._worker.rejections()
        with self._direct_lock:
            return [*self._direct_rejections, *rejections]

    def gaps(self) -> list[Gap]:
        """What policies dropped, oldest first."""
        return [] if self._worker is None else self._worker.gaps()

    def latencies(self) -> dict[str, list[float]]:
        """The last second's samples by stage."""
        return {} if self._worker is None else self._worker.latencies()
