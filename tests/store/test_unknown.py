"""Errors that name what there is, also where there is very much."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import pytest

from forebay.errors import UnknownEntityError
from forebay.limits import NAMES_COMPARED_MAX
from forebay.store.unknown import unknown


def error(name: str, there: Sequence[str]) -> str:
    return str(unknown(UnknownEntityError, "entity", name, there, "recording 'x'"))


def test_a_name_that_is_nearly_right_is_hinted_at_among_very_many() -> None:
    there = [f"/world/robot_{number:05}/camera" for number in range(5000)]
    assert "did you mean '/world/robot_02500/camera'" in error("/world/robot_02500/camra", there)


def test_few_of_very_many_names_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    def watched(name: str, names: Sequence[str], n: int) -> list[str]:
        compared.append(len(names))
        assert name
        return list(names[:0]) * n

    monkeypatch.setattr(difflib, "get_close_matches", watched)
    error("/1500", [f"/{number}" for number in range(3 * NAMES_COMPARED_MAX)])
    assert compared == [NAMES_COMPARED_MAX]


def test_long_names_are_neither_compared_nor_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def watched(name: str, names: Sequence[str], n: int) -> list[str]:
        assert max(map(len, (name, *names))) <= 256
        return list(names[:0]) * n

    monkeypatch.setattr(difflib, "get_close_matches", watched)
    text = error("/b", ["/" + "x" * 16_000, "/c", *(f"/{number}" for number in range(20))])
    error("/" + "y" * 16_000, ["/c"])
    assert len(text) < 2000
    assert "12 more" in text
