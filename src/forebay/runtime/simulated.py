"""`SimulatedRuntime`: one seed decides who runs when, and time passes only in its head.

Actors (what a test spawns, and the runtime's workers) are real threads of which exactly one runs;
at every lock, wait and `pause()` the schedule picks the next. So the real code of submitters,
workers and pollers is explored, the same seed gives the same run, and a deadlock is found at once:
nobody can go on.
"""

from __future__ import annotations

import random
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from forebay.runtime.protocol import Condition, Lock, Task

_T = TypeVar("_T")
_A_TASK = "a task"


class SimulationError(AssertionError):
    """An actor failed, a check failed, or nobody could go on; the message says how to replay."""


class _Aborted(BaseException):
    """Ends the threads of a simulation that failed."""


class _Actor:
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
    is_in_caller = False

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
            _Actor(f"worker-{number}", self._work, is_worker=True) for number in range(workers)
        ]
        self._ready: list[Task] = []
        self._current: _Actor | None = None
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

    def lend_thread(self) -> AbstractContextManager[None]:
        """Nothing: who runs what is what is explored."""
        return nullcontext()

    def schedule(self, task: Task) -> None:
        """Give `task` turns, on whatever worker the schedule picks."""
        self._ready.append(task)
        for actor in self._actors:
            if actor.blocked_on == _A_TASK:
                actor.blocked_on = None
                break
        self.pause()

    # Running

    def spawn(self, name: str, run: Callable[[], object]) -> None:
        """Add an actor; the simulation is over when all actors are and no task is left."""
        self._actors.append(_Actor(name, run, is_worker=False))

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

    def _live(self, actor: _Actor) -> None:
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

    def _hand_on(self, me: _Actor | None) -> None:
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

    def _pick(self, me: _Actor | None) -> _Actor | None:
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


class SimulatedLock:
    """A lock whose every taking is a choice of the schedule."""

    def __init__(self, runtime: SimulatedRuntime, *, reentrant: bool) -> None:
        self._runtime = runtime
        self._reentrant = reentrant
        self._holder: _Actor | None = None
        self._depth = 0
        self._waiting: list[_Actor] = []

    def locked(self) -> bool:
        """Whether somebody holds it."""
        return self._depth > 0

    def __enter__(self) -> bool:
        runtime = self._runtime
        runtime.pause()
        me = runtime._current  # noqa: SLF001 - runtime and lock are one thing in two parts
        if self._depth and self._holder is me and not self._reentrant:
            msg = f"{me.name if me else 'the test'} takes a lock that it holds"
            raise SimulationError(msg)
        while self._depth and self._holder is not me:
            if me is None or self._holder is None:
                msg = "the test takes a lock that is held"
                raise SimulationError(msg)
            self._waiting.append(me)
            runtime._block(f"a lock that {self._holder.name} holds", None)  # noqa: SLF001
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
    """A condition whose waiters wake in an order that the schedule picks."""

    def __init__(self, runtime: SimulatedRuntime, lock: SimulatedLock) -> None:
        self._runtime = runtime
        self._lock = lock
        self._waiting: list[_Actor] = []

    def __enter__(self) -> bool:
        return self._lock.__enter__()

    def __exit__(self, *exception: object) -> None:
        self._lock.__exit__(*exception)

    def wait(self, timeout: float | None = None) -> bool:
        """Let go of the lock until notified or until virtual time has passed."""
        runtime = self._runtime
        me = runtime._current  # noqa: SLF001
        if me is None:
            return False
        self._waiting.append(me)
        self._lock.__exit__()
        deadline_s = None if timeout is None else runtime.monotonic_s() + timeout
        notified = runtime._block("a notification", deadline_s)  # noqa: SLF001
        if me in self._waiting:
            self._waiting.remove(me)
        self._lock.__enter__()
        return notified

    def wait_for(self, predicate: Callable[[], _T], timeout: float | None = None) -> _T:
        """Wait until `predicate` holds, or until virtual time has passed."""
        runtime = self._runtime
        deadline_s = None if timeout is None else runtime.monotonic_s() + timeout
        while not (result := predicate()):
            left = None if deadline_s is None else deadline_s - runtime.monotonic_s()
            if (left is not None and left <= 0) or not self.wait(left):
                return predicate()
        return result

    def notify_all(self) -> None:
        """Wake everybody who waits."""
        for actor in self._waiting:
            if actor.blocked_on is not None:
                actor.notified = True
                actor.blocked_on = actor.deadline_s = None
        self._waiting.clear()
