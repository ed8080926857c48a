"""What came in, kept for readers: one bounded log shared by all of them, and a cursor each.

Nothing is queued per reader, so a reader that stops reading costs nobody anything: writers append
to the log and never wait, and a reader that the log has overtaken is cut.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from forebay.limits import RELAY_BATCH_BYTES, RELAY_BATCH_MSGS
from forebay.model import ArrowMsg, LogMsg, SetStoreInfo, StoreId

if TYPE_CHECKING:
    from forebay.runtime import Runtime

_ENTRY_OVERHEAD_BYTES = 128
"""About what one entry costs beside its bytes: the tuple, the number and the object header."""


class Cut(enum.Enum):
    """Why a reader gets nothing more."""

    CLOSED = "the server is shutting down"
    OVERTAKEN = "the reader fell too far behind"


@dataclass(slots=True)
class _Log:
    """Entries in order of their sequence numbers; drops from the front, finds by number."""

    entries: list[tuple[int, bytes, bool]] = field(default_factory=list)
    start: int = 0
    size_bytes: int = 0

    def __len__(self) -> int:
        return len(self.entries) - self.start

    @property
    def first(self) -> int:
        """The oldest sequence number kept; there must be one."""
        return self.entries[self.start][0]

    def append(self, entry: tuple[int, bytes, bool]) -> None:
        self.entries.append(entry)
        self.size_bytes += len(entry[1]) + _ENTRY_OVERHEAD_BYTES

    def pop(self) -> tuple[int, bytes, bool]:
        entry = self.entries[self.start]
        # The slot must let go of the bytes at once; the list itself shrinks now and then.
        self.entries[self.start] = (entry[0], b"", False)
        self.start += 1
        self.size_bytes -= len(entry[1]) + _ENTRY_OVERHEAD_BYTES
        if self.start > 1024 and self.start * 2 > len(self.entries):
            del self.entries[: self.start]
            self.start = 0
        return entry

    def since(self, number: int) -> list[tuple[int, bytes, bool]]:
        """At most a batch of the entries numbered `number` or later."""
        low, high = self.start, len(self.entries)
        while low < high:
            middle = (low + high) // 2
            if self.entries[middle][0] < number:
                low = middle + 1
            else:
                high = middle
        batch = []
        size_bytes = 0
        for entry in self.entries[low : low + RELAY_BATCH_MSGS]:
            batch.append(entry)
            size_bytes += len(entry[1])
            if size_bytes >= RELAY_BATCH_BYTES:
                break
        return batch


class Relay:
    """Relays encoded messages to any number of readers, from the oldest kept to the live ones.

    When the budget is spent the oldest messages go. Those that a late reader cannot do without
    outlive the others: every store's latest `SetStoreInfo`, and, within half of the budget,
    static data and blueprints.

    Args:
        budget_bytes: Bytes kept, over all stores; 0 keeps the newest message alone.
        runtime: Where the lock comes from.
    """

    def __init__(self, budget_bytes: int, runtime: Runtime) -> None:
        self._budget_bytes = budget_bytes
        self._changed = runtime.condition()
        self._infos: dict[StoreId, tuple[int, bytes, bool]] = {}
        self._infos_bytes = 0
        self._lasting = _Log()
        self._recent = _Log()
        self._next = 0
        self._waiting = 0
        self._closed = False

    @property
    def num_messages(self) -> int:
        """Messages published so far."""
        return self._next

    @property
    def size_bytes(self) -> int:
        """Bytes kept now, store infos not counted."""
        with self._changed:
            return self._lasting.size_bytes + self._recent.size_bytes

    @property
    def held_bytes(self) -> int:
        """Bytes kept, store infos among them, perhaps of a moment ago; for memory limits."""
        return self._lasting.size_bytes + self._recent.size_bytes + self._infos_bytes

    def publish(self, msg: LogMsg, data: bytes) -> None:
        """Append one message, in its wire form; never blocks."""
        with self._changed:
            lasting = (not isinstance(msg, ArrowMsg)) or bool(msg.is_static)
            entry = (self._next, data, lasting or msg.store_id.is_blueprint)
            self._next += 1
            if isinstance(msg, SetStoreInfo):
                self._keep_info(msg.store_id, entry)
            self._recent.append(entry)
            self._evict()
            if self._waiting:
                self._changed.notify_all()

    def _keep_info(self, store_id: StoreId, entry: tuple[int, bytes, bool]) -> None:
        before = self._infos.get(store_id)
        self._infos[store_id] = entry
        if before is None:
            self._infos_bytes += _ENTRY_OVERHEAD_BYTES
        self._infos_bytes += len(entry[1]) - (0 if before is None else len(before[1]))

    def _evict(self) -> None:
        recent, lasting = self._recent, self._lasting
        # The newest stays, however large, or nobody would ever get it.
        while len(recent) > 1 and recent.size_bytes + lasting.size_bytes > self._budget_bytes:
            entry = recent.pop()
            if entry[2]:
                lasting.append(entry)
            while len(lasting) and lasting.size_bytes > self._budget_bytes // 2:
                lasting.pop()

    def close(self) -> None:
        """Every reader gets what is left, and then the end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def reader(self) -> RelayReader:
        """A new reader, which starts at the oldest message kept."""
        return RelayReader(self)

    def close_reader(self, reader: RelayReader) -> None:
        """End one reader's iteration, also while it waits."""
        with self._changed:
            reader.closed = True
            self._changed.notify_all()

    def next_batch(self, reader: RelayReader) -> list[bytes]:
        """Wait for the messages that follow the reader's place; empty when there are no more."""
        with self._changed:
            if reader.cursor == self._next:
                self._waiting += 1
                try:
                    self._changed.wait_for(
                        lambda: reader.closed or self._closed or reader.cursor != self._next
                    )
                finally:
                    self._waiting -= 1
            if reader.closed:
                return []
            if reader.cursor == self._next:
                reader.cut = Cut.CLOSED
                return []
            first = self._recent.first
            if reader.cursor < first and reader.caught_up:
                # A late reader misses what was gone before it came, and knows it; one that had
                # everything until now must not be left with a silent gap.
                reader.cut = Cut.OVERTAKEN
                return []
            entries = self._outlived(reader.cursor) if reader.cursor < first else []
            if not entries:
                entries = self._recent.since(max(reader.cursor, first))
            reader.cursor = entries[-1][0] + 1
            reader.caught_up |= reader.cursor == self._next
            return [data for _, data, _ in entries]

    def _outlived(self, cursor: int) -> list[tuple[int, bytes, bool]]:
        """What a late reader at `cursor` still gets of the time before the recent log."""
        lasting = self._lasting.since(cursor)
        if cursor:
            return lasting
        known = {number for number, _, _ in lasting}
        infos = (e for e in self._infos.values() if e[0] < self._recent.first)
        return [entry for entry in infos if entry[0] not in known] + lasting


class RelayReader:
    """One reader's place in the relay; iterated by one thread, closed by any.

    Attributes:
        cursor: Number of the next message it gets.
        caught_up: Whether it has ever had everything there was.
        closed: Whether it was closed.
        cut: Why its iteration ended, if the relay ended it.
    """

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self.cursor = 0
        self.caught_up = False
        self.closed = False
        self.cut: Cut | None = None

    def close(self) -> None:
        """The reader is gone: end its iteration, also while it waits."""
        self._relay.close_reader(self)

    def __iter__(self) -> Iterator[bytes]:
        """The messages in their wire form, as they come; waits for news."""
        while batch := self._relay.next_batch(self):
            yield from batch
