"""Errors for unknown names; the messages list the known ones."""

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
"""Longer names are cut when shown and are not compared: comparison takes quadratic time."""

ErrorT = TypeVar("ErrorT", bound="QueryError")


def unknown(
    error: type[ErrorT], noun: str, name: object, there: Iterable[str], where: str
) -> ErrorT:
    """Return the error for a `name` that is not among the known ones.

    Args:
        error: The class of the error.
        noun: The kind of name, in the singular (`timeline`).
        name: The name that was not found.
        there: The known names. The message suggests a close match and lists a bounded number.
        where: The place of the search (`recording 'x' of 'app'`).
    """
    names = sorted(there)
    msg = f"there is no {noun} {name!r} in {where}"
    close: list[str] = []
    if isinstance(name, str):
        close = _close_to(name, names)
    else:  # The argument may be of any type; then the list of known names helps most.
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
    """Return the name that was probably meant, in a list of at most one.

    If there are very many names, only those adjacent in lexical order are compared.
    """
    if len(name) > NAME_CHARS_COMPARED_MAX:
        return []
    at = max(0, bisect_left(names, name) - NAMES_COMPARED_MAX // 2)
    near = names[at : at + NAMES_COMPARED_MAX]
    short = [one for one in near if len(one) <= NAME_CHARS_COMPARED_MAX]
    return difflib.get_close_matches(name, short, n=1)


def names_of(names: Iterable[str] | str) -> list[str]:
    """Return one name or several as a list without repetitions.

    Args:
        names: A name or an iterable of names. Any other value is returned as a name, which no
            component has.
    """
    given: Any = names
    if isinstance(given, str) or not isinstance(given, Iterable):
        return [given]
    found = list(given)
    return list(dict.fromkeys(found)) if all(isinstance(name, str) for name in found) else found


def find_entity(
    entities: Mapping[EntityPath, EntityIndex], entity: str, store_id: StoreId
) -> EntityIndex:
    """Return the index of an entity.

    Args:
        entities: All entities of the store.
        entity: The entity's path in any form.
        store_id: The store, for the error message.

    Raises:
        UnknownEntityError: There is no such entity; the message lists known ones.
    """
    # An argument that is not a string may not be hashable.
    path = EntityPath(entity) if isinstance(entity, str) else None
    if path is None or path not in entities:
        named = entity if path is None else path
        error = unknown(UnknownEntityError, "entity", named, entities, str(store_id))
        error.store_id = store_id
        raise error
    return entities[path]


def is_without_time(timelines: Mapping[str, TimeType], name: object) -> bool:
    """Return whether a store has no timeline, so that queries use only its static data.

    Such a store accepts any name of a timeline: a live recording often begins with static data, and
    the caller cannot know when the first time arrives.

    Args:
        timelines: The timelines of the store.
        name: The name that the caller gave.
    """
    return not timelines and isinstance(name, str)


def find_timeline(timelines: Mapping[str, TimeType], name: str, store_id: StoreId) -> Timeline:
    """Return a timeline with the latest type of its times.

    Args:
        timelines: The timelines of the store.
        name: The name of the timeline.
        store_id: The store, for the error message.

    Raises:
        UnknownTimelineError: There is no such timeline; the message lists known ones.
    """
    if not isinstance(name, str) or name not in timelines:
        error = unknown(UnknownTimelineError, "timeline", name, timelines, str(store_id))
        error.store_id = store_id
        raise error
    return Timeline(name, timelines[name])
