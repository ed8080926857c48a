"""What pays off on this machine: for messages of a size, and so many processors."""

from __future__ import annotations

import os

import pytest

from forebay.limits import BULKY_BESIDE_PROCESSORS_MIN, PARALLEL_MSG_BYTES_MIN
from forebay.runtime import (
    InlineRuntime,
    decodes_where_read,
    gil_enabled,
    processors,
    turns_worth_having,
)

BULKY = PARALLEL_MSG_BYTES_MIN


def may_use(processors: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: range(processors), raising=False)


def test_how_many_turns_pay() -> None:
    assert turns_worth_having(BULKY, 1) == max(1, processors())
    assert turns_worth_having(BULKY, processors()) == 1
    assert turns_worth_having(BULKY, 10 * processors()) == 1
    assert turns_worth_having(BULKY - 1, 1) == 1
    assert InlineRuntime().turns_at_once(BULKY) == 1


def test_small_messages_are_decoded_where_they_are_read_under_a_gil(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for num in (1, BULKY_BESIDE_PROCESSORS_MIN, 64):
        may_use(num, monkeypatch)
        assert decodes_where_read(BULKY - 1, 1) is gil_enabled()
        assert decodes_where_read(BULKY - 1, 16) is gil_enabled()


def test_bulky_files_are_decoded_beside_one_another_where_there_are_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_use(BULKY_BESIDE_PROCESSORS_MIN - 1, monkeypatch)
    assert not decodes_where_read(BULKY, 1)
    assert decodes_where_read(BULKY, 2) is gil_enabled()
    may_use(BULKY_BESIDE_PROCESSORS_MIN, monkeypatch)
    assert not decodes_where_read(BULKY, 2)
