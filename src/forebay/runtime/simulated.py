"""`SimulatedRuntime`: one seed decides who runs when, and time passes only in its head.

Actors (what a test spawns, and the runtime's workers) are real threads of which exactly one runs;
at every lock, wait and `pause()` the schedule picks the next. So the real code of submitters,
workers and pollers is explored, the same seed gives the same run, and a deadlock is found at once:
nobody can go on.
"""

from __future__ import annotations

import random
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from forebay.runtime.simulated_locks import (
    SimulatedCondition,
    SimulatedLock,
    SimulationError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forebay.runtime.protocol import Condition, Lock, Task

_A_TASK = "a task"


class _Aborted(BaseException):
    """Ends the threads of a simulation that failed."""


class Actor:
    """A thread that runs only while it holds the baton."""

    def __init__(self, name: str, run: Callable[[], object], *, is_worker: bool) -> None:
        self.name = name
        self.run = run
        self.is_worker = is_worker
        self.gate = threading.Lock()
        self.gate.acquire()
        self.blocked_on: str | None = None
        self.deadline_s: float | None = None
        self.notified = False
        self.is_done = False
        self.thread: threading.Thread | None = None


class SimulatedRuntime:
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
        self.seed = seed
        self.steps = 0
        self._choose = choose or random.Random(seed).randrange  # noqa: S311, RUF100 - a schedule
        self._steps_max = steps_max
        self._now_s = 0.0
        self._actors = [
            Actor(f"worker-{number}", self._work, is_worker=True) for number in range(workers)
        ]
        self._ready: list[Task] = []
        self._lent: dict[Actor | None, list[Task]] = {}
        self._current: Actor | None = None
        self._check: Callable[[], object] | None = None
        self._error: BaseException | None = None
        self._is_aborting = False
        self._over = threading.Event()

    # What a runtime offers

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
        return self._now_s

    def wall_clock_ns(self) -> int:
        """Nanoseconds since the epoch of virtual time."""
        return int(self._now_s * 1e9)

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
        return id(self._current)

    def make_room(self, worked_s: float) -> None:
        """Nothing: who goes first is what is explored."""
        del worked_s

    @property
    def is_in_caller(self) -> bool:
        """Whether the running actor is lent, and so runs turns itself."""
        return self._current in self._lent

    @contextmanager
    def lend_thread(self) -> Iterator[None]:
        """Keep what the running actor schedules, then let it run some of that: who runs what?"""
        me = self._current
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
        if self._current is None or self.is_in_caller or not self._choose(2):
            return False
        with self.lend_thread():
            if takes := task in self._ready:
                self._ready.remove(task)
                if task.run_turn():
                    self._append(task)
        return takes

    @property
    def has_deferred(self) -> bool:
        """Whether tasks were kept for the running actor, which is lent."""
        return bool(self._lent.get(self._current))

    def run_deferred(self) -> None:
        """The running actor is about to wait: what it was to run goes to the workers."""
        kept = self._lent[self._current]
        while kept:
            self._append(kept.pop(0))

    def schedule(self, task: Task) -> None:
        """Give `task` turns, on whatever worker the schedule picks."""
        kept = self._lent.get(self._current)
        if kept is None:
            self._append(task)
        else:
            kept.append(task)
        self.pause()

    def _append(self, task: Task) -> None:
        self._ready.append(task)
        for actor in self._actors:
            if actor.blocked_on == _A_TASK:
                actor.blocked_on = None
                break

    # Running

    def spawn(self, name: str, run: Callable[[], object]) -> None:
        """Add an actor; the simulation is over when all actors are and no task is left."""
        self._actors.append(Actor(name, run, is_worker=False))

    def run(self, check: Callable[[], object] | None = None) -> None:
        """Run all actors to their end, calling `check` at every step.

        Raises:
            SimulationError: With the first failure as its cause.
        """
        self._check = check
        for actor in self._actors:
            actor.thread = threading.Thread(
                target=self._live, args=(actor,), name=f"simulated-{actor.name}", daemon=True
            )
            actor.thread.start()
        self._hand_on(None)
        self._over.wait()
        self._is_aborting = True
        for actor in self._actors:
            if actor.thread is not None:
                if not actor.is_done:
                    self._current = actor
                    actor.gate.release()
                actor.thread.join()
        self._actors.clear()
        self._current = None
        self._is_aborting = False
        if self._error is not None:
            msg = f"seed {self.seed}, step {self.steps}: {self._error}"
            raise SimulationError(msg) from self._error

    def pause(self) -> None:
        """Let the schedule pick somebody else, here."""
        if self._current is not None:
            self._hand_on(self._current)

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        self._block("a time", self._now_s + seconds)

    def _live(self, actor: Actor) -> None:
        actor.gate.acquire()
        try:
            if not self._is_aborting:
                actor.run()
        except _Aborted:
            pass
        except BaseException as error:  # noqa: BLE001, RUF100 - reported by run()
            self._fail(error)
        actor.is_done = True
        if not self._is_aborting:
            self._hand_on(None)

    def _work(self) -> None:
        while True:
            while not self._ready:
                self._block(_A_TASK, None)
            task = self._ready.pop(self._choose(len(self._ready)))
            if task.run_turn():
                self._ready.append(task)
            del task
            self.pause()

    def _block(self, on: str, deadline_s: float | None) -> bool:
        """Stop the running actor until it is notified (True) or the time has come (False)."""
        me = self._current
        if me is None:
            msg = f"nobody else is there to end a wait for {on}"
            raise RuntimeError(msg)
        me.blocked_on, me.deadline_s, me.notified = on, deadline_s, False
        self._hand_on(me)
        return me.notified

    def _hand_on(self, me: Actor | None) -> None:
        """Give the baton to whom the schedule picks; return when `me` has it again."""
        if self._is_aborting:
            raise _Aborted
        chosen = None
        try:
            if self._check is not None:
                self._check()
            chosen = self._pick(me)
        except BaseException as error:  # noqa: BLE001, RUF100 - reported by run()
            self._fail(error)
        if chosen is me and me is not None:
            return
        self._current = chosen
        if chosen is None:
            self._over.set()
        else:
            chosen.gate.release()
        if me is not None:
            me.gate.acquire()
            if self._is_aborting:
                raise _Aborted

    def _pick(self, me: Actor | None) -> Actor | None:
        self.steps += 1
        self._now_s += 1e-6
        if self.steps > self._steps_max:
            msg = f"no end after {self._steps_max} steps: {self._who_waits()}"
            raise SimulationError(msg)
        if self._error is not None:
            return None
        running = [a for a in self._actors if a.blocked_on is None and not a.is_done]
        timed = [a for a in self._actors if a.deadline_s is not None and not a.is_done]
        if timed and (not running or not self._choose(8)):
            actor = min(timed, key=lambda each: each.deadline_s or 0.0)
            self._now_s = max(self._now_s, actor.deadline_s or 0.0)
            actor.blocked_on = actor.deadline_s = None
            return actor
        if running:
            if me is not None and me.blocked_on is None and self._choose(2):
                return me
            return running[self._choose(len(running))]
        if all(a.is_done for a in self._actors if not a.is_worker):
            return None
        msg = f"deadlock: {self._who_waits()}"
        raise SimulationError(msg)

    def _who_waits(self) -> str:
        return ", ".join(
            f"{a.name} waits for {a.blocked_on}"
            for a in self._actors
            if a.blocked_on not in {None, _A_TASK} and not a.is_done
        )

    def _fail(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
