r"""Text of others made fit for people: no character that a terminal, a log or a page obeys.

Ids, paths, names and error texts come from senders. A terminal obeys escape sequences in them
(title, clipboard, colours, cursor), a log takes a line feed for a new record, and bidirectional
overrides and zero-width characters show something else than what is there. What people read goes
through `printable`; what programs read (JSON, CSV, Parquet) keeps the exact values.
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
    r"""`text` with every character that is not to be printed as an escape: `\x1b`, `\u202e`.

    Escaped are control characters (C0, C1, line feeds and tabs too), format characters
    (bidirectional overrides and isolates, zero-width ones, tags), line and paragraph separators,
    surrogates, private and unassigned characters; letters, marks, symbols and spaces of any script
    stay. The result is one line, and the same if it is taken twice.

    Args:
        text: Anything.

    Returns:
        `text` itself if there is nothing to escape.
    """
    return text if text.isprintable() else _SUSPECT.sub(_escaped, text)


def printable_lines(text: str) -> str:
    """The same with line feeds kept, for texts of our own that have several lines."""
    return "\n".join(map(printable, text.split("\n")))


def shortened(text: str, width_max: int, width_of: Callable[[str], int] = len) -> str:
    """`text` cut in the middle if it is wider than `width_max`, so that both ends can be told.

    Names that differ differ at their ends more often than in the middle: the last part of a path,
    the number of a recording.

    Args:
        text: One line.
        width_max: Greatest width of the result, at least 1.
        width_of: How wide a text is; characters unless told otherwise.

    Returns:
        The beginning, an ellipsis and the end; or `text` itself if it fits.
    """
    # Beyond that many characters no text fits: what is measured stays in proportion to the result.
    if len(text) <= 2 * width_max and width_of(text) <= width_max:
        return text
    room = width_max - width_of(_ELLIPSIS)
    tail = _fitting(text[::-1][: room // 2], room // 2, width_of)[::-1] if room > 1 else ""
    head = _fitting(text[:room], room - width_of(tail), width_of)
    return head + _ELLIPSIS + tail


def named(text: str, width_max: int = NAME_CHARS_SHOWN_MAX) -> str:
    """A name of others for a person: printable, and cut in the middle if it is long."""
    # Cut first: a name of many megabytes is not escaped as a whole.
    return shortened(printable(shortened(text, width_max)), width_max)


def quoted(text: str, width_max: int = NAME_CHARS_SHOWN_MAX) -> str:
    """A name of others in quotes, as `repr` writes it, and cut in the middle if it is long."""
    return shortened(repr(shortened(text, width_max)), width_max + 2)


def _fitting(text: str, width_max: int, width_of: Callable[[str], int]) -> str:
    """The longest beginning that is no wider than `width_max`."""
    while text and width_of(text) > width_max:
        text = text[:-1]
    return text


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    return char if char.isprintable() else repr(char)[1:-1]
