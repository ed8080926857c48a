"""Memory limits: how much a store must give up, and which stores of a hub.

Fair by water level: a hub over its limit lowers one level for all recordings. Those below it keep
everything; those above are collected down to it, oldest rows first. So a recording that floods
pays for its own flood, and none is emptied because another was opened later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from forebay.limits import GC_TARGET_FRACTION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from forebay.hub.entity_db import EntityDb
    from forebay.hub.guarded_store import Event
    from forebay.runtime import Runtime

KeyT = TypeVar("KeyT")


def water_level(sizes: Iterable[int], total: int) -> float:
    """The level `x` at which `sum(min(size, x)) == total`; infinite if all fit.

    Max-min fairness, as networks share a link (Bertsekas and Gallager, "Data Networks", 6.5.2).
    """
    ascending = sorted(sizes)
    if sum(ascending) <= total:
        return float("inf")
    left = max(0, total)
    for position, size in enumerate(ascending):
        share = left / (len(ascending) - position)
        if size > share:
            return share
        left -= size
    return float("inf")


def to_free(sizes: Mapping[KeyT, int], fixed: int, target: int) -> dict[KeyT, int]:
    """Bytes that each store must give up so that all of them come down to `target`.

    Args:
        sizes: Bytes of the stores that can be collected.
        fixed: Bytes of everything else.
        target: Bytes for all together.
    """
    level = water_level(sizes.values(), target - fixed)
    return {key: size - int(level) for key, size in sizes.items() if size > level}


class MemoryLimit:
    """Keeps the recordings of a hub within their limit; any thread may ask it to.

    Attributes:
        limit_bytes: Of memory (`held_bytes`), for all stores together; blueprints count, but are
            not collected.
    """

    def __init__(self, limit_bytes: int, runtime: Runtime) -> None:
        self.limit_bytes = limit_bytes
        self._lock = runtime.lock()
        self._is_running = False
        self._enough_until = 0

    def enforce(self, entity_dbs: Callable[[], list[EntityDb]]) -> list[Event]:
        """Collect garbage if the stores are over the limit, and return the events.

        Returns at once if another thread is at it. What cannot be collected (static data, latest
        values) stays even over the limit; it is not tried again before more has come in.
        """
        total = sum(db.held_bytes for db in entity_dbs())
        with self._lock:
            if self._is_running or total <= max(self.limit_bytes, self._enough_until):
                return []
            self._is_running = True
        try:
            events = self._collect(entity_dbs())
            left = sum(db.held_bytes for db in entity_dbs())
            step = int(self.limit_bytes * (1 - GC_TARGET_FRACTION))
            self._enough_until = left + step if left > self.limit_bytes - step else 0
            return events
        finally:
            with self._lock:
                self._is_running = False

    def _collect(self, dbs: list[EntityDb]) -> list[Event]:
        """Lower the level; what one store cannot give, the others must."""
        target = int(self.limit_bytes * GC_TARGET_FRACTION)
        events: list[Event] = []
        fixed = sum(db.held_bytes for db in dbs if not db.store_id.is_recording)
        flexible = {db: db.held_bytes for db in dbs if db.store_id.is_recording}
        while flexible:
            wanted = to_free(flexible, fixed, target)
            if not wanted:
                break
            stuck = []
            for db, excess in wanted.items():
                level = flexible[db] - excess
                events += db.shrink(level)
                size = db.held_bytes
                if size > level:
                    stuck.append(db)
                    fixed += size
                flexible[db] = size
            if not stuck:
                break
            for db in stuck:
                del flexible[db]
        return events
