"""`ReadyQueue`: whose turn is next. Pure; the runtime that owns it guards it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from forebay.limits import LIGHT_TURN_S, TURNS_PASSED_MAX, TURNS_TAKEN_MAX

if TYPE_CHECKING:
    from forebay.runtime.protocol import Task


class ReadyQueue:
    """Tasks that wait for a turn, and which of them may have one now.

    Urgent tasks (a `priority` above 0) come before brief ones (`is_brief`: little to do), and
    these before all others: so a store that gets a message now and then waits for one turn of its
    busy neighbours, however many there are. Nobody starves: whoever was passed over
    `limits.TURNS_PASSED_MAX` times goes first.

    Where light tasks take turns, one of them at a time holds the light turn. Heavy ones may
    always run; and beside a light turn that is long one that is short (urgent or brief) may, for
    it is over soon, and waiting for the long one would take ten times as long. Whoever keeps a
    turn for longer than `limits.LIGHT_TURN_S` is taken for stuck: the next light task may then
    begin beside it.
    """

    __slots__ = (
        "_beside",
        "_heavy",
        "_light",
        "_light_is_next",
        "_num_taken",
        "_takes_turns",
        "_turn",
    )

    def __init__(self, *, takes_turns: bool = False) -> None:
        """Make an empty queue; `takes_turns` says whether light tasks run one at a time."""
        self._light, self._heavy = _Lanes(), _Lanes()
        self._takes_turns = takes_turns
        self._light_is_next = False
        self._num_taken = 0
        self.forget_holders()

    def forget_holders(self) -> None:
        """Nobody has a light turn (any more)."""
        self._turn, self._beside = _LightTurn(), _LightTurn()

    def __len__(self) -> int:
        return len(self._light) + len(self._heavy)

    def append(self, task: Task) -> None:
        """Let a task wait behind those of its kind."""
        (self._light if self._is_light(task) else self._heavy).append(task)

    def begin(self, task: Task, thread: int, now_s: float) -> bool:
        """Let a turn of a task that does not wait here begin on `thread`, if nobody waits."""
        if self:
            return False
        if self._is_light(task):
            if not (self._turn.is_free(now_s) and self._beside.is_free(now_s)):
                return False
            self._turn.begin(thread, now_s, is_short=_lane(task) < _LONG)
        return True

    def take(self, task: Task, thread: int, now_s: float) -> bool:
        """Let the turn of a light task that waits here begin on `thread`, which waits for it.

        A short one goes before those that nobody is known to wait for, if not now, then soon. A
        long one has to be the only one that waits. Urgent ones are never passed over.
        """
        turn, beside, light = self._turn, self._beside, self._light
        if turn.is_held_by(thread, now_s) or beside.is_held_by(thread, now_s):
            return False
        is_short = _lane(task) < _LONG
        is_alone = len(light) == 1
        if not is_alone and (self._num_taken >= TURNS_TAKEN_MAX or light.has_urgent_before(task)):
            return False
        if is_short:
            free = turn if turn.is_free(now_s) else beside
            may_begin = free.is_free(now_s)
        else:
            free = turn
            may_begin = is_alone and turn.is_free(now_s) and beside.is_free(now_s)
        if may_begin and light.remove(task):
            self._num_taken += 1
            free.begin(thread, now_s, is_short=is_short)
            return True
        light.hurry(task)
        return False

    def _is_light(self, task: Task) -> bool:
        return self._takes_turns and getattr(task, "is_light", False)

    def pick(self, thread: int, now_s: float) -> Task | None:
        """The task whose turn begins now on `thread`, if one may begin."""
        heavy, turn = self._heavy, self._free_turn(now_s)
        if turn is None or (heavy and not self._light_is_next):
            self._light_is_next = True
            return heavy.popleft()[0] if heavy else None
        self._light_is_next = False
        self._num_taken = 0
        task, lane = self._light.popleft(short_only=turn is self._beside)
        turn.begin(thread, now_s, is_short=lane < _LONG)
        return task

    def end_turn(self, thread: int) -> None:
        """The turn that `thread` picked is over."""
        self._turn.end(thread)
        self._beside.end(thread)

    def has_runnable(self, now_s: float) -> bool:
        """Whether a turn could begin now."""
        return bool(self._heavy) or self._free_turn(now_s) is not None

    def seconds_to_takeover(self, now_s: float) -> float | None:
        """When to look again because a light task waits for one that may be stuck."""
        if not self._light or self._free_turn(now_s) is not None:
            return None
        until_s = self._turn.until_s
        if self._turn.is_free(now_s):
            until_s = self._beside.until_s
        elif self._light.has_short and not self._turn.is_short:
            until_s = min(until_s, self._beside.until_s)
        return max(0.0, until_s - now_s)

    def _free_turn(self, now_s: float) -> _LightTurn | None:
        """The turn that a waiting light task may have now."""
        if not self._light:
            return None
        self._light.sort_out()
        turn, beside = self._turn, self._beside
        if turn.is_free(now_s):
            # Those with much to do stay out of the way of a short turn.
            return turn if self._light.has_short or beside.is_free(now_s) else None
        if self._light.has_short and not turn.is_short and beside.is_free(now_s):
            return beside
        return None


class _LightTurn:
    """Who has a light turn, how long at the most, and whether it is a short one."""

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
    """Tasks of one kind: urgent ones, brief ones (first those that are awaited), all others."""

    __slots__ = ("_lanes", "_passed")

    def __init__(self) -> None:
        self._lanes: tuple[deque[Task], ...] = deque(), deque(), deque(), deque()
        self._passed = [0, 0, 0, 0]

    def __len__(self) -> int:
        return sum(map(len, self._lanes))

    @property
    def has_short(self) -> bool:
        """Whether others than long ones wait."""
        return any(self._lanes[:_LONG])

    def append(self, task: Task) -> None:
        self._lanes[_lane(task)].append(task)

    def has_urgent_before(self, task: Task) -> bool:
        """Whether urgent ones wait, and this is none of them."""
        urgent = self._lanes[_URGENT]
        return bool(urgent) and task not in urgent

    def remove(self, task: Task) -> bool:
        """Let a task wait no longer; False if it did not."""
        for tasks in self._lanes:
            if task in tasks:
                tasks.remove(task)
                return True
        return False

    def hurry(self, task: Task) -> None:
        """Somebody waits for this task: if it is a brief one, it goes before other such."""
        brief = self._lanes[_BRIEF]
        if task in brief:
            brief.remove(task)
            self._lanes[_AWAITED].append(task)

    def sort_out(self) -> None:
        """Who got more to do while waiting is brief no more."""
        long = self._lanes[_LONG]
        for brief in self._lanes[_AWAITED:_LONG]:
            while brief and _lane(brief[0]) == _LONG:
                long.append(brief.popleft())

    def popleft(self, *, short_only: bool = False) -> tuple[Task, int]:
        """The next task, and its lane."""
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
