"""Text of senders made fit for terminals, logs and pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.errors import ForebayError, told
from forebay.model import StoreId
from forebay.printable import named, printable, printable_lines, quoted, shortened

HOSTILE = "".join(
    [
        *map(chr, range(0x20)),
        *map(chr, range(0x7F, 0xA0)),
        "\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e",
        "\u2060\u2066\u2067\u2068\u2069\ufeff\u061c\u00ad\U000e0041\ud800\ue000",
    ]
)


@pytest.mark.parametrize("char", HOSTILE, ids=lambda char: f"{ord(char):04x}")
def test_what_a_terminal_obeys_is_escaped(char: str) -> None:
    shown = printable(f"a{char}b")
    assert char not in shown
    assert shown.isascii()
    assert shown.startswith("a\\")
    assert shown.endswith("b")


@pytest.mark.parametrize(
    "text", ["", "plain", "é 日本 한국 🙂 ∑", "full\u3000width", "no\u00a0break", "[red]\\"]
)
def test_what_people_read_stays(text: str) -> None:
    assert printable(text) == text


@given(st.text())
def test_one_line_whatever_comes(text: str) -> None:
    shown = printable(text)
    assert shown.splitlines() in ([], [shown])
    assert not set(shown) & set(HOSTILE)
    assert printable(shown) == shown
    shown.encode("utf-8")


def test_lines_of_our_own_stay_lines() -> None:
    assert printable_lines("a\n\x1bb\n") == "a\n\\x1bb\n"


@given(st.text(), st.integers(1, 40))
def test_shortened_fits(text: str, width: int) -> None:
    shown = shortened(text, width)
    assert len(shown) <= width
    assert shown == text or "…" in shown


def test_names_that_differ_at_their_ends_stay_apart() -> None:
    long = "/world/" + "x" * 500
    shown = {shortened(name, 20) for name in (f"{long}/1", f"{long}/2", f"a{long}/1")}
    assert len(shown) == 3


def test_what_is_shortened_is_measured_as_told() -> None:
    assert (
        shortened("日本日本日本", 6, lambda text: 2 * len(text.rstrip("…")) + text.count("…"))
        == "日…本"
    )


@pytest.mark.parametrize("show", [named, quoted])
def test_a_name_of_many_megabytes_costs_little(show: object) -> None:
    assert callable(show)
    for char in ("x", "\x1b", "\u202e"):
        assert len(show(char * 20_000_000)) <= 122


def test_errors_and_ids_are_printable() -> None:
    name = "\x1b]0;owned\x07\u202e\n"
    store_id = StoreId.recording(name, name * 10_000)
    for text in (str(store_id), str(ForebayError(f"no {name}")), told([name] * 20)):
        assert text.isprintable()
        assert len(text) < 1200
