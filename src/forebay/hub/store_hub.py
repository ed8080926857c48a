"""`StoreHub`: every store there is, and the way of each message to its own."""

from __future__ import annotations

import logging
import weakref
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Never, Protocol

from forebay.errors import LimitError
from forebay.hub.entity_db import EntityDb
from forebay.hub.memory import MemoryLimit
from forebay.hub.refusals import Refusals
from forebay.hub.store_set import StoreSet
from forebay.hub.subscribers import Event, Subscribers
from forebay.ingest import (
    ByteBudget,
    DecoderPool,
    HubIngestionStats,
    PolicyRules,
    chunk_decoder,
    total,
)
from forebay.limits import (
    HUB_BUDGET_BYTES,
    MEMORY_IN_FLIGHT_SHARE,
    MEMORY_IN_FLIGHT_STORE_BYTES_MIN,
    MEMORY_IN_FLIGHT_STORE_SHARE,
    MESSAGE_SIZE_BYTES_MAX,
    MIB,
    QUEUE_CAPACITY_MSGS,
    STORE_BUDGET_BYTES,
    STORE_LIMITS,
)
from forebay.model import (
    ArrowMsg,
    BlueprintActivationCommand,
    LogMsg,
    SetStoreInfo,
    StoreId,
    StoreKind,
)
from forebay.model.sizes import Size, to_bytes
from forebay.runtime import Runtime, default_runtime
from forebay.store import dataframes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pyarrow as pa

    from forebay.ingest import AdaptiveBudget, Decode, Policy, RejectedMsg
    from forebay.limits import StoreLimits
    from forebay.model import Contents

logger = logging.getLogger("forebay")


class HoldsBytes(Protocol):
    """Something that takes memory."""

    @property
    def held_bytes(self) -> int:
        """About how much."""
        ...


