"""`Schedule`: threads of which one runs at a time; a seed says which, and time is virtual."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

A_TASK = "a task"
"""What a worker waits for that has nothing to do."""


class SimulationError(AssertionError):
    """An actor failed, a check failed, or nobody could go on; the message says how to replay."""


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


class Schedule:
    """Actors of whom exactly one runs; whoever may stop here hands the baton on.

    Attributes:
        seed: What all choices follow from.
        steps: How often there was a choice so far.
        current: The actor that runs; `None` before and after the run.
        now_s: Seconds of virtual time.
    """

    def __init__(self, seed: int, choose: Callable[[int], int] | None, steps_max: int) -> None:
        """A schedule without actors; given `n`, `choose` picks one of `n` ways on."""
        self.seed = seed
        self.steps = 0
        self._choose = choose or random.Random(seed).randrange  # noqa: S311, RUF100 - a schedule
        self._steps_max = steps_max
        self.now_s = 0.0
        self._actors: list[Actor] = []
        self.current: Actor | None = None
        self._check: Callable[[], object] | None = None
        self._error: BaseException | None = None
        self._is_aborting = False
        self._over = threading.Event()

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
                    self.current = actor
                    actor.gate.release()
                actor.thread.join()
        self._actors.clear()
        self.current = None
        self._is_aborting = False
        if self._error is not None:
            msg = f"seed {self.seed}, step {self.steps}: {self._error}"
            raise SimulationError(msg) from self._error

    def pause(self) -> None:
        """Let the schedule pick somebody else, here."""
        if self.current is not None:
            self._hand_on(self.current)

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.block("a time", self.now_s + seconds)

    @property
    def has_deferred(self) -> bool:
        """Whether the running actor has work of its own to do before it waits."""
        return False

    def run_deferred(self) -> None:
        """Let the running actor do that work."""

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

    def block(self, on: str, deadline_s: float | None) -> bool:
        """Stop the running actor until it is notified (True) or the time has come (False)."""
        me = self.current
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
        self.current = chosen
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
        self.now_s += 1e-6
        if self.steps > self._steps_max:
            msg = f"no end after {self._steps_max} steps: {self._who_waits()}"
            raise SimulationError(msg)
        if self._error is not None:
            return None
        running = [a for a in self._actors if a.blocked_on is None and not a.is_done]
        timed = [a for a in self._actors if a.deadline_s is not None and not a.is_done]
        if timed and (not running or not self._choose(8)):
            actor = min(timed, key=lambda each: each.deadline_s or 0.0)
            self.now_s = max(self.now_s, actor.deadline_s or 0.0)
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
            if a.blocked_on not in {None, A_TASK} and not a.is_done
        )

    def _fail(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
