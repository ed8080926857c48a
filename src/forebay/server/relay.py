"""The relay: a bounded log of received messages that all readers share, with one cursor each.

There is no queue per reader, so a slow reader costs writers nothing: they append to the log and
never wait. A reader that the log has overtaken is disconnected.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from forebay.limits import RELAY_BATCH_BYTES, RELAY_BATCH_MSGS, RELAY_SHARE
from forebay.model import ArrowMsg, LogMsg, SetStoreInfo, StoreId

if TYPE_CHECKING:
    from forebay.runtime import Runtime

_ENTRY_OVERHEAD_BYTES = 256
"""Approximate cost of one entry in addition to its bytes: the object, its numbers and headers."""


class Cut(enum.Enum):
    """Why a reader's iteration was ended."""

    CLOSED = "the server is shutting down"
    OVERTAKEN = "the reader fell too far behind"


class _Entry:
    """One message; `holders` counts the logs that contain it and the readers that send it."""

    __slots__ = ("data", "holders", "is_lasting", "number", "size_bytes")

    def __init__(self, number: int, data: bytes, *, is_lasting: bool) -> None:
        self.number = number
        self.data = data
        self.is_lasting = is_lasting
        self.size_bytes = len(data) + _ENTRY_OVERHEAD_BYTES
        self.holders = 0


_GONE = _Entry(-1, b"", is_lasting=False)


@dataclass(slots=True)
class _Log:
    """Entries in order of their sequence numbers; dropped from the front, found by number."""

    entries: list[_Entry] = field(default_factory=list)
    start: int = 0
    size_bytes: int = 0

    def __len__(self) -> int:
        return len(self.entries) - self.start

    @property
    def first(self) -> int:
        """The oldest sequence number; the log must not be empty."""
        return self.entries[self.start].number

    def append(self, entry: _Entry) -> None:
        self.entries.append(entry)
        self.size_bytes += entry.size_bytes

    def pop(self) -> _Entry:
        entry = self.entries[self.start]
        # The slot must release the bytes at once; the list itself shrinks only now and then.
        self.entries[self.start] = _GONE
        self.start += 1
        self.size_bytes -= entry.size_bytes
        if self.start > 1024 and self.start * 2 > len(self.entries):
            del self.entries[: self.start]
            self.start = 0
        return entry

    def since(self, number: int) -> list[_Entry]:
        """Return at most one batch of the entries from `number` on."""
        low, high = self.start, len(self.entries)
        while low < high:
            middle = (low + high) // 2
            if self.entries[middle].number < number:
                low = middle + 1
            else:
                high = middle
        batch = []
        size_bytes = 0
        for entry in self.entries[low : low + RELAY_BATCH_MSGS]:
            batch.append(entry)
            size_bytes += len(entry.data)
            if size_bytes >= RELAY_BATCH_BYTES:
                break
        return batch


