"""`EntityDb`: one `ChunkStore`, and what feeds it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from forebay.hub.guarded_store import Event, GuardedStore
from forebay.hub.inflow import Inflow, InflowSettings
from forebay.hub.inlet import Inlet, info_bytes
from forebay.hub.queries import Queries
from forebay.limits import STORE_LIMITS
from forebay.model import SetStoreInfo, StoreId
from forebay.runtime import default_runtime
from forebay.store import ChunkStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from forebay.hub.memory import MemoryLimit
    from forebay.hub.subscribers import Subscribers, Subscription
    from forebay.ingest import Policy
    from forebay.limits import StoreLimits
    from forebay.model import TimeLike
    from forebay.store import StoreSnapshot


class EntityDb(Inlet, Queries):
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
            settings: Those of `InflowSettings`: `capacity`, `byte_budget`, `runtime`, ….
        """
        self._settings = InflowSettings(**settings)
        runtime = self._settings.runtime or default_runtime()
        self._limits = limits
        store = store or ChunkStore(store_id, limits)
        self._store = GuardedStore(store, runtime, memory_limit)
        if policy is not None:
            chosen = self._settings.policies.with_policy(policy)
            self._settings = replace(self._settings, policies=chosen)
        inflow = Inflow(self._store, self._settings, runtime, commits_itself=commits_itself)
        super().__init__(store_id, inflow, runtime)

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

    # Out of the store

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

    # Who listens, and what there is

    def subscribe(self, callback: Callable[[Event], object]) -> Callable[[], None]:
        """Call `callback` with every event from now on, once each and in commit order.

        It is called on a thread of the runtime (natively), so a slow one delays nobody; one that
        raises is logged and goes on with the next event.

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
        self._inflow.note_other_bytes()
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
        settings["policies"] = self._inflow.policies
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
            clone._inflow.note_info(info_bytes(clone.info))
        clone.data_source = self.data_source
        return clone

    def __copy__(self) -> EntityDb:
        return self.clone_with_new_id(self.store_id)

    def __deepcopy__(self, memo: dict[int, object]) -> EntityDb:
        # Chunks are immutable: a copy that shares them is as deep as one can tell.
        return self.clone_with_new_id(self.store_id)

    def __repr__(self) -> str:
        return f"EntityDb({self.store_id}, {self.num_chunks} chunks, {self.num_rows} rows)"
