"""`Inlet`: all ways into a store, and word of what became of what came."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, assert_never

from forebay.model import (
    ArrowMsg,
    BlueprintActivationCommand,
    LogMsg,
    SetStoreInfo,
    StoreId,
    StoreInfo,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forebay.chunk import Chunk
    from forebay.hub.guarded_store import Event
    from forebay.hub.inflow import Inflow
    from forebay.hub.reports import WorkerOutput
    from forebay.ingest import Gap, IngestionStats, Policy, Rejection
    from forebay.runtime import Runtime
    from forebay.store import Contents

logger = logging.getLogger(__name__)


class Inlet:
    """What a store takes in: messages for its worker, or here and now, and what it says of itself.

    Attributes:
        store_id: The store's name.
        info: What it says of itself, once it did.
        data_source: Where its first message came from.
    """

    def __init__(self, store_id: StoreId, inflow: Inflow, runtime: Runtime) -> None:
        """Let in what `inflow` takes."""
        self.store_id = store_id
        self.info: StoreInfo | None = None
        self.data_source: str | None = None
        self._inflow = inflow
        self._source_lock = runtime.lock()
        self._has_strangers = False

    # What comes in

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
        self._inflow.worker.submit(arrow_msg, source, timeout)

    def try_submit_arrow_msg(self, arrow_msg: ArrowMsg, source: str = "") -> bool:
        """Hand a message to the worker unless that would block; says whether it was taken."""
        self._check_type_and_store(arrow_msg)
        return self._inflow.worker.try_submit(arrow_msg, source)

    def submit_arrow_msgs(self, arrow_msgs: Sequence[ArrowMsg], source: str = "") -> None:
        """Hand over several messages in order, for less than one by one; blocks while full.

        Raises as `submit_arrow_msg`.
        """
        last: StoreId | None = None
        for arrow_msg in arrow_msgs:
            if getattr(arrow_msg, "store_id", None) is not last:
                self._check_type_and_store(arrow_msg)
                last = arrow_msg.store_id
        self._inflow.worker.submit_many(arrow_msgs, source)

    def _check_type_and_store(self, msg: object) -> None:
        if not isinstance(msg, ArrowMsg):
            text = f"an ArrowMsg is submitted, not {msg!r:.80}; a hub's receive_log_msg takes all"
            raise TypeError(text)
        if (
            msg.store_id is not self.store_id
            and msg.store_id != self.store_id
            and not self._has_strangers
        ):
            self._has_strangers = True
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
                return self._inflow.add(msg)
            case _:
                assert_never(msg)

    def add_chunk(self, chunk: Chunk) -> list[Event]:
        """Insert a chunk that is decoded already, after everything submitted before it."""
        return self._inflow.add_chunk(chunk)

    def set_store_info(self, info: StoreInfo, source: str = "") -> None:
        """Overwrite what is known of the store; no event tells of it."""
        self.info = info
        self.set_data_source(source)

    def set_data_source(self, source: str) -> None:
        """Name where the data comes from; the first source wins."""
        if self.data_source is None and source:
            with self._source_lock:
                self.data_source = self.data_source or source

    def call_in_order(self, action: Callable[[], None]) -> None:
        """Call `action` once everything submitted so far is committed, and nothing later.

        It is called by this thread now if nothing is in flight, else by whoever commits the last
        message before it; commits of this store wait for it.
        """
        self._inflow.call_in_order(action)

    def poll_worker_output(self, turns_max: int | None = None) -> list[WorkerOutput]:
        """Commit finished output, and report on all that was committed since the last poll.

        Never waits for the worker. `turns_max` bounds what is committed by this call to the
        output of so many of the worker's turns (`limits.TURN_MSGS_MAX` messages each).
        """
        return self._inflow.poll(turns_max)

    def position(self) -> int:
        """The number of the last message submitted, for `wait_processed`; -1 before the first."""
        return self._inflow.position()

    def wait_processed(self, position: int) -> None:
        """Return when everything up to that position was decoded, so that its bytes are free."""
        self._inflow.wait_processed(position)

    def flush(self, timeout: float | None = None) -> None:
        """Return when all that was submitted before is committed.

        Raises:
            FlushTimeoutError: It was not within `timeout` seconds.
        """
        self._inflow.flush(timeout)

    def close(self, timeout: float | None = None) -> None:
        """Finish and commit what was accepted, then take nothing new. Queries go on."""
        self._inflow.close(timeout)

    @property
    def commits_itself(self) -> bool:
        """Whether output is committed as soon as there is some, without a poll."""
        return self._inflow.commits_itself

    @commits_itself.setter
    def commits_itself(self, value: bool) -> None:
        self._inflow.commits_itself = value
        self._inflow.on_output()

    # What becomes of it

    def ingestion_stats(self) -> IngestionStats:
        """Counts, depths, bytes and latencies of this store's ingestion."""
        return self._inflow.stats()

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
        self._inflow.set_policy(policy, contents)

    def gaps(self) -> list[Gap]:
        """What policies dropped: entity, times as far as known, count and place, oldest first.

        Kept in bounded memory: the oldest gaps are merged, and no count is lost.
        """
        return self._inflow.gaps()

    def latencies(self) -> dict[str, list[float]]:
        """Seconds that the last second's samples took, by stage of `ingestion_stats().latency`."""
        return self._inflow.latencies()

    def rejections(self) -> list[Rejection]:
        """Messages that could not become part of the store, newest last, each with its cause.

        Among them are single columns (`RejectedColumn`) of messages that did without them.

        All are counted (`ingestion_stats()`); of more than `limits.REJECTIONS_KEPT_MAX` the first
        and the last ones are kept one by one, a half of that number each.
        """
        return self._inflow.rejections()
