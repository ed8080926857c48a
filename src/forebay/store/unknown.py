"""Errors that name what there is."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forebay.errors import QueryError

NAMED_MAX: Final = 20

ErrorT = TypeVar("ErrorT", bound="QueryError")


def unknown(error: type[ErrorT], noun: str, name: str, there: Iterable[str], where: str) -> ErrorT:
    """The error for a `name` that is not among those that `there` are.

    Args:
        error: What to raise.
        noun: What was looked for, in the singular (`timeline`).
        name: What was asked for.
        there: What there is; close matches are hinted at, the others listed up to a bound.
        where: Where it was looked for (`recording 'x' of 'app'`).
    """
    names = sorted(there)
    msg = f"there is no {noun} {name!r} in {where}"
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        msg += f"; did you mean {close[0]!r}?"
    if names:
        listed = ", ".join(map(repr, names[:NAMED_MAX]))
        more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
        msg += f" (there is: {listed}{more})"
    else:
        msg += f" (it has no {noun} at all)"
    return error(msg)
