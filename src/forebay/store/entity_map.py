"""`EntityMap`: a copy-on-write map of a store's entities, cheap to change after a snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from forebay.store.entity import EntityIndex

if TYPE_CHECKING:
    from forebay.model import EntityPath

RECENT_SQUARE_MIN: Final = 4096
"""With fewer entities than this, copying only the recent ones does not pay."""


class RecentEntities(dict["EntityPath", EntityIndex]):
    """A dict of recently changed entities; missing keys are looked up in `base`.

    `[]` finds any entity. All other operations see only the recent ones.

    Attributes:
        base: All other entities, and older states of the recent ones; never changed.
    """

    __slots__ = ("base",)

    def __init__(self, base: Mapping[EntityPath, EntityIndex]) -> None:
        super().__init__()
        self.base = base

    def __missing__(self, path: EntityPath) -> EntityIndex:
        return self.base[path]


class EntityMap(Mapping["EntityPath", EntityIndex]):
    """The index of each entity, in the order in which entities first appeared.

    Copy-on-write: the writer changes the map in place until a snapshot refers to it, then continues
    with a `clone`, which copies only recently changed entities. When there are more of them than
    the square root of all entities, they are merged into the base. So a change after a snapshot
    costs O(√n) on average for n entities.

    Attributes:
        recent: For lookups with `[]` that are as fast as those in a dict.
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
        """Add an entity that is not in the map yet."""
        self.recent[path] = entity
        self._num_new += 1

    def replace(self, path: EntityPath, entity: EntityIndex) -> None:
        """Replace the index of an entity by its clone."""
        self.recent[path] = entity

    def clone(self) -> EntityMap:
        """Return a map that the writer may change while snapshots use this one."""
        recent = self.recent
        if len(recent) ** 2 > RECENT_SQUARE_MIN + len(recent.base):
            return EntityMap({**recent.base, **recent})
        copied = EntityMap(recent.base)
        copied.recent.update(recent)
        copied._num_new = self._num_new
        return copied

    def removed(self, path: EntityPath) -> EntityMap:
        """Remove an entity and return the map with which the writer continues.

        This is the same map if the entity is a recent one. Else it is a copy in which all entities
        are recent, so removing many entities copies the map once.
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
