"""Errors that name what there is."""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from forebay.errors import UnknownEntityError, UnknownTimelineError, told
from forebay.limits import NAMES_COMPARED_MAX, NAMES_TOLD_MAX
from forebay.model import EntityPath, Timeline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forebay.errors import QueryError
    from forebay.model import StoreId, TimeType
    from forebay.store.entity import EntityIndex

NAME_CHARS_COMPARED_MAX: Final = 256
"""Longer names are shown and compared by their beginning: comparing takes the square of it."""

ErrorT = TypeVar("ErrorT", bound="QueryError")


def unknown(
    error: type[ErrorT], noun: str, name: object, there: Iterable[str], where: str
) -> ErrorT:
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
    close: list[str] = []
    if isinstance(name, str):
        close = _close_to(name, names)
    else:  # Callers may pass anything at all, and learn best from what there is.
        msg += f": its name is a str, not {type(name).__name__}"
    if close:
        msg += f"; did you mean {close[0]!r}?"
    if names:
        shown = (repr(one[:NAME_CHARS_COMPARED_MAX]) for one in names[:NAMES_TOLD_MAX])
        more = len(names) - NAMES_TOLD_MAX
        rest = f", … and {more:,} more" if more > 0 else ""
        msg += f" (there is: {told(shown)}{rest})"
    else:
        msg += f" (it has no {noun} at all)"
    return error(msg)


def _close_to(name: str, names: Sequence[str]) -> list[str]:
    """The name that may have been meant, in a list of at most one.

    Of very many names, those are compared that stand next to it in their order.
    """
    if len(name) > NAME_CHARS_COMPARED_MAX:
        return []
    at = max(0, bisect_left(names, name) - NAMES_COMPARED_MAX // 2)
    near = names[at : at + NAMES_COMPARED_MAX]
    short = [one for one in near if len(one) <= NAME_CHARS_COMPARED_MAX]
    return difflib.get_close_matches(name, short, n=1)


def names_of(names: Iterable[str] | str) -> list[str]:
    """One name or several, each once; what is neither is taken for a name that nothing has."""
    given: Any = names
    if isinstance(given, str) or not isinstance(given, Iterable):
        return [given]
    found = list(given)
    return list(dict.fromkeys(found)) if all(isinstance(name, str) for name in found) else found


def find_entity(
    entities: Mapping[EntityPath, EntityIndex], entity: str, store_id: StoreId
) -> EntityIndex:
    """The index of an entity, given its path in any form.

    Raises:
        UnknownEntityError: There is no such entity; the message names those there are.
    """
    # What is no string may not even be hashable.
    path = EntityPath(entity) if isinstance(entity, str) else None
    if path is None or path not in entities:
        named = entity if path is None else path
        error = unknown(UnknownEntityError, "entity", named, entities, str(store_id))
        error.store_id = store_id
        raise error
    return entities[path]


def is_without_time(timelines: Mapping[str, TimeType], name: object) -> bool:
    """Whether a store has no timeline at all, and so only static data to answer with.

    Such a store answers whatever timeline is named: a live recording often begins with static
    data, and the caller cannot know when the first time comes.
    """
    return not timelines and isinstance(name, str)


def find_timeline(timelines: Mapping[str, TimeType], name: str, store_id: StoreId) -> Timeline:
    """A timeline with the latest type of its times.

    Raises:
        UnknownTimelineError: There is no such timeline; the message names those there are.
    """
    if not isinstance(name, str) or name not in timelines:
        error = unknown(UnknownTimelineError, "timeline", name, timelines, str(store_id))
        error.store_id = store_id
        raise error
    return Timeline(name, timelines[name])
