"""`EntityDb`: one store, what is submitted to it, and what it can be asked."""

from __future__ import annotations

import logging
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, assert_never

from forebay.hub.guarded_store import GuardedStore
from forebay.hub.pipeline import Pipeline, PipelineSettings
from forebay.hub.queries import Queries
from forebay.hub.subscribers import Event
from forebay.limits import INFO_COST_BYTES, STORE_LIMITS
from forebay.model import (
    ArrowMsg,
    BlueprintActivationCommand,
    LogMsg,
    SetStoreInfo,
    StoreId,
    StoreInfo,
)
from forebay.runtime import default_runtime
from forebay.store import ChunkStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forebay.chunk import Chunk
    from forebay.hub.memory import MemoryLimit
    from forebay.hub.reports import WorkerOutput
    from forebay.hub.subscribers import Subscribers, Subscription
    from forebay.ingest import Gap, IngestionStats, Policy, Rejection
    from forebay.limits import StoreLimits
    from forebay.model import Contents, TimeLike
    from forebay.store import StoreSnapshot

logger = logging.getLogger(__name__)


class EntityDb(Queries):
    """One store: its info, its chunks, and its lazily created `IngestionWorker`.

    Attributes:
        store_id: Its name.
        info: What it says of itself, once it did.
        data_source: Where its first message came from.
    """

    def __init__(
        self,
        store_id: StoreId,
        *,
        memory_limit: int | None = None,
        commits_itself: bool = False,
        store: ChunkStore | None = None,
        policy: Policy | str | None = None,
        limits: StoreLimits = STORE_LIMITS,
        **settings: Any,
    ) -> None:
        """Make an empty store.

        Args:
            store_id: Its name.
            memory_limit: Bytes of memory that the store may take (`held_bytes`); over it the
                oldest rows are collected, but never static data nor the latest values. If these
                alone take it, further messages are rejected. `None` holds everything.
            commits_itself: Commit as soon as the worker has output, on its thread. Otherwise
                output waits for `poll_worker_output`, as an `App` wants it.
            store: What it holds already.
            policy: What becomes of messages that find no room, for example `drop_oldest`; by
                default the submitter waits. `set_policy` makes exceptions.
            limits: How much structure senders may build up in it.
            settings: Those of `PipelineSettings`: `capacity`, `byte_budget`, `runtime`, ….
        """
        self._settings = PipelineSettings(**settings)
        runtime = self._settings.runtime or default_runtime()
        self._limits = limits
        store = store or ChunkStore(store_id, limits)
        self._store = GuardedStore(store, runtime, memory_limit)
        if policy is not None:
            chosen = self._settings.policies.with_policy(policy)
            self._settings = replace(self._settings, policies=chosen)
        self._pipeline = Pipeline(
            self._store, self._settings, runtime, commits_itself=commits_itself
        )
        self.store_id = store_id
        self.info: StoreInfo | None = None
        self.data_source: str | None = None
        self._source_lock = runtime.lock()
        self._has_warned_of_store = False

    def join_hub(self, subscribers: Subscribers, limit: MemoryLimit | None) -> None:
        """Become one of a hub's stores: its subscribers hear of events, its limit of bytes."""
        self._store.join_hub(subscribers, limit)

    def leave_hub(self) -> None:
        """Count for the hub's memory limit no more."""
        self._store.leave_hub()

    @property
    def memory_limit(self) -> int | None:
        """Bytes of memory that data may take (`held_bytes`), or `None` for everything."""
        return self._store.memory_limit

    @memory_limit.setter
    def memory_limit(self, value: int | None) -> None:
        self._store.set_memory_limit(value)
        self._store.settle()

    # Submitting

    def submit_arrow_msg(
        self, arrow_msg: ArrowMsg, source: str = "", timeout: float | None = None
    ) -> None:
        """Hand a message to the worker, which is made now if there is none.

        A message that names another store becomes data of this one; the log says so, once.

        Blocks while the queue or the budget is full. If finished output fills it, that output is
        committed here first, and its events come with the next poll, so a thread that both
        submits and polls never waits for itself.

        Raises:
            QueueFullError: Still full after `timeout` seconds; the message was not taken.
            TypeError: It is no `ArrowMsg`.
            WorkerClosedError: The store was closed.
        """
        self._check_type_and_store(arrow_msg)
        self._pipeline.worker.submit(arrow_msg, source, timeout)

    def try_submit_arrow_msg(self, arrow_msg: ArrowMsg, source: str = "") -> bool:
        """Hand a message to the worker unless that would block; says whether it was taken."""
        self._check_type_and_store(arrow_msg)
        return self._pipeline.worker.try_submit(arrow_msg, source)

    def submit_arrow_msgs(self, arrow_msgs: Sequence[ArrowMsg], source: str = "") -> None:
        """Hand over several messages in order, for less than one by one; blocks while full.

        Raises as `submit_arrow_msg`.
        """
        last: StoreId | None = None
        for arrow_msg in arrow_msgs:
            if getattr(arrow_msg, "store_id", None) is not last:
                self._check_type_and_store(arrow_msg)
                last = arrow_msg.store_id
        self._pipeline.worker.submit_many(arrow_msgs, source)

    def _check_type_and_store(self, msg: object) -> None:
        if not isinstance(msg, ArrowMsg):
            text = f"an ArrowMsg is submitted, not {msg!r:.80}; a hub's receive_log_msg takes all"
            raise TypeError(text)
        if (
            msg.store_id is not self.store_id
            and msg.store_id != self.store_id
            and not self._has_warned_of_store
        ):
            self._has_warned_of_store = True
            logger.warning(
                "%s was given a message of %s and takes it as its own, as it will others: "
                "hub.receive_log_msg() hands each message to the store that it names",
                self.store_id,
                msg.store_id,
            )

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
                self._check_type_and_store(msg)
                return self._pipeline.add(msg)
            case _:
                assert_never(msg)

    def add_chunk(self, chunk: Chunk) -> list[Event]:
        """Insert a chunk that is decoded already, after everything submitted before it."""
        return self._pipeline.add_chunk(chunk)

    def set_store_info(self, info: StoreInfo, source: str = "") -> None:
        """Overwrite what is known of the store; no event tells of it."""
        self.info = info
        self._pipeline.note_info(_info_bytes(info))
        self._pipeline.settle()
        self.set_data_source(source)

    def set_data_source(self, source: str) -> None:
        """Name where the data comes from; the first source wins."""
        if self.data_source is None and source:
            with self._source_lock:
                self.data_source = self.data_source or source

    def call_in_order(self, action: Callable[[], None]) -> None:
        """Call `action` once everything submitted so far is committed, and nothing later.

        It is called by this thread now if nothing is in flight, else by the thread that commits the
        last message before it; commits of this store wait for it.
        """
        self._pipeline.call_in_order(action)

    def poll_worker_output(self, turns_max: int | None = None) -> list[WorkerOutput]:
        """Commit finished output, and report on all that was committed since the last poll.

        Never waits for the worker. `turns_max` bounds what is committed by this call to the
        output of so many of the worker's turns (`limits.TURN_MSGS_MAX` messages each).
        """
        return self._pipeline.poll(turns_max)

    def position(self) -> int:
        """The number of the last message submitted, for `wait_processed`; -1 before the first."""
        return self._pipeline.position()

    def wait_processed(self, position: int) -> None:
        """Return when everything up to that position was decoded, so that its bytes are free."""
        self._pipeline.wait_processed(position)

    def flush(self, timeout: float | None = None) -> None:
        """Return when all that was submitted before is committed.

        Raises:
            FlushTimeoutError: It was not within `timeout` seconds.
        """
        self._pipeline.flush(timeout)

    def close(self, timeout: float | None = None) -> None:
        """Finish and commit what was accepted, then take nothing new. Queries go on."""
        self._pipeline.close(timeout)

    @property
    def commits_itself(self) -> bool:
        """Whether output is committed as soon as there is some, without a poll."""
        return self._pipeline.commits_itself

    @commits_itself.setter
    def commits_itself(self, value: bool) -> None:
        self._pipeline.commits_itself = value
        self._pipeline.on_output()

    # What becomes of messages

    def ingestion_stats(self) -> IngestionStats:
        """Counts, depths, bytes and latencies of this store's ingestion."""
        return self._pipeline.stats()

    def set_policy(self, policy: Policy | str, contents: Contents = None) -> None:
        """Choose what becomes of messages that find no room from now on.

        Static data and blueprints are never dropped.

        Args:
            policy: A policy, or its name: `block`, `deadline(20)`, `drop_newest`, `drop_oldest`,
                `latest_wins`, `spill`.
            contents: For these entities only; a later exception comes before an earlier one.

        Raises:
            ExpressionError: `contents` is not valid.
            ValueError: There is no such policy.
        """
        self._pipeline.set_policy(policy, contents)

    def gaps(self) -> list[Gap]:
        """What policies dropped: entity, times as far as known, count and place, oldest first.

        Kept in bounded memory: the oldest gaps are merged, and no count is lost.
        """
        return self._pipeline.gaps()

    def latencies(self) -> dict[str, list[float]]:
        """Seconds that the last second's samples took, by stage of `ingestion_stats().latency`."""
        return self._pipeline.latencies()

    def rejections(self) -> list[Rejection]:
        """Messages that could not become part of the store, newest last, each with its cause.

        Among them are single columns (`RejectedColumn`) of messages that did without them.

        All are counted (`ingestion_stats()`); of more than `limits.REJECTIONS_KEPT_MAX` the first
        and the last ones are kept one by one, a half of that number each.
        """
        return self._pipeline.rejections()

    # Removing data

    def gc(
        self, bytes_to_free: int | None = None, *, time_budget_s: float | None = None
    ) -> list[Event]:
        """Collect garbage: the oldest rows go first, static data and latest values stay.

        Readers and commits get their turns in between. Subscribers hear of it; so does the caller.

        Args:
            bytes_to_free: Stop once so much is free; `None` drops all that may go.
            time_budget_s: Stop after so long; the next call goes on.
        """
        return self._store.gc(bytes_to_free, time_budget_s=time_budget_s)

    def drop_entity(self, entity: str) -> list[Event]:
        """Drop all data of one entity; what lies below it stays.

        Raises:
            UnknownEntityError: There is no such entity.
        """
        return self._store.drop_entity(entity)

    def drop_time_range(self, timeline: str, start: TimeLike, end: TimeLike) -> list[Event]:
        """Drop all rows with a time in `[start, end]` on a timeline; static data stays.

        Raises:
            UnknownTimelineError, TimeTypeError
        """
        return self._store.drop_time_range(timeline, start, end)

    # Subscribers, sizes and snapshots

    def subscribe(self, callback: Callable[[Event], object]) -> Callable[[], None]:
        """Call `callback` with every event from now on, once each and in commit order.

        It is called on a thread of the runtime (natively), so a slow one does not delay commits;
        one that raises is logged and goes on with the next event.

        Returns:
            A function that ends the subscription.
        """
        return self._store.subscribers.add(callback)

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """Who listens, with their errors."""
        return self._store.subscribers.subscriptions

    @property
    def byte_size(self) -> int:
        """Bytes of data held, each buffer counted once."""
        return self._store.byte_size

    @property
    def held_bytes(self) -> int:
        """About what the store takes of the process's memory.

        That is `byte_size`, the objects around the data, which for chunks of a few rows cost more
        than it, and what else a sender can make grow: info, rejections, gaps and reports.
        """
        self._pipeline.note_other_bytes()
        return self._store.held_bytes

    def shrink(self, held_bytes_max: int) -> list[Event]:
        """Collect garbage, as `gc`, until `held_bytes` is no more than that."""
        return self._store.shrink(held_bytes_max)

    def snapshot(self) -> StoreSnapshot:
        """All data as it is now: one generation, unchanged by whatever comes later."""
        return self._store.snapshot()

    def clone_with_new_id(self, store_id: StoreId) -> EntityDb:
        """A store of another name with the same data. What is in flight, and the worker, stay."""
        settings = {
            field.name: getattr(self._settings, field.name) for field in fields(self._settings)
        }
        settings["policies"] = self._pipeline.policies
        clone = EntityDb(
            store_id,
            memory_limit=self.memory_limit,
            commits_itself=self.commits_itself,
            store=self._store.copy(store_id),
            limits=self._limits,
            **settings,
        )
        if self.info is not None:
            clone.info = SetStoreInfo(self.info).with_store_id(store_id).info
            clone._pipeline.note_info(_info_bytes(clone.info))
        clone.data_source = self.data_source
        return clone

    def __copy__(self) -> EntityDb:
        return self.clone_with_new_id(self.store_id)

    def __deepcopy__(self, memo: dict[int, object]) -> EntityDb:
        # Chunks are immutable: a copy that shares them is as deep as one can tell.
        return self.clone_with_new_id(self.store_id)

    def __repr__(self) -> str:
        return f"EntityDb({self.store_id}, {self.num_chunks} chunks, {self.num_rows} rows)"


def _info_bytes(info: StoreInfo) -> int:
    """About what an info takes of the process's memory."""
    store_id, source = info.store_id, info.source
    extra = 0 if source is None else len(source.extra)
    return INFO_COST_BYTES + len(store_id.application_id) + len(store_id.recording_id) + extra