class StoreHub(StoreSet):
    """All stores, by id.

    Messages given to `receive_log_msg` go to their store's worker and are committed as soon as
    they are processed. An `App` on the hub changes the second half: then its loop commits.
    """

    def __init__(
        self,
        *,
        capacity: int = QUEUE_CAPACITY_MSGS,
        store_budget: int | AdaptiveBudget = STORE_BUDGET_BYTES,
        hub_budget: Size = HUB_BUDGET_BYTES,
        store_memory_limit: Size | None = None,
        memory_limit: Size | None = None,
        policy: Policy | str = "block",
        has_lanes: bool = False,
        turns_max: int | None = None,
        message_bytes_max: Size = MESSAGE_SIZE_BYTES_MAX,
        limits: StoreLimits = STORE_LIMITS,
        runtime: Runtime | None = None,
        decoder_factory: Callable[[], Decode] = chunk_decoder,
    ) -> None:
        """Make an empty hub.

        Args:
            capacity: Messages that may wait for each store's worker.
            store_budget: Bytes that may be in flight for one store; or bounds, within which free
                memory, the number of busy stores and what is drained choose them.
            hub_budget: Bytes that may be in flight for all stores together, what compressed
                messages claim to become included; never more, and a message that alone is larger
                is rejected. As number, or as text such as `"2GB"`, like all sizes here.
            store_memory_limit: Bytes of memory that each recording may take (see `EntityDb`).
            memory_limit: The same for all stores together; over it, the largest recordings give
                up their oldest rows until all are level. If what may not be dropped takes it all,
                further messages are rejected. Of what it allows, one part in
                `limits.MEMORY_IN_FLIGHT_SHARE` may be in flight, whatever `hub_budget` says, and
                one in `limits.MEMORY_IN_FLIGHT_STORE_SHARE` (or one message) for each store.
            policy: What becomes of messages that find no room (see `set_policy`).
            has_lanes: In each store, static data goes before queued temporal data.
            turns_max: Threads that may decode for one store at once; `None` for as many as pay.
            message_bytes_max: Bytes of one message as it came; a larger one, or one that claims to
                become more than `hub_budget`, is rejected unread.
            limits: How much structure senders may build up: stores, entities, columns, names.
                What is over one is rejected with a `LimitError`.
            runtime: Where workers run; natively, threads.
            decoder_factory: Makes what turns a message into a chunk, one for each turn at a time of
                a store; the default ones are shared by stores in turns.

        Raises:
            ValueError: A size is none, or below one byte.
        """
        self.runtime = runtime = runtime or default_runtime()
        super().__init__(runtime, limits)
        self._capacity = capacity
        memory_bytes = None if memory_limit is None else to_bytes(memory_limit)
        budget_bytes = to_bytes(hub_budget)
        if memory_bytes is not None:
            budget_bytes = min(budget_bytes, max(MIB, memory_bytes // MEMORY_IN_FLIGHT_SHARE))
            store_budget = _within(store_budget, memory_bytes // MEMORY_IN_FLIGHT_STORE_SHARE)
        self._store_budget = store_budget
        self._budget = ByteBudget(budget_bytes, runtime=self.runtime)
        self._decoder_factory = (
            DecoderPool(partial(chunk_decoder, limits, self._budget.expansions), self.runtime)
            if decoder_factory is chunk_decoder
            else decoder_factory
        )
        self._policies = PolicyRules().with_policy(policy)
        self._pipeline_settings: dict[str, Any] = {
            "has_lanes": has_lanes,
            "turns_max": turns_max,
            "message_bytes_max": to_bytes(message_bytes_max, most=MESSAGE_SIZE_BYTES_MAX),
        }
        self._store_memory_limit = (
            None if store_memory_limit is None else to_bytes(store_memory_limit)
        )
        self._refusals = Refusals(self.runtime)
        self._memory: MemoryLimit | None = None
        if memory_bytes is not None:
            self._memory = MemoryLimit(memory_bytes, self.runtime)
            budget = self._budget
            self._memory.count_also(lambda: budget.used_bytes_about, in_flight=True)
            self.count_in_memory(self._refusals)
        self._commits_itself = True
        self._subscribers = Subscribers(self.runtime)

    def _new_db(self, store_id: StoreId) -> EntityDb:
        return EntityDb(
            store_id,
            capacity=self._capacity,
            byte_budget=self._store_budget,
            memory_limit=self._store_memory_limit if store_id.is_recording else None,
            hub_budget=self._budget,
            runtime=self.runtime,
            commits_itself=self._commits_itself,
            decoder_factory=self._decoder_factory,
            policies=self._policies,
            limits=self._limits,
            **self._pipeline_settings,
        )

    def _join(self, db: EntityDb) -> None:
        db.join_hub(self._subscribers, self._memory)

    def _leave(self, db: EntityDb) -> None:
        db.leave_hub()

    # ---- memory --------------------------------------------------------------------------

    @property
    def memory_limit(self) -> int | None:
        """Bytes of memory that all stores together may take, or `None` for everything."""
        return None if self._memory is None else self._memory.limit_bytes

    @property
    def held_bytes(self) -> int:
        """About what all stores take of the process's memory."""
        return sum(db.held_bytes for db in self.entity_dbs()) + self._refusals.held_bytes

    def count_in_memory(self, holder: HoldsBytes) -> None:
        """Let something that lives with the hub, such as a server's relay, count for its limit.

        Args:
            holder: Whose `held_bytes` count, which has to cost next to nothing. It is not kept
                alive.
        """
        if self._memory is not None:
            known = weakref.ref(holder)

            def held_bytes() -> int:
                alive = known()
                return 0 if alive is None else alive.held_bytes

            self._memory.count_also(held_bytes)

    def _check_memory(self, msg: ArrowMsg | SetStoreInfo) -> None:
        """See that the memory limit has room for a message that makes a store, or for an info.

        Raises:
            LimitError: It has none.
        """
        memory = self._memory
        if memory is None or (type(msg) is ArrowMsg and msg.store_id in self._dbs):
            return  # its store refuses it, at its place
        # What makes a store waits for a collection that is due: stores are not dropped by one.
        memory.enforce()
        if memory.is_full:
            raise memory.refusal

    # ---- messages ------------------------------------------------------------------------

    def receive_log_msg(self, msg: LogMsg, source: str = "") -> None:
        """Send one message on its way to its store; blocks while that store is full.

        A message that would exceed one of the hub's limits is refused: it belongs to no store, so
        the hub counts it (`refused_by_limit`, `refusals`).

        Raises:
            WorkerClosedError: The store was closed.
        """
        try:
            match msg:
                case ArrowMsg():
                    if self._memory is not None:
                        self._check_memory(msg)
                    self.entity_db(msg.store_id, source).submit_arrow_msg(msg, source)
                case SetStoreInfo():
                    self._check_memory(msg)
                    self._receive_info(msg, source)
                case BlueprintActivationCommand():
                    self._receive_activation(msg, source)
                case _:
                    _refuse_as_message(msg)
        except LimitError as error:
            self._refusals.note([msg], error, source)

    def _receive_info(self, msg: SetStoreInfo, source: str) -> None:
        said = msg.info.source
        size_max = self._limits.info_bytes_max
        if said is not None and len(said.extra) > size_max:
            what = f"a store info of {len(said.extra):,} bytes"
            raise LimitError.over("info_bytes_max", size_max, what)
        self.entity_db(msg.store_id, source).set_store_info(msg.info, source)

    def receive_log_msgs(self, msgs: Sequence[LogMsg], source: str = "") -> None:
        """The same for many messages, for less than one by one.

        Each store gets its messages in order; chunks of several stores may change places.
        """
        waiting: dict[StoreId, list[ArrowMsg]] = {}
        last_id: StoreId | None = None
        last: list[ArrowMsg] = []
        for msg in msgs:
            if type(msg) is ArrowMsg:
                if msg.store_id is not last_id:  # Hashing an id costs more than all the rest here.
                    last_id = msg.store_id
                    last = waiting.setdefault(last_id, [])
                last.append(msg)
            else:
                last_id = None
                self._submit(waiting.pop(msg.store_id, []), source)
                self.receive_log_msg(msg, source)
        for arrow_msgs in waiting.values():
            self._submit(arrow_msgs, source)

    def _submit(self, arrow_msgs: list[ArrowMsg], source: str) -> None:
        if not arrow_msgs:
            return
        try:
            self._check_memory(arrow_msgs[0])
            db = self.entity_db(arrow_msgs[0].store_id, source)
        except LimitError as error:
            self._refusals.note(arrow_msgs, error, source)
            return
        db.submit_arrow_msgs(arrow_msgs, source)

    def _receive_activation(self, command: BlueprintActivationCommand, source: str) -> None:
        db = self.entity_db(command.blueprint_id, source)
        if command.blueprint_id.kind is StoreKind.RECORDING:
            logger.warning("ignored a blueprint activation for the %s", command.blueprint_id)
            return
        if db.info is None:
            logger.warning(
                "%s is to be activated, but nothing has announced it (no SetStoreInfo came)",
                command.blueprint_id,
            )
            return
        db.call_in_order(lambda: self._activate(db, command))

    def _activate(self, db: EntityDb, command: BlueprintActivationCommand) -> None:
        with self._lock:
            if self._dbs.get(db.store_id) is not db:
                return  # removed while its last chunks were on their way
            if command.make_default:
                self._active.set_default(db.store_id)
            if command.make_active:
                try:
                    self._activate_clone(db)
                except LimitError as error:
                    self._refusals.note([command], error, db.data_source)

    # ---- all stores at once --------------------------------------------------------------

    @property
    def commits_itself(self) -> bool:
        """Whether output is committed as soon as there is some, without an `App`'s loop."""
        return self._commits_itself

    @commits_itself.setter
    def commits_itself(self, value: bool) -> None:
        with self._lock:
            self._commits_itself = value
        for db in self.entity_dbs():
            db.commits_itself = value

    def subscribe(self, callback: Callable[[Event], object]) -> Callable[[], None]:
        """Call `callback` with every event of every store, each store's in commit order.

        Returns:
            A function that ends the subscription.
        """
        return self._subscribers.add(callback)

    def dataframe(self, index: str | None, contents: Contents = "/**", **options: Any) -> pa.Table:
        """The dataframes of all recordings, one below the other, with whose row it is in front.

        The first column is `rerun_recording_id`; see `EntityDb.dataframe` for the rest.
        Recordings of one id, of several applications, all have their rows.
        """
        snapshots = [(db.store_id.recording_id, db.snapshot()) for db in self.recordings()]
        return dataframes(snapshots, index, contents=contents, **options)

    def set_policy(
        self,
        policy: Policy | str,
        contents: Contents = None,
        *,
        store_id: StoreId | None = None,
    ) -> None:
        """Choose what becomes of messages that find no room from now on.

        Static data and blueprints are never dropped; all policies keep the order.

        Args:
            policy: A policy, or its name: `block`, `deadline(20)`, `drop_newest`, `drop_oldest`,
                `latest_wins`, `spill`.
            contents: For these entities only, as in `"/camera/**"`.
            store_id: For this store only; by default for all there are and will be.

        Raises:
            ExpressionError: `contents` is not valid.
            UnknownStoreError: There is no such store.
            ValueError: There is no such policy.
        """
        if store_id is not None:
            self[store_id].set_policy(policy, contents)
            return
        with self._lock:
            self._policies = self._policies.with_policy(policy, contents)
            dbs = self.entity_dbs()
        for db in dbs:
            db.set_policy(policy, contents)

    def ingestion_stats(self) -> HubIngestionStats:
        """Ingestion of every store at this moment, and of all together."""
        dbs = self.entity_dbs()
        stores = {db.store_id: db.ingestion_stats() for db in dbs}
        return HubIngestionStats(
            {store_id: stats for store_id, stats in stores.items() if stats.accepted},
            total([*stores.values(), *self._refusals.stats()], (db.latencies() for db in dbs)),
            self._budget.used_bytes,
            self._budget.limit_bytes,
        )

    @property
    def limits(self) -> StoreLimits:
        """How much structure senders may build up."""
        return self._limits

    def refused_by_limit(self) -> dict[str, int]:
        """Messages that no store took, counted by the limit of `limits` that they were over."""
        return self._refusals.by_limit()

    def refusals(self) -> list[RejectedMsg]:
        """The first of these messages and the last, each with its cause."""
        return self._refusals.rejections()

    def flush(self, timeout: float | None = None) -> None:
        """Return when all that was submitted before, to any store, is committed.

        Raises:
            FlushTimeoutError: It was not within `timeout` seconds.
        """
        for db, left in self._each_with_time_left(timeout):
            db.flush(left)

    def close(self, timeout: float | None = None) -> None:
        """Finish and commit what was accepted; nothing more can be submitted. Queries go on."""
        for db, left in self._each_with_time_left(timeout):
            db.close(left)

    def _each_with_time_left(
        self, timeout: float | None
    ) -> Iterable[tuple[EntityDb, float | None]]:
        if timeout is None:
            yield from ((db, None) for db in self.entity_dbs())
            return
        deadline = self.runtime.monotonic_s() + timeout
        for db in self.entity_dbs():
            yield db, max(0.0, deadline - self.runtime.monotonic_s())

    def __repr__(self) -> str:
        return f"StoreHub({len(self.recordings())} recordings, {len(self.blueprints())} blueprints)"


def _within(budget: int | AdaptiveBudget, bytes_max: int) -> int | AdaptiveBudget:
    """A store's budget, lowered to what a memory limit leaves for it."""
    bytes_max = max(bytes_max, MEMORY_IN_FLIGHT_STORE_BYTES_MIN)
    if isinstance(budget, int):
        return min(budget, bytes_max)
    ceiling_bytes = min(budget.ceiling_bytes, bytes_max)
    floor_bytes = min(budget.floor_bytes, ceiling_bytes)
    return replace(budget, floor_bytes=floor_bytes, ceiling_bytes=ceiling_bytes)


def _refuse_as_message(msg: object) -> Never:
    text = f"a LogMsg is received, not {msg!r:.80}; see forebay.read_messages()"
    raise TypeError(text)
