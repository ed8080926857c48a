"""`ByteBudget`: the bytes that all stores of a hub may have in flight together."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from forebay.limits import HUB_BUDGET_BYTES, URGENT_RESERVE_SHARE
from forebay.runtime import default_runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from forebay.runtime import Runtime


class ByteBudget:
    """Bytes shared by many stores, so that no store that stands still can take them all.

    A store may hold as much as is still free (the dynamic threshold of shared-memory switches):
    alone it gets half of the limit, one of two a third, one of `n` gets `1 / (n + 1)`, and the
    same is always left for the next. A store with nothing in flight may always have one message,
    so each makes progress whatever the others hold; by that much the limit can be exceeded.

    Safe from any thread.

    Attributes:
        limit_bytes: What the stores share.
    """

    def __init__(
        self, limit_bytes: int = HUB_BUDGET_BYTES, *, runtime: Runtime | None = None
    ) -> None:
        self.limit_bytes = limit_bytes
        self._lock = (runtime or default_runtime()).lock()
        self._used_bytes = 0
        self._num_busy = 0
        self._reserve_bytes = 0
        self._waiting: dict[BudgetShare, Callable[[], None]] = {}
        self._abandoned: deque[int] = deque()

    @property
    def used_bytes(self) -> int:
        """Bytes in flight over all stores."""
        with self._lock:
            self._take_back_abandoned()
            return self._used_bytes

    @property
    def num_busy(self) -> int:
        """Stores that have bytes in flight."""
        with self._lock:
            self._take_back_abandoned()
            return self._num_busy

    def open_share(self, *, urgent: bool = False) -> BudgetShare:
        """The account of one more store, empty at first.

        Once there is an urgent one (a blueprint's), a part of the limit is kept for such
        (`limits.URGENT_RESERVE_SHARE`), and they are woken first when there is room again.
        """
        if urgent:
            with self._lock:
                self._reserve_bytes = self.limit_bytes // URGENT_RESERVE_SHARE
        return BudgetShare(self, urgent=urgent)

    def _take_back_abandoned(self) -> None:
        while self._abandoned:
            self._used_bytes -= self._abandoned.popleft()
            self._num_busy -= 1


class BudgetShare:
    """What one store has in flight. Its owner calls it one call at a time."""

    __slots__ = ("__weakref__", "_budget", "_is_urgent", "held_bytes")

    def __init__(self, budget: ByteBudget, *, urgent: bool = False) -> None:
        self.held_bytes = 0
        self._budget = budget
        self._is_urgent = urgent

    def try_charge(self, cost: int, wake: Callable[[], None] | None = None) -> bool:
        """Take `cost` bytes, or say that there is no room and call `wake` once when there may be.

        `wake` is called by whoever releases, with no lock of the budget held.
        """
        budget = self._budget
        with budget._lock:  # noqa: SLF001 - budget and share are one thing in two parts
            if budget._abandoned:  # noqa: SLF001
                budget._take_back_abandoned()  # noqa: SLF001
            held = self.held_bytes + cost
            if self.held_bytes and held > self._free_bytes():
                if wake is not None:
                    budget._waiting[self] = wake  # noqa: SLF001
                return False
            self._set(held)
        return True

    def _set(self, held: int) -> None:
        """Hold so much from now on; in one assignment, for a Ctrl-C may come between any two."""
        budget, before = self._budget, self.held_bytes
        used = budget._used_bytes + held - before  # noqa: SLF001
        busy = budget._num_busy + (held > 0) - (before > 0)  # noqa: SLF001
        self.held_bytes, budget._used_bytes, budget._num_busy = held, used, busy  # noqa: SLF001

    def _free_bytes(self) -> int:
        budget = self._budget
        kept = 0 if self._is_urgent else budget._reserve_bytes  # noqa: SLF001
        return budget.limit_bytes - kept - budget._used_bytes  # noqa: SLF001

    def charge(self, cost: int) -> None:
        """Take `cost` bytes that are in use already, whether there is room for them or not."""
        budget = self._budget
        with budget._lock:  # noqa: SLF001
            self._set(self.held_bytes + cost)

    def could_charge(self, cost: int, released: int) -> bool:
        """Whether `cost` bytes could be taken if `released` were given back before."""
        with self._budget._lock:  # noqa: SLF001
            held = self.held_bytes - released
            return held <= 0 or held + cost <= self._free_bytes() + released

    def release(self, cost: int) -> list[Callable[[], None]]:
        """Give `cost` bytes back; returns whom to wake, which the caller does without locks."""
        budget = self._budget
        with budget._lock:  # noqa: SLF001
            self._set(self.held_bytes - cost)
            if not budget._waiting:  # noqa: SLF001
                return []
            shares = sorted(budget._waiting, key=lambda share: not share._is_urgent)  # noqa: SLF001
            waiting = [budget._waiting[share] for share in shares]  # noqa: SLF001
            budget._waiting.clear()  # noqa: SLF001
        return waiting

    def stop_waiting(self) -> None:
        """Forget the `wake` of a refused charge."""
        with self._budget._lock:  # noqa: SLF001
            self._budget._waiting.pop(self, None)  # noqa: SLF001

    def __del__(self) -> None:
        # A dropped store gives back what nobody will poll. The garbage collector may call this
        # while its thread holds the lock, so leave a note (an append is all that is safe here).
        # Nobody needs waking: a store that waits has messages of its own in flight, and their
        # settling wakes it.
        if getattr(self, "held_bytes", 0):  # not if a Ctrl-C came before it was made
            self._budget._abandoned.append(self.held_bytes)  # noqa: SLF001
