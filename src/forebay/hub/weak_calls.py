"""Callbacks that do not keep their objects alive: a store that is dropped is gone at once."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def weakly(method: Callable[[], None]) -> Callable[[], None]:
    """`method`, without keeping its object alive: a store that is dropped is gone at once."""
    return _WeakCall(weakref.ref(method.__self__), method.__func__)  # type: ignore[attr-defined]


class _WeakCall:
    """A third of the memory of a `weakref.WeakMethod` in a closure; each store has two."""

    __slots__ = ("_function", "_owner")

    def __init__(self, owner: weakref.ref[object], function: Callable[[object], object]) -> None:
        self._owner = owner
        self._function = function

    def __call__(self) -> None:
        owner = self._owner()
        if owner is not None:
            self._function(owner)
