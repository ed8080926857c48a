"""`Schedule`: a seeded scheduler that runs one of several threads at a time, under virtual time."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

A_TASK = "a task"
"""What an idle worker waits for."""


class SimulationError(AssertionError):
    """An actor or a check failed, or there was a deadlock; the message tells how to replay it."""


class _Aborted(BaseException):
    """Ends the threads of a simulation that failed."""


class Actor:
    """A thread that runs only while the schedule has chosen it."""

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
    """A scheduler of actors of which exactly one runs at a time.

    Args:
        seed: Determines all choices.
        choose: Replaces the seed: given `n`, returns a choice from `range(n)`.
        steps_max: The simulation fails after this many choices.

    Attributes:
        seed: The seed.
        steps: Number of choices so far.
        current: The running actor. None before and after the run.
        now_s: Virtual time, in seconds.
    """

    def __init__(self, seed: int, choose: Callable[[int], int] | None, steps_max: int) -> None:
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
        """Add an actor. The simulation ends when all actors have ended and no task is left."""
        self._actors.append(Actor(name, run, is_worker=False))

    def run(self, check: Callable[[], object] | None = None) -> None:
        """Run all actors to their end.

        Args:
            check: Called at every step; it raises if an invariant does not hold.

        Raises:
            SimulationError: An actor or the check failed (the first failure is the cause), or no
                actor could continue.
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
        """Let the schedule choose which actor continues."""
        if self.current is not None:
            self._hand_on(self.current)

    def sleep(self, seconds: float) -> None:
        """Stop the running actor for some seconds of virtual time."""
        self.block("a time", self.now_s + seconds)

    @property
    def has_deferred(self) -> bool:
        """Whether the running actor has tasks to run before it waits."""
        return False

    def run_deferred(self) -> None:
        """Run these tasks."""

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
        """Stop the running actor until it is notified (True) or the deadline has come (False).

        Args:
            on: What it waits for, for error messages.
            deadline_s: Virtual time, in seconds. None waits without a limit.

        Raises:
            RuntimeError: No simulation is running, so no other actor could end the wait.
        """
        me = self.current
        if me is None:
            msg = f"no other actor is there to end a wait for {on}"
            raise RuntimeError(msg)
        me.blocked_on, me.deadline_s, me.notified = on, deadline_s, False
        self._hand_on(me)
        return me.notified

    def _hand_on(self, me: Actor | None) -> None:
        """Let the actor run that the schedule chooses; return when `me` is chosen again."""
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
            msg = f"no end after {self._steps_max} steps: {self._waiting_text()}"
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
        msg = f"deadlock: {self._waiting_text()}"
        raise SimulationError(msg)

    def _waiting_text(self) -> str:
        return ", ".join(
            f"{a.name} waits for {a.blocked_on}"
            for a in self._actors
            if a.blocked_on not in {None, A_TASK} and not a.is_done
        )

    def _fail(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
