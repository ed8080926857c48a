"""Make text from senders safe to show: escape characters that control a terminal, a log or a page.

Ids, paths, names and error texts come from senders. A terminal executes escape sequences in them
(title, clipboard, colours, cursor), a log takes a line feed for a new record, and bidirectional
overrides and zero-width characters make a text look different from what it is. Text for people goes
through `printable`; text for programs (JSON, CSV, Parquet) keeps the exact values.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from forebay.limits import NAME_CHARS_SHOWN_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

_SPACE_CATEGORY: Final = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_SUSPECT: Final = re.compile(rf"[^\x20-\x7e{_SPACE_CATEGORY}]")
_ELLIPSIS: Final = "…"


def printable(text: str) -> str:
    r"""Return `text` with every unprintable character replaced by an escape, for example `\x1b`.

    Escaped are control characters (C0 and C1, including line feeds and tabs), format characters
    (bidirectional overrides and isolates, zero-width characters, tags), line and paragraph
    separators, surrogates, private and unassigned characters. Letters, marks, symbols and spaces of
    any script are kept. The result is one line; applying the function twice gives the same result.

    Args:
        text: Any text.

    Returns:
        `text` itself if there is nothing to escape.
    """
    return text if text.isprintable() else _SUSPECT.sub(_escaped, text)


def printable_lines(text: str) -> str:
    """Do the same as `printable` but keep line feeds, for Forebay's own texts of several lines."""
    return "\n".join(map(printable, text.split("\n")))


def shortened(text: str, width_max: int, width_of: Callable[[str], int] = len) -> str:
    """Return `text`, cut in the middle if it is wider than `width_max`.

    Both ends are kept because names differ at their ends more often than in the middle: the last
    part of a path, the number of a recording.

    Args:
        text: One line.
        width_max: Greatest width of the result, at least 1.
        width_of: Measures the width of a text; by default its number of characters.

    Returns:
        The beginning, an ellipsis and the end; or `text` itself if it fits.
    """
    # No text with more characters than this fits, so it is not measured: the cost depends on the
    # size of the result, not on the size of the text.
    if len(text) <= 2 * width_max and width_of(text) <= width_max:
        return text
    room = width_max - width_of(_ELLIPSIS)
    tail = _fitting(text[::-1][: room // 2], room // 2, width_of)[::-1] if room > 1 else ""
    head = _fitting(text[:room], room - width_of(tail), width_of)
    return head + _ELLIPSIS + tail


def named(text: str, width_max: int = NAME_CHARS_SHOWN_MAX) -> str:
    """Return a name from a sender for display: printable, and cut in the middle if it is long."""
    # Cut before escaping, so that a name of many megabytes is not escaped as a whole.
    return shortened(printable(shortened(text, width_max)), width_max)


def quoted(text: str, width_max: int = NAME_CHARS_SHOWN_MAX) -> str:
    """Return a name from a sender in quotes, as `repr` does, cut in the middle if it is long."""
    return shortened(repr(shortened(text, width_max)), width_max + 2)


def _fitting(text: str, width_max: int, width_of: Callable[[str], int]) -> str:
    """Return the longest beginning of `text` that is no wider than `width_max`."""
    while text and width_of(text) > width_max:
        text = text[:-1]
    return text


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    return char if char.isprintable() else repr(char)[1:-1]
