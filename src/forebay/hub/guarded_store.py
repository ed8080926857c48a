"""`GuardedStore`: a chunk store that many threads may change, read and listen to."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from forebay.chunk import Chunk, PackedChunk
from forebay.errors import ForebayError, LimitError, StoreError, cut
from forebay.hub.memory import MemoryLimit
from forebay.hub.subscribers import Event, Subscribers
from forebay.limits import ERROR_TEXT_CHARS_MAX, GC_SLICE_S, STORE_COST_BYTES
from forebay.store import ChunkStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from forebay.model import StoreId, TimeLike
    from forebay.runtime import Runtime
    from forebay.store import StoreSnapshot

logger = logging.getLogger("forebay")


class GuardedStore:
    """A `ChunkStore` behind two locks, its memory limits, and who listens to it.

    The order of locks, never taken the other way: `order_lock`; then the hub's, when a blueprint's
    activation comes up; then `_index_lock`; then a memory limit's, which is a leaf. Queries take
    `_index_lock` alone, to get a snapshot.

    Attributes:
        order_lock: Held by the thread that changes the store, so that changes and their events are
            in one order for all threads. Reentrant.
        other_bytes: What the store takes of the process's memory beyond its data: its own objects,
            its info, rejections, gaps and reports.
        subscribers: Who listens.
    """

    def __init__(self, store: ChunkStore, runtime: Runtime, memory_limit: int | None) -> None:
        self.order_lock = runtime.rlock()
        self.other_bytes = STORE_COST_BYTES
        self.subscribers = Subscribers(runtime)
        self._runtime = runtime
        self._index_lock = runtime.lock()
        self._clock = runtime.monotonic_s
        self._store = store
        self._hub_subscribers: Subscribers | None = None
        self._own_limit: MemoryLimit | None = None
        self._hub_limit: MemoryLimit | None = None
        self._limits: tuple[MemoryLimit, ...] = ()
        self.set_memory_limit(memory_limit)

    def join_hub(self, subscribers: Subscribers, limit: MemoryLimit | None) -> None:
        """Become one of a hub's stores: its subscribers hear of events, its limit of bytes."""
        self._hub_subscribers = subscribers
        self._hub_limit = limit
        self._set_limits()

    def leave_hub(self) -> None:
        """Count for the hub's limit no more."""
        self._hub_limit = None
        self._set_limits()

    @property
    def memory_limit(self) -> int | None:
        """Bytes of memory (`held_bytes`) that the store may take.

        Over it the oldest rows are collected, but never static data nor the latest values. `None`
        holds everything.
        """
        return None if self._own_limit is None else self._own_limit.limit_bytes

    def set_memory_limit(self, limit_bytes: int | None) -> None:
        """Choose the limit; the caller then calls `settle`."""
        self._own_limit = None if limit_bytes is None else MemoryLimit(limit_bytes, self._runtime)
        self._set_limits()

    def _set_limits(self) -> None:
        limits = [limit for limit in (self._own_limit, self._hub_limit) if limit is not None]
        with self._index_lock:
            for gone in self._limits:
                if gone not in limits:
                    gone.forget(self)
            self._limits = tuple(limits)
            self._tell(has_grown=True)

    # What limits ask for

    @property
    def is_collectible(self) -> bool:
        """Whether its oldest rows may go for a limit: those of blueprints stay."""
        return self._store.store_id.is_recording or self._hub_limit is None

    def note_other_bytes(self, size_bytes: int) -> None:
        """What the store takes beyond its data is so much now."""
        if size_bytes != self.other_bytes:
            with self._index_lock:
                self.other_bytes = size_bytes
                self._tell(has_grown=False)

    def count_exactly(self) -> None:
        """Tell the limits what the store holds to the byte."""
        with self._index_lock:
            self._store.held_bytes  # noqa: B018 - opens what was only bounded
            self._tell(has_grown=False)

    def _tell(self, *, has_grown: bool) -> None:
        """Tell the limits what the store holds; the caller holds `_index_lock`."""
        if self._limits:
            store = self._store
            held_bytes = store.held_bytes_max + self.other_bytes
            for limit in self._limits:
                limit.tell(self, held_bytes, is_exact=store.is_counted, has_grown=has_grown)

    @property
    def is_collection_due(self) -> bool:
        """Whether `settle` would collect garbage."""
        return any(limit.is_due for limit in self._limits)

    @property
    def full_limit(self) -> MemoryLimit | None:
        """The limit for which nothing more may get in, if there is one."""
        for limit in self._limits:
            if limit.is_full:
                return limit
        return None

    @property
    def has_limits(self) -> bool:
        """Whether there is any limit."""
        return bool(self._limits)

    @property
    def run_bytes_max(self) -> float:
        """Bytes that a commit may insert before it looks at the limits again."""
        return min([limit.run_bytes for limit in self._limits], default=float("inf"))

    # What is in it

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
        """About what the store takes of the process's memory, objects and all."""
        with self._index_lock:
            return self._store.held_bytes + self.other_bytes

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
                if self._limits:
                    self._tell(has_grown=True)
        except ForebayError:
            raise
        except Exception as error:
            # Whatever a chunk does to the store's code, the next one must still get its turn.
            msg = f"{self.store_id}: inserting {chunk.id} failed: {error!r}"
            raise StoreError(msg, store_id=self.store_id, chunk_id=chunk.id) from error
        self._offer(events)
        return was_empty, events

    def insert_unheard(self, chunks: Iterable[Chunk]) -> None:
        """Insert chunks while the store has no listener; call `settle` afterwards.

        The caller holds `order_lock`. Stops before the first chunk if there is a listener. One that
        is added meanwhile finds all of them in the next snapshot.

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
            finally:
                if self._limits:
                    self._tell(has_grown=True)

    def insert_rows_unheard(self, chunks: Sequence[PackedChunk]) -> bool:
        """Insert packed rows while the store has no listener, all of them at once.

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
            except Exception as error:  # noqa: BLE001, RUF100 - told in a bounded text
                text = cut(repr(error), ERROR_TEXT_CHARS_MAX)
                logger.error("inserting rows together failed; they go in one by one: %s", text)
                return False
            finally:
                if self._limits:
                    self._tell(has_grown=True)
        return True

    @property
    def _is_heard(self) -> bool:
        """Whether anybody listens."""
        hub = self._hub_subscribers
        return bool(self.subscribers.subscriptions or (hub is not None and hub.subscriptions))

    def settle(self) -> None:
        """Do what changes entail: deliver events, keep to the limits. Call it with no lock held."""
        self._deliver()
        for limit in self._limits:
            if limit.is_due:
                limit.enforce()

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
        """Collect garbage, as `gc`, until the store takes no more memory than that."""
        clock = self._clock

        def collect(until_s: float) -> list[Event]:
            data_bytes_max = held_bytes_max - self.other_bytes
            if self._store.held_bytes <= data_bytes_max:
                return []
            return self._store.gc(
                held_bytes_max=data_bytes_max, should_stop=lambda: clock() >= until_s
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
                self._tell(has_grown=False)
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
