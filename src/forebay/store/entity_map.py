"""`EntityMap`: the entities of a store, of which a change copies few however many there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from forebay.store.entity import EntityIndex

if TYPE_CHECKING:
    from forebay.model import EntityPath

RECENT_SQUARE_MIN: Final = 4096
"""Entities below which it is not worth while to copy parts of them alone."""


class RecentEntities(dict["EntityPath", EntityIndex]):
    """Entities that changed lately; what is missing here is looked up in `base`.

    A lookup with `[]` finds any entity. Everything else is about the recent ones alone.

    Attributes:
        base: All others, and older states of these; never changed.
    """

    __slots__ = ("base",)

    def __init__(self, base: Mapping[EntityPath, EntityIndex]) -> None:
        super().__init__()
        self.base = base

    def __missing__(self, path: EntityPath) -> EntityIndex:
        return self.base[path]


class EntityMap(Mapping["EntityPath", EntityIndex]):
    """The index of each entity, in the order in which entities came up.

    The writer changes it in place until a snapshot has seen it, then it goes on with a `clone`.
    That copies the entities that changed lately. Once they are more than the square root of all,
    they become part of the others: so a change after a snapshot costs the square root of the
    entities, on average.

    Attributes:
        recent: For lookups with `[]` that must cost no more than those in a dict.
    """

    __slots__ = ("_num_new", "recent")

    def __init__(self, base: Mapping[EntityPath, EntityIndex] | None = None) -> None:
        self.recent = RecentEntities({} if base is None else base)
        self._num_new = 0

    def __getitem__(self, path: EntityPath) -> EntityIndex:
        return self.recent[path]

    def __contains__(self, path: object) -> bool:
        return path in self.recent or path in self.recent.base

    def __iter__(self) -> Iterator[EntityPath]:
        base = self.recent.base
        yield from base
        yield from (path for path in self.recent if path not in base)

    def __len__(self) -> int:
        return len(self.recent.base) + self._num_new

    def add(self, path: EntityPath, entity: EntityIndex) -> None:
        """Add an entity that is not there yet."""
        self.recent[path] = entity
        self._num_new += 1

    def replace(self, path: EntityPath, entity: EntityIndex) -> None:
        """Put a clone in the place of an entity."""
        self.recent[path] = entity

    def clone(self) -> EntityMap:
        """A map that the writer may change while snapshots go on with this one."""
        recent = self.recent
        if len(recent) ** 2 > RECENT_SQUARE_MIN + len(recent.base):
            return EntityMap({**recent.base, **recent})
        copied = EntityMap(recent.base)
        copied.recent.update(recent)
        copied._num_new = self._num_new
        return copied

    def removed(self, path: EntityPath) -> EntityMap:
        """The map that the writer goes on with after it took out an entity.

        That is this one, if the entity is a recent one; else a copy in which all are recent, so
        that taking out many copies them once.
        """
        if path in self.recent.base:
            copied = EntityMap()
            for other in self:
                if other != path:
                    copied.add(other, self[other])
            return copied
        del self.recent[path]
        self._num_new -= 1
        return self
