"""Whose turn is next: lanes, and light turns one at a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.limits import LIGHT_TURN_S, TURNS_PASSED_MAX, TURNS_TAKEN_MAX
from forebay.runtime import ReadyQueue


class Named:
    def __init__(
        self, name: str, priority: int = 0, *, is_light: bool = False, is_brief: bool = False
    ) -> None:
        self.name, self.priority = name, priority
        self.is_light, self.is_brief = is_light, is_brief

    def run_turn(self) -> bool:
        return False


def drained(ready: ReadyQueue) -> str:
    names = ""
    while (task := ready.pick(1, 0.0)) is not None:
        names += task.name  # type: ignore[attr-defined]
        ready.end_turn(1)
    return names


def test_urgent_tasks_come_first_but_starve_nobody() -> None:
    ready = ReadyQueue()
    for name in "ab":
        ready.append(Named(name))
    for _ in range(2 * TURNS_PASSED_MAX):
        ready.append(Named("!", 1))
    run = "!" * TURNS_PASSED_MAX
    assert drained(ready) == run + "a" + run + "b"
    assert ready.pick(1, 0.0) is None


def test_who_has_little_to_do_goes_before_who_has_much_but_starves_nobody() -> None:
    ready = ReadyQueue()
    for name in "ab":
        ready.append(Named(name))
    for _ in range(TURNS_PASSED_MAX + 1):
        ready.append(Named("-", is_brief=True))
    assert drained(ready) == "-" * TURNS_PASSED_MAX + "a" + "-" + "b"


def test_one_light_turn_at_a_time() -> None:
    ready = ReadyQueue(takes_turns=True)
    first, second, heavy = Named("1", is_light=True), Named("2", is_light=True), Named("h")
    for task in (first, second, heavy):
        ready.append(task)
    picked = {ready.pick(thread, 0.0) for thread in (1, 2, 3)}
    assert picked == {first, heavy, None}
    assert not ready.has_runnable(0.0)
    assert ready.seconds_to_takeover(0.0) == LIGHT_TURN_S
    holder = 1 if first in picked else 2
    ready.end_turn(3 if holder == 1 else 1)
    assert not ready.has_runnable(LIGHT_TURN_S / 2), "somebody else's turn is not the holder's"
    ready.end_turn(1)
    ready.end_turn(2)
    assert ready.has_runnable(0.0)
    assert ready.pick(3, 0.0) is second


def test_a_light_turn_that_does_not_end_is_taken_over() -> None:
    ready = ReadyQueue(takes_turns=True)
    for name in "123":
        ready.append(Named(name, is_light=True))
    assert ready.pick(1, 0.0) is not None
    assert ready.pick(2, LIGHT_TURN_S / 2) is None
    assert ready.pick(2, LIGHT_TURN_S) is not None
    ready.end_turn(1)  # late: the turn is the second thread's now
    assert ready.pick(3, LIGHT_TURN_S) is None


def test_light_and_heavy_tasks_alternate_on_one_thread() -> None:
    ready = ReadyQueue(takes_turns=True)
    for name in "LLL":
        ready.append(Named(name, is_light=True))
    for name in "HHH":
        ready.append(Named(name))
    assert drained(ready) in {"LHLHLH", "HLHLHL"}


def test_a_short_turn_may_begin_beside_a_long_one() -> None:
    ready = ReadyQueue(takes_turns=True)
    long, next_long = Named("l", is_light=True), Named("n", is_light=True)
    short, other = (Named(name, is_light=True, is_brief=True) for name in "so")
    ready.append(long)
    assert ready.pick(1, 0.0) is long
    for task in (next_long, short, other):
        ready.append(task)
    assert ready.has_runnable(0.0)
    assert ready.seconds_to_takeover(0.0) is None
    assert ready.pick(2, 0.0) is short
    assert ready.pick(3, 0.0) is None, "only one runs in parallel with it"
    ready.end_turn(2)
    assert ready.pick(3, 0.0) is other
    ready.end_turn(3)
    assert ready.pick(2, 0.0) is None, "long ones still one at a time"
    ready.end_turn(1)
    assert ready.pick(2, 0.0) is next_long


def test_short_turns_are_one_at_a_time_among_themselves() -> None:
    ready = ReadyQueue(takes_turns=True)
    for name in "ab":
        ready.append(Named(name, is_light=True, is_brief=True))
    assert ready.pick(1, 0.0) is not None
    assert ready.pick(2, 0.0) is None
    assert ready.seconds_to_takeover(0.0) == LIGHT_TURN_S


def test_a_short_turn_that_does_not_end_is_taken_over_too() -> None:
    ready = ReadyQueue(takes_turns=True)
    ready.append(Named("l", is_light=True))
    assert ready.pick(1, 0.0) is not None
    for name in "sabc":
        ready.append(Named(name, is_light=True, is_brief=True))
    assert ready.pick(2, 0.0) is not None
    assert ready.pick(3, LIGHT_TURN_S / 2) is None
    assert ready.seconds_to_takeover(LIGHT_TURN_S / 2) == LIGHT_TURN_S / 2
    # Both are stuck: two more may begin, the first in the place of the long one.
    assert ready.pick(3, LIGHT_TURN_S) is not None
    assert ready.pick(4, LIGHT_TURN_S) is None, "which is a short one now"
    ready.end_turn(1)
    ready.end_turn(2)
    assert ready.pick(4, LIGHT_TURN_S) is None, "late ends are nobody's turn any more"
    ready.end_turn(3)
    assert ready.pick(4, LIGHT_TURN_S) is not None


def test_who_got_more_to_do_while_waiting_is_brief_no_more() -> None:
    ready = ReadyQueue(takes_turns=True)
    grown, brief = (Named(name, is_light=True, is_brief=True) for name in "gb")
    late = Named("l", is_light=True, is_brief=True)
    ready.append(grown)
    ready.append(brief)
    grown.is_brief = False
    assert ready.pick(1, 0.0) is brief
    ready.end_turn(1)
    assert ready.pick(1, 0.0) is grown
    ready.append(late)
    assert ready.pick(2, 0.0) is late, "the turn beside which it begins is known to be long"


def test_the_next_long_turn_waits_for_a_short_one() -> None:
    ready = ReadyQueue(takes_turns=True)
    long, next_long = Named("l", is_light=True), Named("n", is_light=True)
    ready.append(long)
    assert ready.pick(1, 0.0) is long
    ready.append(Named("s", is_light=True, is_brief=True))
    began_s = LIGHT_TURN_S / 2
    assert ready.pick(2, began_s) is not None
    ready.append(next_long)
    ready.end_turn(1)
    assert ready.pick(1, began_s) is None
    assert not ready.has_runnable(began_s)
    assert ready.seconds_to_takeover(began_s) == pytest.approx(LIGHT_TURN_S)
    stuck_s = began_s + LIGHT_TURN_S
    assert ready.pick(1, stuck_s) is next_long, "unless that is stuck"
    ready.end_turn(1)
    ready.append(next_long)
    ready.end_turn(2)
    assert ready.pick(1, 0.0) is next_long


def test_who_waits_for_a_short_task_takes_its_turn_before_others() -> None:
    ready = ReadyQueue(takes_turns=True)
    long, first, wanted = (
        Named("l", is_light=True),
        *(Named(name, is_light=True, is_brief=True) for name in "fw"),
    )
    assert not ready.take(wanted, 1, 0.0), "it does not wait"
    for task in (long, first, wanted):
        ready.append(task)
    assert ready.take(wanted, 1, 0.0)
    assert len(ready) == 2
    assert ready.pick(2, 0.0) is None, "short turns are one at a time"
    ready.end_turn(1)
    assert ready.pick(2, 0.0) is first
    ready.append(wanted)
    assert ready.take(wanted, 1, 0.0), "beside whoever has a turn"
    ready.end_turn(2)
    ready.append(first)
    assert not ready.take(first, 1, 0.0), "who is in a turn cannot begin another"
    assert ready.take(first, 2, 0.0)


def test_what_is_waited_for_comes_next_if_not_now() -> None:
    ready = ReadyQueue(takes_turns=True)
    tasks = [Named(name, is_light=True, is_brief=True) for name in "abcw"]
    for task in tasks:
        ready.append(task)
    assert ready.pick(1, 0.0) is tasks[0]
    assert ready.take(tasks[1], 2, 0.0)
    assert not ready.take(tasks[3], 3, 0.0), "two turns are all there are"
    ready.end_turn(1)
    assert ready.pick(1, 0.0) is tasks[3]
    ready.end_turn(1)
    assert ready.pick(1, 0.0) is tasks[2]


def test_a_long_turn_is_taken_if_nobody_else_waits() -> None:
    ready = ReadyQueue(takes_turns=True)
    tasks = [Named(name, is_light=True) for name in "ab"]
    for task in tasks:
        ready.append(task)
    assert not ready.take(tasks[1], 1, 0.0)
    assert ready.pick(2, 0.0) is tasks[0]
    assert not ready.take(tasks[1], 1, 0.0), "one long turn at a time"
    ready.end_turn(2)
    assert ready.take(tasks[1], 1, 0.0)
    assert not ready


@pytest.mark.parametrize("is_brief", [True, False])
def test_who_takes_one_turn_after_the_other_starves_nobody(is_brief: bool) -> None:
    ready = ReadyQueue(takes_turns=True)
    other = Named("o", is_light=True, is_brief=is_brief)
    wanted = Named("w", is_light=True, is_brief=True)
    for _ in range(3):
        ready.append(other)
        for _ in range(TURNS_TAKEN_MAX):
            ready.append(wanted)
            assert ready.take(wanted, 1, 0.0)
            ready.end_turn(1)
        ready.append(wanted)
        assert not ready.take(wanted, 1, 0.0)
        picked = [ready.pick(2, 0.0), ready.end_turn(2), ready.pick(2, 0.0), ready.end_turn(2)]
        assert set(picked) == {other, wanted, None}
    for _ in range(2 * TURNS_TAKEN_MAX):
        ready.append(wanted)
        assert ready.take(wanted, 1, 0.0), "nobody else waits"
        ready.end_turn(1)


def test_urgent_tasks_are_passed_by_nobody_who_takes_a_turn() -> None:
    ready = ReadyQueue(takes_turns=True)
    urgent, other = (Named(name, 1, is_light=True) for name in "!?")
    brief = Named("b", is_light=True, is_brief=True)
    for task in (urgent, other, brief):
        ready.append(task)
    assert not ready.take(brief, 1, 0.0)
    assert ready.take(other, 1, 0.0), "one of them itself"
    ready.end_turn(1)
    assert ready.pick(2, 0.0) is urgent
    assert ready.take(brief, 1, 0.0)


def test_no_long_turn_begins_beside_a_short_one() -> None:
    ready = ReadyQueue(takes_turns=True)
    first, short = Named("f", is_light=True), Named("s", is_light=True, is_brief=True)
    ready.append(first)
    assert ready.pick(1, 0.0) is first
    ready.append(short)
    assert ready.pick(2, 0.0) is short
    ready.end_turn(1)
    long = Named("l", is_light=True)
    assert not ready.begin(long, 3, 0.0)
    ready.append(long)
    assert not ready.take(long, 3, 0.0)
    ready.end_turn(2)
    assert ready.take(long, 3, 0.0)


def test_heavy_tasks_are_left_to_the_threads() -> None:
    ready = ReadyQueue(takes_turns=True)
    heavy = Named("h", is_brief=True)
    ready.append(heavy)
    assert not ready.take(heavy, 1, 0.0)
    assert ready.pick(1, 0.0) is heavy


def test_what_grew_while_it_was_awaited_is_short_no_more() -> None:
    ready = ReadyQueue(takes_turns=True)
    tasks = [Named(name, is_light=True, is_brief=True) for name in "abgb"]
    for task in tasks:
        ready.append(task)
    assert ready.pick(1, 0.0) is tasks[0]
    assert ready.take(tasks[1], 2, 0.0)
    assert not ready.take(tasks[2], 3, 0.0)
    tasks[2].is_brief = False
    ready.end_turn(1)
    assert ready.pick(1, 0.0) is tasks[3]


TASKS = st.tuples(st.integers(0, 1), st.booleans(), st.booleans())


@given(st.lists(TASKS, max_size=40), st.booleans())
def test_everybody_has_a_turn_once(tasks: list[tuple[int, bool, bool]], takes_turns: bool) -> None:
    ready = ReadyQueue(takes_turns=takes_turns)
    for number, (priority, is_light, is_brief) in enumerate(tasks):
        ready.append(Named(chr(97 + number), priority, is_light=is_light, is_brief=is_brief))
    assert len(ready) == len(tasks)
    assert sorted(drained(ready)) == [chr(97 + number) for number in range(len(tasks))]
    assert not ready
    assert not ready.has_runnable(0.0)
