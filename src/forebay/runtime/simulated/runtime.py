"""`SimulatedRuntime`: a seed decides which thread runs when, and time is virtual.

Actors (the functions that a test spawns, and the runtime's workers) are real threads of which
exactly one runs at a time. At every lock, wait and `pause()` the schedule chooses the next one. So
the real code of submitters, workers and pollers is tested, the same seed gives the same run, and a
deadlock is found at once: no actor can continue.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from forebay.runtime.simulated.locks import SimulatedCondition, SimulatedLock
from forebay.runtime.simulated.schedule import A_TASK, Actor, Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forebay.runtime.protocol import Condition, Lock, Task


class SimulatedRuntime(Schedule):
    """Tasks, locks and clocks under a schedule that is drawn from a seed.

    Spawn actors, then call `run()`. Locks, conditions and clocks work during the run; before and
    after it only the calling thread may use them.

    Args:
        seed: Determines all choices of the schedule.
        workers: Number of worker actors that run tasks.
        choose: Replaces the seed: given `n`, returns a choice from `range(n)`.
        steps_max: The simulation fails after this many choices.

    Attributes:
        steps: Number of choices of the schedule so far.
    """

    name = "simulated"
    has_threads = True

    def __init__(
        self,
        seed: int = 0,
        *,
        workers: int = 2,
        choose: Callable[[int], int] | None = None,
        steps_max: int = 100_000,
    ) -> None:
        super().__init__(seed, choose, steps_max)
        self._actors += [
            Actor(f"worker-{number}", self._work, is_worker=True) for number in range(workers)
        ]
        self._ready: list[Task] = []
        self._lent: dict[Actor | None, list[Task]] = {}
        self._helping: set[Actor | None] = set()

    @property
    def num_threads(self) -> int:
        """Number of workers that are in a turn."""
        return sum(1 for actor in self._actors if actor.is_worker and actor.blocked_on is None)

    def lock(self) -> Lock:
        """Return a lock that is not reentrant."""
        return SimulatedLock(self, reentrant=False)

    def rlock(self) -> Lock:
        """Return a reentrant lock."""
        return SimulatedLock(self, reentrant=True)

    def condition(self, lock: Lock | None = None) -> Condition:
        """Return a condition over `lock`, or over a new lock if that is None.

        Raises:
            TypeError: `lock` is not a lock of a simulation.
        """
        if lock is None:
            lock = self.lock()
        if not isinstance(lock, SimulatedLock):
            msg = "a simulated condition needs a simulated lock"
            raise TypeError(msg)
        return SimulatedCondition(self, lock)

    def monotonic_s(self) -> float:
        """Return seconds of virtual time."""
        return self.now_s

    def wall_clock_ns(self) -> int:
        """Return nanoseconds since the start of virtual time."""
        return int(self.now_s * 1e9)

    @property
    def is_contended(self) -> bool:
        """Always False: turns are as short as the simulation makes them."""
        return False

    def turns_at_once(self, msg_bytes: int) -> int:
        """Return the number of workers, whatever the size: the simulation explores all orders."""
        del msg_bytes
        return sum(1 for actor in self._actors if actor.is_worker) or 1

    def thread_id(self) -> int:
        """Return an id that no other actor has."""
        return id(self.current)

    def make_room(self, worked_s: float) -> None:
        """Do nothing: the schedule decides which actor goes first."""
        del worked_s

    @property
    def is_in_caller(self) -> bool:
        """Whether the running actor runs turns itself."""
        return self.current in self._lent or self.current in self._helping

    @contextmanager
    def lend_thread(self) -> Iterator[None]:
        """Keep what the running actor schedules; at the end run turns as the schedule chooses."""
        me = self.current
        if me is None or me in self._lent:
            yield
            return
        kept = self._lent[me] = []
        try:
            yield
            while kept:
                task = kept.pop(0)
                while (more := self._choose(4) > 0) and task.run_turn():
                    self.pause()
                if not more:
                    self._append(task)
        finally:
            del self._lent[me]
            for task in kept:
                self._append(task)

    def run_waiting(self, task: Task) -> bool:
        """Run a turn of a queued task on the running actor, if the schedule chooses so."""
        me = self.current
        if me is None or me in self._lent or task not in self._ready or not self._choose(2):
            return False
        self._ready.remove(task)
        self._helping.add(me)
        try:
            more = task.run_turn()
        finally:
            self._helping.discard(me)
        if more:
            self._append(task)
        return True

    @property
    def has_deferred(self) -> bool:
        """Whether tasks are kept for the running actor, which is lent."""
        return bool(self._lent.get(self.current))

    def run_deferred(self) -> None:
        """Hand the tasks kept for the running actor, which is about to wait, to the workers."""
        kept = self._lent[self.current]
        while kept:
            self._append(kept.pop(0))

    def schedule(self, task: Task) -> None:
        """Run turns of `task`, on a worker that the schedule chooses."""
        kept = self._lent.get(self.current)
        if kept is None:
            self._append(task)
        else:
            kept.append(task)
        self.pause()

    def _append(self, task: Task) -> None:
        self._ready.append(task)
        for actor in self._actors:
            if actor.blocked_on == A_TASK:
                actor.blocked_on = None
                break

    def _work(self) -> None:
        while True:
            while not self._ready:
                self.block(A_TASK, None)
            task = self._ready.pop(self._choose(len(self._ready)))
            if task.run_turn():
                self._ready.append(task)
            del task
            self.pause()
