"""`LentThreads`: callers that would only wait for their tasks run them instead."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forebay.runtime.protocol import Task


class LentThreads:
    """The threads that are lent to a runtime at the moment, and the tasks kept for each.

    A Ctrl-C may end a turn, or arrive between two turns. A task that was not run, or perhaps not
    run, is then handed to the runtime's own threads: one turn too many does no harm, a missing one
    would.

    Args:
        hand_on: Gives a task to the runtime's own threads.
    """

    __slots__ = ("_hand_on", "_lent")

    def __init__(self, hand_on: Callable[[Task], object]) -> None:
        self._hand_on = hand_on
        self._lent: dict[int, _Lent] = {}

    def forget(self) -> None:
        """Forget all lent threads, in a forked child."""
        self._lent.clear()

    def keep(self, task: Task) -> bool:
        """Keep a task for the calling thread if it is lent; return whether it was kept."""
        if not self._lent:
            return False
        lent = self._lent.get(threading.get_ident())
        if lent is None or not lent.keeps:
            return False
        lent.waiting.append(task)
        return True

    @property
    def is_mine(self) -> bool:
        """Whether the calling thread is lent."""
        return threading.get_ident() in self._lent

    @property
    def has_kept(self) -> bool:
        """Whether tasks wait for the calling thread, not counting the one that it runs."""
        lent = self._lent.get(threading.get_ident())
        return lent is not None and bool(lent.waiting)

    def hand_on_kept(self) -> None:
        """Hand the kept tasks of the calling thread, which is about to wait, to other threads."""
        lent = self._lent[threading.get_ident()]
        while lent.waiting:
            self._hand_on(lent.waiting[0])
            lent.waiting.popleft()

    def run(self, task: Task, take: Callable[[], bool], run: Callable[[Task], object]) -> bool:
        """Run one task on the calling thread, which is not lent, if `take` returns True.

        Tasks that it schedules meanwhile go to the runtime's own threads.

        Args:
            task: The task.
            take: Takes the task from the ready queue; returns False if it may not run now.
            run: Runs a turn of the task.

        Returns:
            What `take` returned.
        """
        with self._lent_out(_Lent(keeps=False)) as lent:
            lent.running = task  # first: a Ctrl-C between taking and running must not lose it
            takes = take()
            if takes:
                run(task)
            lent.running = None
        return takes

    @contextmanager
    def lend(self, run: Callable[[Task], object]) -> Iterator[None]:
        """Keep what the calling thread schedules in the `with` block; `run` it at the end."""
        if self.is_mine:
            yield
            return
        with self._lent_out(_Lent(keeps=True)) as lent:
            yield
            while lent.waiting:
                lent.running = lent.waiting[0]
                lent.waiting.popleft()
                run(lent.running)
                lent.running = None

    @contextmanager
    def _lent_out(self, lent: _Lent) -> Iterator[_Lent]:
        """Lend the calling thread; at the end, also after an exception, hand on the other tasks."""
        me = threading.get_ident()
        self._lent[me] = lent
        try:
            yield lent
        finally:
            try:
                self._end(me, lent)
            except BaseException:
                self._end(me, lent)
                raise

    def _end(self, me: int, lent: _Lent) -> None:
        self._lent.pop(me, None)
        if lent.running is not None:
            self._hand_on(lent.running)
            lent.running = None
        while lent.waiting:
            self._hand_on(lent.waiting[0])
            lent.waiting.popleft()


class _Lent:
    __slots__ = ("keeps", "running", "waiting")

    def __init__(self, *, keeps: bool) -> None:
        self.keeps = keeps
        self.waiting: deque[Task] = deque()
        self.running: Task | None = None
