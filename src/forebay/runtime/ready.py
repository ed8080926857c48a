"""`ReadyQueue`: whose turn is next. Pure; the runtime that owns it guards it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from forebay.limits import URGENT_TURNS_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

    from forebay.runtime.protocol import Task


class ReadyQueue:
    """Tasks that wait for a thread: urgent ones first (a `priority` above 0), else in order.

    After `limits.URGENT_TURNS_MAX` urgent turns in a row another task has one, so none starves.
    """

    __slots__ = ("_in_a_row", "_others", "_urgent")

    def __init__(self) -> None:
        self._urgent: deque[Task] = deque()
        self._others: deque[Task] = deque()
        self._in_a_row = 0

    def __len__(self) -> int:
        return len(self._urgent) + len(self._others)

    def append(self, task: Task) -> None:
        """Let a task wait behind those of its kind."""
        if getattr(task, "priority", 0) > 0:
            self._urgent.append(task)
        else:
            self._others.append(task)

    def take(self, may_run: Callable[[Task], bool]) -> Task | None:
        """Whose turn it is among those that may run now; `None` if none of them may."""
        if not self:
            return None
        first = self.popleft()
        if may_run(first):
            return first
        in_a_row = self._in_a_row
        self._give_back(first)
        for lane in (self._urgent, self._others):
            for place, task in enumerate(lane):
                if may_run(task):
                    del lane[place]
                    self._in_a_row = in_a_row if lane is self._urgent else 0
                    return task
        return None

    def _give_back(self, task: Task) -> None:
        lane = self._urgent if getattr(task, "priority", 0) > 0 else self._others
        lane.appendleft(task)

    def popleft(self) -> Task:
        """Whose turn it is.

        Raises:
            IndexError: Nobody waits.
        """
        if self._urgent and (self._in_a_row < URGENT_TURNS_MAX or not self._others):
            self._in_a_row += 1
            return self._urgent.popleft()
        self._in_a_row = 0
        return self._others.popleft()
