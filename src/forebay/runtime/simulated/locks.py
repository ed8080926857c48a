"""Locks and conditions of a simulation; at each acquisition the schedule may switch actors."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from forebay.runtime.simulated.schedule import SimulationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from forebay.runtime.simulated.schedule import Actor, Schedule

_T = TypeVar("_T")


class SimulatedLock:
    """A lock that lets the schedule choose the next actor at each acquisition."""

    def __init__(self, schedule: Schedule, *, reentrant: bool) -> None:
        self._schedule = schedule
        self._reentrant = reentrant
        self._holder: Actor | None = None
        self._depth = 0
        self._waiting: list[Actor] = []

    def locked(self) -> bool:
        """Return whether an actor holds the lock."""
        return self._depth > 0

    def __enter__(self) -> bool:
        schedule = self._schedule
        schedule.pause()
        me = schedule.current
        if self._depth and self._holder is me and not self._reentrant:
            msg = f"{me.name if me else 'the test'} takes a lock that it holds"
            raise SimulationError(msg)
        while self._depth and self._holder is not me:
            if me is None or self._holder is None:
                msg = "the test takes a lock that is held"
                raise SimulationError(msg)
            self._waiting.append(me)
            schedule.block(f"a lock that {self._holder.name} holds", None)
        self._holder = me
        self._depth += 1
        return True

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._holder = None
            for actor in self._waiting:
                actor.blocked_on = None
            self._waiting.clear()


class SimulatedCondition:
    """A condition whose waiting actors wake in an order that the schedule chooses."""

    def __init__(self, schedule: Schedule, lock: SimulatedLock) -> None:
        self._schedule = schedule
        self._lock = lock
        self._waiting: list[Actor] = []

    def __enter__(self) -> bool:
        return self._lock.__enter__()

    def __exit__(self, *exception: object) -> None:
        self._lock.__exit__(*exception)

    def wait(self, timeout: float | None = None) -> bool:
        """Release the lock until notified; return False after `timeout` seconds of virtual time."""
        schedule = self._schedule
        me = schedule.current
        if me is None:
            return False
        if schedule.has_deferred:
            self._lock.__exit__()
            schedule.run_deferred()
            self._lock.__enter__()
            return True
        self._waiting.append(me)
        self._lock.__exit__()
        deadline_s = None if timeout is None else schedule.now_s + timeout
        notified = schedule.block("a notification", deadline_s)
        if me in self._waiting:
            self._waiting.remove(me)
        self._lock.__enter__()
        return notified

    def wait_for(self, predicate: Callable[[], _T], timeout: float | None = None) -> _T:
        """Wait until `predicate` holds or `timeout` seconds of virtual time are over.

        Returns:
            The last value of `predicate`.
        """
        schedule = self._schedule
        deadline_s = None if timeout is None else schedule.now_s + timeout
        while not (result := predicate()):
            left = None if deadline_s is None else deadline_s - schedule.now_s
            if (left is not None and left <= 0) or not self.wait(left):
                return predicate()
        return result

    def notify_all(self) -> None:
        """Wake all waiting actors."""
        for actor in self._waiting:
            if actor.blocked_on is not None:
                actor.notified = True
                actor.blocked_on = actor.deadline_s = None
        self._waiting.clear()
