"""`ByteBudget`: the bytes that all stores of a hub may have in flight together."""

from __future__ import annotations

import weakref
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from forebay.ingest.expansions import Expansions
from forebay.limits import BUDGET_FLOOR_SHARE, HUB_BUDGET_BYTES, URGENT_RESERVE_SHARE
from forebay.runtime import default_runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from forebay.runtime import Runtime


class _Waiting(NamedTuple):
    """A store that waits for bytes: how to wake it, and the least that it wants."""

    wake: Callable[[], None]
    cost: int


class ByteBudget:
    """Bytes shared by many stores: never more than the limit, and each store has its turn.

    What a message will take is reserved before any of it is allocated. The rules, for a store that
    holds `held` bytes and wants `cost` more:

    - The sum stays within the limit, always. A message that alone is larger is refused by the
      worker, for it would never fit.
    - One part in `limits.BUDGET_FLOOR_SHARE` is the *floor*: it is there for the first messages of
      stores that hold nothing, however many others stand still.
    - A store that holds something may go on while it holds no more than it leaves free above the
      floor (the dynamic threshold of shared-memory switches): alone it gets half of that, one of
      `n` gets `1 / (n + 1)`. So a store that stands still never takes all.
    - A store that holds nothing may have one message if that leaves the floor, or as much as it
      takes. One that is larger than all above the floor has to find the limit nearly unused.
    - Of the stores that wait and hold nothing, the one that waits longest is the *heir*: all that
      is given back is kept for it, and until it is served the others share the floor alone. So
      each has its turn, however large its message is, and small ones go by meanwhile.
    - Once there is an urgent store (a blueprint's), one part in `limits.URGENT_RESERVE_SHARE` is
      kept for such, and they wait for no heir.

    Safe from any thread.

    Attributes:
        limit_bytes: What the stores share.
        expansions: Who may decode what becomes much larger.
    """

    def __init__(
        self, limit_bytes: int = HUB_BUDGET_BYTES, *, runtime: Runtime | None = None
    ) -> None:
        self.limit_bytes = limit_bytes
        runtime = runtime or default_runtime()
        self.expansions = Expansions(limit_bytes, runtime)
        self._lock = runtime.lock()
        self._floor_bytes = limit_bytes // BUDGET_FLOOR_SHARE
        self._used_bytes = 0
        self._floor_used_bytes = 0
        self._num_busy = 0
        self._reserve_bytes = 0
        # In the order in which they began to wait.
        self._waiting: dict[BudgetShare, _Waiting] = {}
        self._heir: BudgetShare | None = None
        self._num_outputs = 0
        self._busy: dict[int, weakref.ref[BudgetShare]] = {}
        self._abandoned: deque[tuple[int, int]] = deque()

    @property
    def used_bytes(self) -> int:
        """Bytes in flight over all stores."""
        with self._lock:
            self._take_back_abandoned()
            return self._used_bytes

    @property
    def used_bytes_about(self) -> int:
        """The same, perhaps of a moment ago, without waiting for anything."""
        return self._used_bytes

    @property
    def num_busy(self) -> int:
        """Stores that have bytes in flight."""
        with self._lock:
            self._take_back_abandoned()
            return self._num_busy

    def open_share(
        self, *, urgent: bool = False, reclaim: Callable[[], object] | None = None
    ) -> BudgetShare:
        """The account of one more store, empty at first.

        Args:
            urgent: It is a blueprint's.
            reclaim: Makes its owner commit finished output, if there is some, so that it gives
                bytes back. It must not keep the owner alive.
        """
        if urgent:
            with self._lock:
                self._reserve_bytes = self.limit_bytes // URGENT_RESERVE_SHARE
        return BudgetShare(self, urgent=urgent, reclaim=reclaim)

    def _take_back_abandoned(self) -> None:
        while self._abandoned:
            held_bytes, floor_bytes = self._abandoned.popleft()
            self._used_bytes -= held_bytes
            self._floor_used_bytes -= floor_bytes
            self._num_busy -= 1

    def _wakes(self) -> list[Callable[[], None]]:
        """The wakes of the stores that would find room, in order; the caller has the lock."""
        if not self._waiting:
            return []
        self._take_back_abandoned()
        used, wakes = self._used_bytes, []
        for share, waiting in sorted(self._waiting.items(), key=_is_not_urgent):
            if share._fits(waiting.cost, used):  # noqa: SLF001 - budget and share are one thing in two parts
                used += waiting.cost
                wakes.append(waiting.wake)
        return wakes

    def _choose_heir(self) -> None:
        """The heir, after it was served, gave up, or holds something; the caller has the lock."""
        idle = (share for share in self._waiting if not share.held_bytes)
        self._heir = next(idle, None)

    def validate(self) -> None:
        """Check what must hold at every moment; for tests.

        Raises:
            AssertionError: Naming what does not hold.
        """
        assert 0 <= self._used_bytes <= self.limit_bytes, "more is reserved than the budget"
        assert 0 <= self._floor_used_bytes <= self._floor_bytes, "more of the floor than there is"


