"""Memory limits: what is counted, which stores give up how much, and when nothing more gets in.

Fair by water level: a hub over its limit lowers one level for all recordings. Those below it keep
everything; those above are collected down to it, oldest rows first. So a recording that floods
pays for its own flood, and none is emptied because another was opened later.

What a limit costs does not grow with the number of stores. Each store tells how much more or less
it holds after each change, so the sum is always there. A collection looks at those stores alone
that changed since they were found to have nothing to give.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from forebay.errors import LimitError
from forebay.limits import GC_STEP_SHARE, GC_TARGET_FRACTION
from forebay.runtime import give_back_free_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from forebay.hub.subscribers import Event
    from forebay.runtime import Runtime

KeyT = TypeVar("KeyT")

MEMORY_LIMIT: Final = "memory_limit"
"""The name under which rejections for want of memory are counted."""

_EVEN_ROUNDS_MAX: Final = 8
"""Rounds in which the level sinks only as far as it must; then it halves, so that there are few."""


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


def to_free(
    sizes: Mapping[KeyT, int], fixed: int, target: int, level_max: float = float("inf")
) -> dict[KeyT, int]:
    """Bytes that each store must give up so that all of them come down to `target`.

    Args:
        sizes: Bytes of the stores that can be collected.
        fixed: Bytes of everything else.
        target: Bytes for all together.
        level_max: No store keeps more, whatever the target allows.
    """
    level = min(level_max, water_level(sizes.values(), target - fixed))
    if level == float("inf"):
        return {}
    return {key: size - int(level) for key, size in sizes.items() if size > level}


class Holder(Protocol):
    """A store, as far as a limit knows it."""

    @property
    def is_collectible(self) -> bool:
        """Whether its oldest rows may go: that of a recording."""
        ...

    def count_exactly(self) -> None:
        """Tell the limit what it holds to the byte; until then it may tell an upper bound."""

    def shrink(self, held_bytes_max: int) -> list[Event]:
        """Drop its oldest rows until it holds no more than that, and tell the limit."""
        ...


class MemoryLimit:
    """Counts what stores hold, and keeps it within a limit; any thread may ask it to.

    A collection is due before the limit is reached: one part in `limits.GC_STEP_SHARE` earlier, so
    that what is in the limit's last part may come in while others collect. If static data, latest
    values and blueprints alone take more than that, the limit is *full*: what comes is refused
    until something is dropped.

    Attributes:
        limit_bytes: Of memory, for all that is counted.
        held_bytes: What the stores hold now, by their upper bounds.
        refusal: The error of a message that does not get in; one for all of them.
    """

    def __init__(self, limit_bytes: int, runtime: Runtime) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self._step_bytes = limit_bytes // GC_STEP_SHARE
        self._ceiling_bytes = limit_bytes - self._step_bytes
        self._thread_id = runtime.thread_id
        self._lock = runtime.lock()
        self._collecting = runtime.lock()
        self._collector: int | None = None
        self._next_bytes = 0
        self._is_stuck = False
        text = (
            f"the memory limit of {limit_bytes:,} bytes is reached, and what is held may not be "
            "dropped (static data, latest values, blueprints, infos): allow a larger "
            "memory_limit, drop entities or remove stores"
        )
        self.refusal = LimitError(text, limit=MEMORY_LIMIT, is_shared=True)
        self._kept: list[Callable[[], int]] = []
        self._in_flight: list[Callable[[], int]] = []
        # What each store has told last; those that changed since they were counted exactly; and
        # since they were found to have nothing to give.
        self._told: dict[Holder, int] = {}
        self._inexact: dict[Holder, None] = {}
        self._flexible: dict[Holder, None] = {}

    # What is counted

    def count_also(self, size_bytes: Callable[[], int], *, in_flight: bool = False) -> None:
        """Count something else: what cannot be dropped, or what is on its way and soon gone."""
        (self._in_flight if in_flight else self._kept).append(size_bytes)

    def tell(self, holder: Holder, held_bytes: int, *, is_exact: bool, has_grown: bool) -> None:
        """What a store holds now; the caller makes sure that the last word is the latest state.

        Args:
            holder: The store.
            held_bytes: What it holds.
            is_exact: Whether that is no upper bound.
            has_grown: Whether there is data in it that no collection has seen.
        """
        with self._lock:
            told = self._told
            before = told[holder] if holder in told else 0  # noqa: SIM401 - see docs/free-threading.md
            told[holder] = held_bytes
            self.held_bytes += held_bytes - before
            if is_exact:
                self._inexact.pop(holder, None)
            else:
                self._inexact[holder] = None
            if has_grown and holder.is_collectible:
                self._flexible[holder] = None
            if self._is_stuck and self._kept_bytes() <= self._ceiling_bytes:
                self._is_stuck, self._next_bytes = False, 0

    def forget(self, holder: Holder) -> None:
        """A store is gone."""
        with self._lock:
            self.held_bytes -= self._told.pop(holder, 0)
            self._inexact.pop(holder, None)
            self._flexible.pop(holder, None)

    def _kept_bytes(self) -> int:
        return self.held_bytes + sum([size_bytes() for size_bytes in self._kept])

    def _in_flight_bytes(self) -> int:
        return sum([size_bytes() for size_bytes in self._in_flight])

    # What follows

    @property
    def is_due(self) -> bool:
        """Whether a collection is due."""
        kept = self._kept_bytes()
        if kept <= self._next_bytes:
            return False
        return kept + self._in_flight_bytes() > self._ceiling_bytes

    @property
    def is_full(self) -> bool:
        """Whether what may not be dropped takes it all, so that nothing more gets in."""
        return self._is_stuck and self._kept_bytes() > self._ceiling_bytes

    @property
    def run_bytes(self) -> int:
        """Bytes that a commit may put into a store before it looks at the limit again."""
        return self._step_bytes // 2

    def enforce(self) -> list[Event]:
        """Collect garbage if that is due, and return the events; called with no lock held.

        A thread that finds another one at it waits, so that afterwards the limit is kept. What
        cannot be collected (static data, latest values) stays.
        """
        events: list[Event] = []
        me = self._thread_id()
        while self.is_due and self._collector != me:
            with self._collecting:
                self._collector = me
                try:
                    events += self._collect()
                finally:
                    self._collector = None
        if events:
            give_back_free_memory()
        return events

    def _collect(self) -> list[Event]:
        """Lower the level; what one store cannot give, the others must."""
        with self._lock:
            # Nothing is to be opened if another thread did it all just now.
            inexact = list(self._inexact) if self.is_due else []
        for holder in inexact:
            holder.count_exactly()
        if not self.is_due:
            return []
        events: list[Event] = []
        level_max = float("inf")
        for number in itertools.count():
            sizes = self._sizes()
            fixed = self._kept_bytes() - sum(sizes.values())
            target = int(self.limit_bytes * GC_TARGET_FRACTION) - self._in_flight_bytes()
            wanted = to_free(sizes, fixed, target, level_max)
            if not wanted:
                break
            level = max(sizes[holder] - excess for holder, excess in wanted.items())
            if number >= _EVEN_ROUNDS_MAX:
                level_max = level / 2
            if not self._lower(wanted, level, events):
                break
        with self._lock:
            left = self._kept_bytes()
            self._is_stuck = left > self._ceiling_bytes
            is_enough = left + self._in_flight_bytes() <= self._ceiling_bytes - self._step_bytes
            self._next_bytes = 0 if is_enough else left + self._step_bytes
        return events

    def _lower(self, wanted: Iterable[Holder], level: int, events: list[Event]) -> bool:
        """Bring stores down to a level; says whether one of them has not enough to give."""
        is_one_stuck = False
        for holder in wanted:
            with self._lock:
                self._flexible.pop(holder, None)  # It is back with its next change.
            events += holder.shrink(level)
            with self._lock:
                size = self._told.get(holder, 0)
                if size <= level:
                    self._flexible[holder] = None
                else:
                    is_one_stuck = True
        return is_one_stuck

    def _sizes(self) -> dict[Holder, int]:
        with self._lock:
            told = self._told
            return {holder: told[holder] for holder in self._flexible if holder in told}