class Relay:
    """Relays encoded messages to any number of readers, from the oldest kept one to live ones.

    When the budget is used up, the oldest messages are dropped. Those that a late reader needs are
    kept longer than others: every store's latest `SetStoreInfo`, within a quarter of the budget,
    and static data and blueprints, within half of it. Messages that only slow readers still hold
    may take up to a quarter; beyond it, the readers furthest behind are disconnected.

    Thread-safe.

    Args:
        budget_bytes: Bytes kept, over all stores. 0 keeps only the newest message.
        runtime: Provides the lock.
    """

    def __init__(self, budget_bytes: int, runtime: Runtime) -> None:
        self._budget_bytes = budget_bytes
        self._changed = runtime.condition()
        self._infos: dict[StoreId, _Entry] = {}
        self._infos_bytes = 0
        self._lasting = _Log()
        self._recent = _Log()
        self._readers: set[RelayReader] = set()
        self._held_bytes = 0
        self._next = 0
        self._waiting = 0
        self._closed = False

    @property
    def num_messages(self) -> int:
        """Number of messages published so far."""
        return self._next

    @property
    def size_bytes(self) -> int:
        """Bytes kept for future readers, without store infos."""
        with self._changed:
            return self._lasting.size_bytes + self._recent.size_bytes

    @property
    def held_bytes(self) -> int:
        """Bytes of memory in use: kept messages, and messages that readers still hold."""
        return self._held_bytes  # reading one number needs no lock

    def publish(self, msg: LogMsg, data: bytes) -> None:
        """Append one message; never blocks.

        Args:
            msg: The message, which says whether late readers need it.
            data: The same in its wire encoding.
        """
        with self._changed:
            lasting = (not isinstance(msg, ArrowMsg)) or bool(msg.is_static)
            entry = _Entry(self._next, data, is_lasting=lasting or msg.store_id.is_blueprint)
            self._next += 1
            if isinstance(msg, SetStoreInfo):
                self._keep_info(msg.store_id, entry)
            self._hold(entry)
            self._recent.append(entry)
            cut = self._evict() if self._held_bytes > self._budget_bytes else ()
            if self._waiting:
                self._changed.notify_all()
        for reader in cut:
            reader.on_cut()

    def _hold(self, entry: _Entry) -> None:
        if not entry.holders:
            self._held_bytes += entry.size_bytes
        entry.holders += 1

    def _let_go(self, entry: _Entry) -> None:
        entry.holders -= 1
        if not entry.holders:
            self._held_bytes -= entry.size_bytes

    def _keep_info(self, store_id: StoreId, entry: _Entry) -> None:
        """Keep the store's latest info; beyond their share, drop the infos updated first."""
        infos = self._infos
        if store_id in infos:
            self._drop_info(store_id)
        infos[store_id] = entry
        self._infos_bytes += entry.size_bytes
        self._hold(entry)
        while infos and self._infos_bytes > self._budget_bytes // RELAY_SHARE:
            self._drop_info(next(iter(infos)))

    def _drop_info(self, store_id: StoreId) -> None:
        entry = self._infos.pop(store_id)
        self._infos_bytes -= entry.size_bytes
        self._let_go(entry)

    def _evict(self) -> Sequence[RelayReader]:
        """Drop entries until the budget holds; returns the readers that were cut."""
        recent, lasting = self._recent, self._lasting
        # The newest entry stays, however large; otherwise no reader would get it.
        while len(recent) > 1 and self._held_bytes > self._budget_bytes:
            if recent.size_bytes + lasting.size_bytes <= self._budget_bytes // 2:
                break  # readers hold the rest
            entry = recent.pop()
            if entry.is_lasting:
                lasting.append(entry)
            else:
                self._let_go(entry)
            while len(lasting) and lasting.size_bytes > self._budget_bytes // 2:
                self._let_go(lasting.pop())
        return self._cut_slow_readers() if self._held_bytes > self._budget_bytes else ()

    def _cut_slow_readers(self) -> list[RelayReader]:
        """Cut readers that hold entries no other holds and whose next message was dropped.

        Those furthest behind are cut first.
        """
        first = self._recent.first
        overtaken = [r for r in self._readers if r.batch and r.cursor < first]
        cut: list[RelayReader] = []
        for reader in sorted(overtaken, key=lambda reader: reader.cursor):
            if self._held_by_readers_alone() <= self._budget_bytes // RELAY_SHARE:
                break
            reader.cut = Cut.OVERTAKEN
            self._end(reader)
            cut.append(reader)
        return cut

    def _held_by_readers_alone(self) -> int:
        # An info that is also in a log is counted twice in `kept_bytes`: by at most the infos'
        # share.
        kept_bytes = self._recent.size_bytes + self._lasting.size_bytes + self._infos_bytes
        return self._held_bytes - kept_bytes

    def _end(self, reader: RelayReader) -> None:
        """Forget a reader and release what it held."""
        self._readers.discard(reader)
        self._take_back(reader)

    def _take_back(self, reader: RelayReader) -> None:
        for entry in reader.batch:
            self._let_go(entry)
        reader.batch = ()

    def close(self) -> None:
        """End the iteration of every reader, after the messages that it still has to get.

        Waiting readers wake up.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def reader(self, on_cut: Callable[[], object] = lambda: None) -> RelayReader:
        """Return a new reader that starts at the oldest kept message; close it at the end.

        Args:
            on_cut: Called, from any thread, when the relay cuts the reader because it fell too far
                behind. The reader gets nothing more and should release what it still holds.
        """
        return RelayReader(self, on_cut)

    def close_reader(self, reader: RelayReader) -> None:
        """End the iteration of one reader, also while it waits."""
        with self._changed:
            reader.closed = True
            self._end(reader)
            self._changed.notify_all()

    def next_batch(self, reader: RelayReader) -> list[bytes]:
        """Wait for the next messages of `reader`.

        The messages of the previous batch are released.

        Returns:
            Encoded messages, oldest first; an empty list if the reader or the relay was closed, or
            the reader was cut.
        """
        with self._changed:
            self._take_back(reader)
            if reader.cursor == self._next:
                self._waiting += 1
                try:
                    self._changed.wait_for(
                        lambda: reader.closed or self._closed or reader.cursor != self._next
                    )
                finally:
                    self._waiting -= 1
            if reader.closed or reader.cut is not None:
                return []
            if reader.cursor == self._next:
                reader.cut = Cut.CLOSED
                return []
            first = self._recent.first
            if reader.cursor < first and reader.caught_up:
                # A late reader knows that it misses what was dropped before it connected. A reader
                # that had received everything must not get a silent gap.
                reader.cut = Cut.OVERTAKEN
                return []
            entries = self._outlived(reader.cursor) if reader.cursor < first else []
            if not entries:
                entries = self._recent.since(max(reader.cursor, first))
            for entry in entries:
                self._hold(entry)
            reader.batch = entries
            self._readers.add(reader)
            reader.cursor = entries[-1].number + 1
            reader.caught_up |= reader.cursor == self._next
            return [entry.data for entry in entries]

    def _outlived(self, cursor: int) -> list[_Entry]:
        """Return the kept entries from before the recent log, for a late reader at `cursor`."""
        lasting = self._lasting.since(cursor)
        if cursor:
            return lasting
        known = {entry.number for entry in lasting}
        infos = (e for e in self._infos.values() if e.number < self._recent.first)
        return [entry for entry in infos if entry.number not in known] + lasting


class RelayReader:
    """The position of one reader in the relay. Iterated by one thread, closed by any.

    Attributes:
        cursor: Sequence number of its next message.
        caught_up: Whether it has ever received every message that there was.
        closed: Whether it was closed.
        cut: Why the relay ended its iteration. None if it did not.
        batch: The last batch that it got and may still hold.
        on_cut: Called when the relay cuts the reader because it fell too far behind.
    """

    __slots__ = ("_relay", "batch", "caught_up", "closed", "cursor", "cut", "on_cut")

    def __init__(self, relay: Relay, on_cut: Callable[[], object]) -> None:
        self._relay = relay
        self.cursor = 0
        self.caught_up = False
        self.closed = False
        self.cut: Cut | None = None
        self.batch: Iterable[_Entry] = ()
        self.on_cut = on_cut

    def close(self) -> None:
        """End the iteration, also while it waits, and release its messages. Thread-safe."""
        self._relay.close_reader(self)

    def __iter__(self) -> Iterator[bytes]:
        """Yield encoded messages as they arrive; blocks while there is none."""
        while batch := self._relay.next_batch(self):
            yield from batch
