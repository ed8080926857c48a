"""`ReadyQueue`: decides which task runs next. Not thread-safe; its owner guards it with a lock."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from forebay.limits import LIGHT_TURN_S, TURNS_PASSED_MAX, TURNS_TAKEN_MAX

if TYPE_CHECKING:
    from forebay.runtime.protocol import Task


class ReadyQueue:
    """Tasks that are ready for a turn, and the rules for which of them may run now.

    Order: urgent tasks (`priority` above 0) go before brief ones (`is_brief`: little to do), and
    brief ones before all others. A store that gets a message now and then therefore waits for one
    turn of its busy neighbours, however many there are. There is no starvation: a task that was
    overtaken `limits.TURNS_PASSED_MAX` times goes first.

    Light tasks (`is_light`), if `takes_turns` is True: one of them at a time holds the light turn.
    Heavy tasks may always run. In parallel with a long light turn, one short light turn (urgent or
    brief) may run: it ends soon, and waiting for the long one would take ten times as long. A turn
    that lasts longer than `limits.LIGHT_TURN_S` counts as stuck, and the next light task may then
    run in parallel with it.

    Args:
        takes_turns: Whether light tasks run one at a time.
    """

    __slots__ = (
        "_heavy",
        "_light",
        "_light_is_next",
        "_num_taken",
        "_short_turn",
        "_takes_turns",
        "_turn",
    )

    def __init__(self, *, takes_turns: bool = False) -> None:
        self._light, self._heavy = _Lanes(), _Lanes()
        self._takes_turns = takes_turns
        self._light_is_next = False
        self._num_taken = 0
        self.forget_holders()

    def forget_holders(self) -> None:
        """Forget all light turns in progress."""
        self._turn, self._short_turn = _LightTurn(), _LightTurn()

    def __len__(self) -> int:
        return len(self._light) + len(self._heavy)

    def append(self, task: Task) -> None:
        """Add a task at the end of its lane."""
        (self._light if self._is_light(task) else self._heavy).append(task)

    def begin(self, task: Task, thread: int, now_s: float) -> bool:
        """Begin a turn of a task that is not queued here, if no other task is.

        Args:
            task: The task.
            thread: Id of the thread that would run the turn.
            now_s: Monotonic time, in seconds.

        Returns:
            Whether the turn may run now.
        """
        if self:
            return False
        if self._is_light(task):
            if not (self._turn.is_free(now_s) and self._short_turn.is_free(now_s)):
                return False
            self._turn.begin(thread, now_s, is_short=_lane(task) < _LONG)
        return True

    def take(self, task: Task, thread: int, now_s: float) -> bool:
        """Take a queued light task, whose result a thread waits for, and begin its turn there.

        A short turn goes before tasks that no thread is known to wait for; if it cannot begin now,
        it is moved ahead of them. A long turn begins only if no other light task is queued. Urgent
        tasks are never overtaken.

        Args:
            task: The task.
            thread: Id of the thread that waits, and would run the turn.
            now_s: Monotonic time, in seconds.

        Returns:
            Whether the task was taken and may run now.
        """
        turn, short, light = self._turn, self._short_turn, self._light
        if turn.is_held_by(thread, now_s) or short.is_held_by(thread, now_s):
            return False
        is_short = _lane(task) < _LONG
        is_alone = len(light) == 1
        if not is_alone and (self._num_taken >= TURNS_TAKEN_MAX or light.has_urgent_before(task)):
            return False
        if is_short:
            free = turn if turn.is_free(now_s) else short
            may_begin = free.is_free(now_s)
        else:
            free = turn
            may_begin = is_alone and turn.is_free(now_s) and short.is_free(now_s)
        if may_begin and light.remove(task):
            self._num_taken += 1
            free.begin(thread, now_s, is_short=is_short)
            return True
        light.hurry(task)
        return False

    def _is_light(self, task: Task) -> bool:
        return self._takes_turns and getattr(task, "is_light", False)

    def pick(self, thread: int, now_s: float) -> Task | None:
        """Take the next task and begin its turn.

        Args:
            thread: Id of the thread that will run the turn.
            now_s: Monotonic time, in seconds.

        Returns:
            The task. None if none may run now.
        """
        heavy, turn = self._heavy, self._free_turn(now_s)
        if turn is None or (heavy and not self._light_is_next):
            self._light_is_next = True
            return heavy.popleft()[0] if heavy else None
        self._light_is_next = False
        self._num_taken = 0
        task, lane = self._light.popleft(short_only=turn is self._short_turn)
        turn.begin(thread, now_s, is_short=lane < _LONG)
        return task

    def end_turn(self, thread: int) -> None:
        """End the turn that `thread` began."""
        self._turn.end(thread)
        self._short_turn.end(thread)

    def has_runnable(self, now_s: float) -> bool:
        """Return whether a turn could begin now."""
        return bool(self._heavy) or self._free_turn(now_s) is not None

    def seconds_to_takeover(self, now_s: float) -> float | None:
        """Return the seconds after which the turn that a light task waits for counts as stuck.

        None if no light task waits, or if one may run now.
        """
        if not self._light or self._free_turn(now_s) is not None:
            return None
        until_s = self._turn.until_s
        if self._turn.is_free(now_s):
            until_s = self._short_turn.until_s
        elif self._light.has_short and not self._turn.is_short:
            until_s = min(until_s, self._short_turn.until_s)
        return max(0.0, until_s - now_s)

    def _free_turn(self, now_s: float) -> _LightTurn | None:
        """Return the turn that a queued light task may have now."""
        if not self._light:
            return None
        self._light.sort_out()
        turn, short = self._turn, self._short_turn
        if turn.is_free(now_s):
            # Tasks with much to do do not run in parallel with a short turn.
            return turn if self._light.has_short or short.is_free(now_s) else None
        if self._light.has_short and not turn.is_short and short.is_free(now_s):
            return short
        return None


class _LightTurn:
    """Which thread has a light turn, until when at the latest, and whether it is a short one."""

    __slots__ = ("is_short", "thread", "until_s")

    def __init__(self) -> None:
        self.thread: int | None = None
        self.until_s = 0.0
        self.is_short = False

    def is_free(self, now_s: float) -> bool:
        return self.thread is None or now_s >= self.until_s

    def is_held_by(self, thread: int, now_s: float) -> bool:
        return self.thread == thread and not self.is_free(now_s)

    def begin(self, thread: int, now_s: float, *, is_short: bool) -> None:
        self.thread, self.until_s, self.is_short = thread, now_s + LIGHT_TURN_S, is_short

    def end(self, thread: int) -> None:
        if self.thread == thread:
            self.thread = None


_URGENT, _AWAITED, _BRIEF, _LONG = range(4)


def _lane(task: Task) -> int:
    if getattr(task, "priority", 0) > 0:
        return _URGENT
    return _BRIEF if getattr(task, "is_brief", False) else _LONG


class _Lanes:
    """A queue of tasks in four lanes: urgent, awaited brief, brief, and all others."""

    __slots__ = ("_lanes", "_passed")

    def __init__(self) -> None:
        self._lanes: tuple[deque[Task], ...] = deque(), deque(), deque(), deque()
        self._passed = [0, 0, 0, 0]

    def __len__(self) -> int:
        return sum(map(len, self._lanes))

    @property
    def has_short(self) -> bool:
        """Whether a task of another lane than the last one waits."""
        return any(self._lanes[:_LONG])

    def append(self, task: Task) -> None:
        self._lanes[_lane(task)].append(task)

    def has_urgent_before(self, task: Task) -> bool:
        """Return whether urgent tasks wait and `task` is not one of them."""
        urgent = self._lanes[_URGENT]
        return bool(urgent) and task not in urgent

    def remove(self, task: Task) -> bool:
        """Remove a task; return False if it was not queued."""
        for tasks in self._lanes:
            if task in tasks:
                tasks.remove(task)
                return True
        return False

    def hurry(self, task: Task) -> None:
        """Move a brief task whose result a thread waits for ahead of other brief ones."""
        brief = self._lanes[_BRIEF]
        if task in brief:
            brief.remove(task)
            self._lanes[_AWAITED].append(task)

    def sort_out(self) -> None:
        """Move tasks that are no longer brief to the last lane."""
        long = self._lanes[_LONG]
        for brief in self._lanes[_AWAITED:_LONG]:
            while brief and _lane(brief[0]) == _LONG:
                long.append(brief.popleft())

    def popleft(self, *, short_only: bool = False) -> tuple[Task, int]:
        """Take the next task; return it with its lane."""
        passed = self._passed
        waiting = [lane for lane, tasks in enumerate(self._lanes) if tasks]
        if short_only and waiting[-1] == _LONG:
            del waiting[-1]
        picked = waiting[0]
        for lane in waiting[1:]:
            passed[lane] += 1
            if passed[lane] > TURNS_PASSED_MAX:
                picked = lane
        passed[picked] = 0
        return self._lanes[picked].popleft(), picked
