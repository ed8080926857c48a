"""`GuardedStore`: a chunk store that many threads may change, read and listen to."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from forebay.chunk import Chunk, PackedChunk
from forebay.errors import ForebayError, LimitError, StoreError
from forebay.hub.subscribers import Subscribers
from forebay.limits import GC_SLICE_S, GC_TARGET_FRACTION
from forebay.model import ChunkStoreEvent
from forebay.store import ChunkStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from forebay.model import StoreId, TimeLike
    from forebay.runtime import Runtime
    from forebay.store import StoreSnapshot

logger = logging.getLogger("forebay")

Event: TypeAlias = ChunkStoreEvent[Chunk]
"""One change of one store."""


class GuardedStore:
    """A `ChunkStore` behind two locks, its memory limit, and who listens to it.

    The order of locks, never taken the other way: `order_lock`; then the hub's, when a blueprint's
    activation comes up; then `_index_lock`. Queries take the last one alone, to get a snapshot.

    Attributes:
        order_lock: Held by whoever changes the store, so that changes and their events are in
            order whoever makes them. Its holder may take it again.
        memory_limit: Bytes of memory (`held_bytes`) that data may take; over it the oldest rows
            are collected, but never static data nor the latest values. `None` holds everything.
        subscribers: Who listens.
    """

    def __init__(self, store: ChunkStore, runtime: Runtime, memory_limit: int | None) -> None:
        self.order_lock = runtime.rlock()
        self.memory_limit = memory_limit
        self.subscribers = Subscribers(runtime)
        self._index_lock = runtime.lock()
        self._clock = runtime.monotonic_s
        self._store = store
        self._enough_until = 0
        self._hub_subscribers: Subscribers | None = None
        self._on_committed: Callable[[], object] | None = None

    def join_hub(self, subscribers: Subscribers, on_committed: Callable[[], object] | None) -> None:
        """Become one of a hub's stores: tell its subscribers of events, and it of commits."""
        self._hub_subscribers = subscribers
        self._on_committed = on_committed

    @property
    def store_id(self) -> StoreId:
        """The store's name."""
        return self._store.store_id

    @property
    def byte_size(self) -> int:
        """Bytes of data held, each buffer counted once."""
        with self._index_lock:
            return self._store.byte_size

    @property
    def held_bytes(self) -> int:
        """About what the data takes of the process's memory, objects and all."""
        with self._index_lock:
            return self._store.held_bytes

    def snapshot(self) -> StoreSnapshot:
        """All data as it is now."""
        with self._index_lock:
            return self._store.snapshot()

    def copy(self, store_id: StoreId) -> ChunkStore:
        """The data under another name."""
        with self._index_lock:
            return self._store.copy(store_id)

    def insert(self, chunk: Chunk) -> tuple[bool, list[Event]]:
        """Insert a chunk and queue its events; the caller holds `order_lock`, then calls `settle`.

        Returns:
            Whether the store was empty before, and what changed.

        Raises:
            StoreError: The store refuses the chunk.
        """
        try:
            with self._index_lock:
                was_empty = self._store.is_empty
                events = self._store.insert(chunk)
        except ForebayError:
            raise
        except Exception as error:
            # Whatever a chunk does to the store's code, the next one must still get its turn.
            msg = f"{self.store_id}: inserting {chunk.id} failed: {error!r}"
            raise StoreError(msg, store_id=self.store_id, chunk_id=chunk.id) from error
        self._offer(events)
        return was_empty, events

    def insert_unheard(self, chunks: Iterable[Chunk]) -> None:
        """Insert chunks while nobody listens; the caller holds `order_lock`, then calls `settle`.

        Stops before the first chunk if somebody listens. Whoever starts to listen meanwhile finds
        all of them in the next snapshot.

        Args:
            chunks: An iterator that is asked for the next one when the one before is in.

        Raises:
            StoreError: The store refuses a chunk.
        """
        with self._index_lock:
            if self._is_heard:
                return
            try:
                self._store.insert_unheard(chunks)
            except ForebayError:
                raise
            except Exception as error:
                msg = f"{self.store_id}: inserting a chunk failed: {error!r}"
                raise StoreError(msg, store_id=self.store_id) from error

    def insert_rows_unheard(self, chunks: Sequence[PackedChunk]) -> bool:
        """Insert packed rows while nobody listens, all of them at once.

        The caller holds `order_lock`, then calls `settle`.

        Returns:
            Whether they are in; if not, insert them one by one.
        """
        with self._index_lock:
            if self._is_heard:
                return False
            try:
                self._store.insert_rows_unheard(chunks)
            except LimitError:
                return False
            except Exception:
                logger.exception("inserting rows together failed; they are inserted one by one")
                return False
        return True

    @property
    def _is_heard(self) -> bool:
        """Whether anybody listens."""
        hub = self._hub_subscribers
        return bool(self.subscribers.subscriptions or (hub is not None and hub.subscriptions))

    def settle(self) -> None:
        """Do what changes entail: deliver events, keep to the limit. Call it with no lock held."""
        self._deliver()
        limit = self.memory_limit
        if limit is not None and self.held_bytes > max(limit, self._enough_until):
            self.shrink(int(limit * GC_TARGET_FRACTION))
            # What is left over the limit cannot be collected: wait until there is more.
            step, left = int(limit * (1 - GC_TARGET_FRACTION)), self.held_bytes
            self._enough_until = left + step if left > limit - step else 0
        if self._on_committed is not None:
            self._on_committed()

    def gc(
        self, bytes_to_free: int | None = None, *, time_budget_s: float | None = None
    ) -> list[Event]:
        """Collect garbage: the oldest rows go first, static data and latest values stay.

        Readers and commits get their turns in between. Subscribers hear of it; so does the caller.

        Args:
            bytes_to_free: Stop once so much is free; `None` drops all that may go.
            time_budget_s: Stop after so long; the next call goes on.
        """
        clock = self._clock
        deadline = float("inf") if time_budget_s is None else clock() + time_budget_s
        target = None if bytes_to_free is None else self.byte_size - bytes_to_free

        def collect(until_s: float) -> list[Event]:
            left = None if target is None else self._store.byte_size - target
            if left is not None and left <= 0:
                return []
            return self._store.gc(left, should_stop=lambda: clock() >= until_s)

        return self._in_slices(collect, deadline)

    def shrink(self, held_bytes_max: int) -> list[Event]:
        """Collect garbage, as `gc`, until the data takes no more memory than that."""
        clock = self._clock

        def collect(until_s: float) -> list[Event]:
            if self._store.held_bytes <= held_bytes_max:
                return []
            return self._store.gc(
                held_bytes_max=held_bytes_max, should_stop=lambda: clock() >= until_s
            )

        return self._in_slices(collect, float("inf"))

    def _in_slices(self, collect: Callable[[float], list[Event]], deadline_s: float) -> list[Event]:
        """Collect until there is no more to do, or time is up; `collect` is told its own time."""
        clock = self._clock
        events: list[Event] = []
        while True:
            gone = self._change(partial(collect, min(deadline_s, clock() + GC_SLICE_S)))
            events += gone
            if not gone or clock() >= deadline_s:
                break
        self._deliver()
        return events

    def drop_entity(self, entity: str) -> list[Event]:
        """Drop all data of one entity; what lies below it stays.

        Raises:
            UnknownEntityError: There is no such entity.
        """
        events = self._change(lambda: self._store.drop_entity(entity))
        self._deliver()
        return events

    def drop_time_range(self, timeline: str, start: TimeLike, end: TimeLike) -> list[Event]:
        """Drop all rows with a time in `[start, end]` on a timeline; static data stays.

        Raises:
            UnknownTimelineError, TimeTypeError
        """
        events = self._change(lambda: self._store.drop_time_range(timeline, start, end))
        self._deliver()
        return events

    def _change(self, change: Callable[[], list[Event]]) -> list[Event]:
        with self.order_lock:
            with self._index_lock:
                events = change()
            self._offer(events)
        return events

    def _offer(self, events: list[Event]) -> None:
        self.subscribers.offer(events)
        if self._hub_subscribers is not None:
            self._hub_subscribers.offer(events)

    def _deliver(self) -> None:
        self.subscribers.deliver()
        if self._hub_subscribers is not None:
            self._hub_subscribers.deliver()
