"""`SimulatedRuntime`: one seed decides who runs when, and time passes only in its head.

Actors (what a test spawns, and the runtime's workers) are real threads of which exactly one runs;
at every lock, wait and `pause()` the schedule picks the next. So the real code of submitters,
workers and pollers is explored, the same seed gives the same run, and a deadlock is found at once:
nobody can go on.
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
    """Tasks, locks and clocks under a schedule drawn from a seed.

    Spawn actors, then call `run()`. Locks, conditions and clocks work within it; before and after
    it the caller is alone. `choose` replaces the seed: given `n`, it picks one of `n` ways on.

    Attributes:
        steps: How often the schedule had a choice so far.
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
        """Workers that are in a turn."""
        return sum(1 for actor in self._actors if actor.is_worker and actor.blocked_on is None)

    def lock(self) -> Lock:
        """A lock that is not reentrant."""
        return SimulatedLock(self, reentrant=False)

    def rlock(self) -> Lock:
        """A lock that its holder may take again."""
        return SimulatedLock(self, reentrant=True)

    def condition(self, lock: Lock | None = None) -> Condition:
        """A condition over `lock`, or over a lock of its own."""
        if lock is None:
            lock = self.lock()
        if not isinstance(lock, SimulatedLock):
            msg = "a simulated condition needs a simulated lock"
            raise TypeError(msg)
        return SimulatedCondition(self, lock)

    def monotonic_s(self) -> float:
        """Seconds of virtual time."""
        return self.now_s

    def wall_clock_ns(self) -> int:
        """Nanoseconds since the epoch of virtual time."""
        return int(self.now_s * 1e9)

    @property
    def is_contended(self) -> bool:
        """Never: turns are as short as the simulation makes them."""
        return False

    def turns_at_once(self, msg_bytes: int) -> int:
        """As many as there are workers, whatever the size: orders are what is explored."""
        del msg_bytes
        return sum(1 for actor in self._actors if actor.is_worker) or 1

    def thread_id(self) -> int:
        """Tells the running actor from all others."""
        return id(self.current)

    def make_room(self, worked_s: float) -> None:
        """Nothing: who goes first is what is explored."""
        del worked_s

    @property
    def is_in_caller(self) -> bool:
        """Whether the running actor runs turns itself."""
        return self.current in self._lent or self.current in self._helping

    @contextmanager
    def lend_thread(self) -> Iterator[None]:
        """Keep what the running actor schedules, then let it run some of that: who runs what?"""
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
        """Let the running actor have a turn of a task that waits for a worker; or not."""
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
        """Whether tasks were kept for the running actor, which is lent."""
        return bool(self._lent.get(self.current))

    def run_deferred(self) -> None:
        """The running actor is about to wait: what it was to run goes to the workers."""
        kept = self._lent[self.current]
        while kept:
            self._append(kept.pop(0))

    def schedule(self, task: Task) -> None:
        """Give `task` turns, on whatever worker the schedule picks."""
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
