"""The choice of the `Clear` that applies to a latest-at query (rules of `re_query::latest_at`).

Clears on the entity itself always apply; clears on its ancestors only if they are recursive. Of
each entity only the latest clear at or before the query counts. Among these the one with the
greatest index decides: it hides all data whose index is not greater than its own. A static index is
greater than all temporal ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.store.cell import Cell
from forebay.store.entity import CLEAR
from forebay.store.time_index import latest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forebay.model import EntityPath
    from forebay.store.entity import EntityIndex
    from forebay.store.leaf import Hit


class Clearing:
    """The clear that hides most data; `time` is `None` if it is static."""

    __slots__ = ("row_id", "time")

    def __init__(self, time: int | None, row_id: bytes) -> None:
        self.time = time
        self.row_id = row_id

    def spares(self, hit: Hit) -> bool:
        """Return whether a temporal cell remains visible."""
        return self.time is not None and (hit.time, hit.row_id) > (self.time, self.row_id)

    def spares_static(self, cell: Cell) -> bool:
        """Return whether a static cell remains visible."""
        return self.time is not None or cell.row_id > self.row_id

    def is_later_than(self, other: Clearing) -> bool:
        """Return whether this clear hides more than another one."""
        if self.time is None or other.time is None:
            return (self.time is None, self.row_id) > (other.time is None, other.row_id)
        return (self.time, self.row_id) > (other.time, other.row_id)


def clearing(
    entities: Mapping[EntityPath, EntityIndex],
    index: EntityIndex,
    timeline: str | None,
    at: int,
) -> Clearing | None:
    """Return the clear that applies to an entity at a time; `None` if nothing is hidden.

    Args:
        entities: All entities of the store.
        index: The entity of the query.
        timeline: The timeline of the query; `None` for static data.
        at: The time of the query.
    """
    greatest: Clearing | None = None
    for path in index.lineage:
        if path not in entities:
            continue
        place = entities[path]
        if CLEAR not in place.columns:
            continue
        cell = _latest_clear(place, timeline, at)
        if cell is None or (place is not index and cell.value.to_pylist() != [True]):
            continue
        found = Clearing(cell.time, cell.row_id)
        if greatest is None or found.is_later_than(greatest):
            greatest = found
    return greatest


def _latest_clear(place: EntityIndex, timeline: str | None, at: int) -> Cell | None:
    statics = place.static_cells
    static = statics[CLEAR] if CLEAR in statics else None  # noqa: SIM401 - as in `EntityIndex.runs`
    if static is not None or timeline is None or timeline not in place.timelines:
        return static
    hit = latest_of(place.runs((timeline, CLEAR)), at)
    return None if hit is None else Cell.lazy(hit, CLEAR)
