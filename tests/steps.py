"""Counting what is done, to see that twice as much takes twice the work: seconds tell no truth."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

RATIO_MAX = 2.2
"""What twice the input may cost, in work; the rest is what is done once."""


def calls_of(work: Callable[[], object]) -> int:
    """How many functions, of Python and of C, are called while `work` runs on this thread.

    One call that copies many things counts as one: watch for these with `copies_of`.
    """
    count = 0

    def note(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal count
        del frame, arg
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def copies_of(see: Callable[[], object], works: list[Callable[[], object]]) -> int:
    """How often the object that `see` gives is another one after a piece of work.

    What is replaced by a copy of itself with every message costs the square of their number.
    """
    copies, last = 0, see()
    for work in works:
        work()
        now = see()
        copies += now is not last
        last = now
    return copies


def check_proportion(cost: Callable[[int], int], size: int) -> None:
    """Fail if twice the size costs clearly more than twice as much."""
    once, twice = cost(size), cost(2 * size)
    assert twice <= RATIO_MAX * once, f"{size} cost {once} steps, {2 * size} cost {twice}"


def check_constant(cost: Callable[[int], int], size: int) -> None:
    """Fail if work grows with what is there already: with four times as much it is the same."""
    little, much = cost(size), cost(4 * size)
    assert much <= little + 8, f"among {size} it took {little} steps, among {4 * size} {much}"