def _is_not_urgent(item: tuple[BudgetShare, _Waiting]) -> bool:
    return not item[0]._is_urgent  # noqa: SLF001


class BudgetShare:
    """What one store has in flight. Its owner calls it one call at a time."""

    __slots__ = {
        "__weakref__": "The budget refers to busy shares weakly.",
        "_budget": "What the share is of.",
        "_floor_bytes": "How many of `held_bytes` are of the budget's floor.",
        "_is_urgent": "Whether it is a blueprint's.",
        "_reclaim": "Makes its owner commit finished output.",
        "_ref": "A weak reference to this share, made once.",
        "held_bytes": "Bytes that the store has in flight.",
    }

    def __init__(
        self,
        budget: ByteBudget,
        *,
        urgent: bool = False,
        reclaim: Callable[[], object] | None = None,
    ) -> None:
        self.held_bytes = 0
        self._floor_bytes = 0
        self._budget = budget
        self._is_urgent = urgent
        self._reclaim = reclaim
        self._ref = weakref.ref(self)

    def try_charge(self, cost: int, wake: Callable[[], None] | None = None) -> bool:
        """Take `cost` bytes, or say that there is no room and call `wake` when there may be.

        With `wake` the store waits from then on: it keeps its place among those that wait until it
        takes bytes, or calls `stop_waiting`. `wake` is called by the thread that gives bytes back,
        with no lock of the budget held, whenever there may be room.
        """
        budget = self._budget
        with budget._lock:  # noqa: SLF001
            if budget._abandoned:  # noqa: SLF001
                budget._take_back_abandoned()  # noqa: SLF001
            waiting, held = budget._waiting, self.held_bytes  # noqa: SLF001
            if held and not waiting:
                # The common case, in a few steps: one assignment, as in `_set`.
                used = budget._used_bytes  # noqa: SLF001
                if held + cost <= budget.limit_bytes - budget._floor_bytes - used:  # noqa: SLF001
                    self.held_bytes, budget._used_bytes = held + cost, used + cost  # noqa: SLF001
                    return True
            if not self._fits(cost, budget._used_bytes):  # noqa: SLF001
                if wake is not None:
                    if self in waiting:
                        cost = min(cost, waiting[self].cost)
                    waiting[self] = _Waiting(wake, cost)
                    if budget._heir is None and not self.held_bytes:  # noqa: SLF001
                        budget._heir = self  # noqa: SLF001
                return False
            is_from_floor = budget._heir is not None and budget._heir is not self  # noqa: SLF001
            floor = cost if is_from_floor and not self._is_urgent else 0
            self._set(self.held_bytes + cost, self._floor_bytes + floor)
            if waiting and self in waiting:
                del waiting[self]
                if budget._heir is self:  # noqa: SLF001
                    budget._choose_heir()  # noqa: SLF001
        return True

    def _fits(self, cost: int, used: int) -> bool:
        """Whether `cost` bytes could be taken while `used` are; the caller has the lock."""
        budget, held = self._budget, self.held_bytes
        free = budget.limit_bytes - used
        if cost > free:
            return False
        if self._is_urgent:
            return not held or held + cost <= free
        free -= budget._reserve_bytes  # noqa: SLF001
        floor_bytes = budget._floor_bytes  # noqa: SLF001
        if budget._heir is None or budget._heir is self:  # noqa: SLF001
            if held:
                return held + cost <= budget.limit_bytes - floor_bytes - used
            rest_max = budget.limit_bytes - floor_bytes
            rest_used = used - budget._floor_used_bytes  # noqa: SLF001
            return 2 * cost <= free or rest_used + cost <= rest_max or cost > rest_max
        # What is given back is the heir's: for all others there is the floor alone.
        floor_free = floor_bytes - budget._floor_used_bytes  # noqa: SLF001
        return cost <= free and self._floor_bytes + cost <= floor_free

    def _set(self, held: int, floor: int) -> None:
        """Hold so much from now on; in one assignment, for a Ctrl-C may come between any two."""
        b, before = self._budget, self.held_bytes
        if held and not before:
            b._busy[id(self)] = self._ref  # noqa: SLF001
        used = b._used_bytes + held - before  # noqa: SLF001
        floor_used = b._floor_used_bytes + floor - self._floor_bytes  # noqa: SLF001
        busy = b._num_busy + (held > 0) - (before > 0)  # noqa: SLF001
        now = held, floor, used, floor_used, busy
        self.held_bytes, self._floor_bytes, b._used_bytes, b._floor_used_bytes, b._num_busy = now  # noqa: SLF001
        if before and not held:
            b._busy.pop(id(self), None)  # noqa: SLF001
            if b._heir is None and self in b._waiting:  # noqa: SLF001
                b._heir = self  # noqa: SLF001

    def charge(self, cost: int) -> None:
        """Take `cost` bytes that are in use already, whether there is room for them or not.

        For what rare encodings of Arrow expand to, which is known only while a message is decoded.
        By that much (see `Expansions`) the limit can be exceeded.
        """
        budget = self._budget
        with budget._lock:  # noqa: SLF001
            self._set(self.held_bytes + cost, self._floor_bytes)

    def end_expansion(self) -> None:
        """The calling thread no longer has a message that became much larger (see `Expansions`)."""
        self._budget.expansions.end()

    def could_charge(self, cost: int, released: int) -> bool:
        """Whether `cost` bytes could be taken if `released` were given back before."""
        budget = self._budget
        with budget._lock:  # noqa: SLF001
            held = max(0, self.held_bytes - released)
            free = budget.limit_bytes - budget._used_bytes + released  # noqa: SLF001
            return held + cost <= free or (not held and cost <= free)

    def release(self, cost: int) -> list[Callable[[], None]]:
        """Give `cost` bytes back.

        Returns:
            Functions that wake stores which may find room now, to be called without locks.
        """
        budget = self._budget
        with budget._lock:  # noqa: SLF001
            held = self.held_bytes - cost
            # What is not of the floor goes back first: the heir waits for that.
            self._set(held, min(self._floor_bytes, held))
            return budget._wakes()  # noqa: SLF001

    # Waiting

    @property
    def is_waiting(self) -> bool:
        """Whether a charge with a `wake` was refused, and none was taken since."""
        waiting = self._budget._waiting  # noqa: SLF001
        return bool(waiting) and self in waiting

    def stop_waiting(self) -> list[Callable[[], None]]:
        """Give up the place among those that wait; returns wakes, as `release`."""
        budget = self._budget
        with budget._lock:  # noqa: SLF001
            if self not in budget._waiting:  # noqa: SLF001
                return []
            del budget._waiting[self]  # noqa: SLF001
            if budget._heir is self:  # noqa: SLF001
                budget._choose_heir()  # noqa: SLF001
            return budget._wakes()  # noqa: SLF001

    # Output that holds bytes until its owner commits it

    @property
    def num_outputs(self) -> int:
        """How often a store left output to its owner: if it is more now, it is worth asking."""
        return self._budget._num_outputs  # noqa: SLF001

    def note_output(self) -> list[Callable[[], None]]:
        """Output is left to the owner: those that wait may make it commit; returns their wakes."""
        budget = self._budget
        with budget._lock:  # noqa: SLF001
            budget._num_outputs += 1  # noqa: SLF001
            return [waiting.wake for waiting in budget._waiting.values()]  # noqa: SLF001

    def reclaim_from_others(self) -> None:
        """Have other stores' finished output committed, by this thread; called without locks.

        A thread that submits to one store and polls another would else wait for itself.
        """
        budget = self._budget
        with budget._lock:  # noqa: SLF001
            shares = [one() for one in budget._busy.values()]  # noqa: SLF001
        others = [share for share in shares if share is not None and share is not self]
        for reclaim in [share._reclaim for share in others]:  # noqa: SLF001
            if reclaim is not None:
                reclaim()

    def __del__(self) -> None:
        # A dropped store gives back what no owner will poll. The garbage collector may call this
        # while its thread holds the lock, so leave a note (an append is all that is safe here).
        # Those that wait look again now and then (`limits.HUB_ROOM_LOOK_S`).
        if getattr(self, "held_bytes", 0):  # not if a Ctrl-C came before it was made
            self._budget._abandoned.append((self.held_bytes, self._floor_bytes))  # noqa: SLF001
