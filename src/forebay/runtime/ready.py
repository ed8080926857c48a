"""`ReadyQueue`: whose turn is next. Pure; the runtime that owns it guards it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from forebay.limits import LIGHT_TURN_S, TURNS_PASSED_MAX

if TYPE_CHECKING:
    from forebay.runtime.protocol import Task


class ReadyQueue:
    """Tasks that wait for a turn, and which of them may have one now.

    Urgent tasks (a `priority` above 0) come before brief ones (`is_brief`: little to do), and
    these before all others: so a store that gets a message now and then waits for one turn of its
    busy neighbours, however many there are. Nobody starves: whoever was passed over
    `limits.TURNS_PASSED_MAX` times goes first.

    Where light tasks take turns, one of them at a time holds the light turn. Heavy ones may
    always run. A holder that keeps its turn for longer than `limits.LIGHT_TURN_S` is taken for
    stuck: the next light task may then begin beside it.
    """

    __slots__ = ("_heavy", "_holder", "_light", "_light_is_next", "_takes_turns", "_until_s")

    def __init__(self, *, takes_turns: bool = False) -> None:
        """Make an empty queue; `takes_turns` says whether light tasks run one at a time."""
        self._light, self._heavy = _Lanes(), _Lanes()
        self._takes_turns = takes_turns
        self._light_is_next = False
        self.forget_holder()

    def forget_holder(self) -> None:
        """Nobody has the light turn (any more)."""
        self._holder: int | None = None
        self._until_s = 0.0

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
            if not self._light_turn_is_free(now_s):
                return False
            self._holder, self._until_s = thread, now_s + LIGHT_TURN_S
        return True

    def _is_light(self, task: Task) -> bool:
        return self._takes_turns and getattr(task, "is_light", False)

    def pick(self, thread: int, now_s: float) -> Task | None:
        """The task whose turn begins now on `thread`, if one may begin."""
        light, heavy = self._light, self._heavy
        if not light or not self._light_turn_is_free(now_s) or (heavy and not self._light_is_next):
            self._light_is_next = True
            return heavy.popleft() if heavy else None
        self._light_is_next = False
        self._holder, self._until_s = thread, now_s + LIGHT_TURN_S
        return light.popleft()

    def end_turn(self, thread: int) -> None:
        """The turn that `thread` picked is over."""
        if self._holder == thread:
            self._holder = None

    def has_runnable(self, now_s: float) -> bool:
        """Whether a turn could begin now."""
        return bool(self._heavy) or (bool(self._light) and self._light_turn_is_free(now_s))

    def seconds_to_takeover(self, now_s: float) -> float | None:
        """When to look again because a light task waits for one that may be stuck."""
        if not self._light or self._holder is None:
            return None
        return max(0.0, self._until_s - now_s)

    def _light_turn_is_free(self, now_s: float) -> bool:
        return self._holder is None or now_s >= self._until_s


class _Lanes:
    """Tasks of one kind: urgent ones, brief ones, and all others."""

    __slots__ = ("_lanes", "_passed")

    def __init__(self) -> None:
        self._lanes: tuple[deque[Task], ...] = deque(), deque(), deque()
        self._passed = [0, 0, 0]

    def __len__(self) -> int:
        return sum(map(len, self._lanes))

    def append(self, task: Task) -> None:
        is_urgent = getattr(task, "priority", 0) > 0
        lane = 0 if is_urgent else 1 if getattr(task, "is_brief", False) else 2
        self._lanes[lane].append(task)

    def popleft(self) -> Task:
        passed = self._passed
        waiting = [lane for lane, tasks in enumerate(self._lanes) if tasks]
        picked = waiting[0]
        for lane in waiting[1:]:
            passed[lane] += 1
            if passed[lane] > TURNS_PASSED_MAX:
                picked = lane
        passed[picked] = 0
        return self._lanes[picked].popleft()
