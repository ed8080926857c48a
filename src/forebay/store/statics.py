"""Static data: per component, the cell with the greatest row id is the only one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from forebay.chunk.arrays import are_valid
from forebay.store.cell import Cell, Row

if TYPE_CHECKING:
    from forebay.chunk import Chunk
    from forebay.store.entity import EntityIndex

KEPT_ARCHETYPES: Final = frozenset({"rerun.archetypes.Transform3D", "rerun.archetypes.Pinhole"})
"""Shadowed static chunks of these stay in the store, as in Rerun (`re_chunk_store::writes`): one
entity may carry transforms between many frames, which viewers read in full, not latest-at."""


def insert(entity: EntityIndex, chunk: Chunk) -> list[Chunk]:
    """Add a static chunk to an index that the caller owns.

    Returns:
        The chunks of which no cell is visible any longer; this may be the new one itself.
    """
    cells = dict(entity.static_cells)
    owners = dict(entity.static_owners)
    shadowed: list[Chunk] = []
    lost = False
    for name, data in chunk.layout.components.items():
        row = _last_valid(chunk, name)
        if row is None:
            continue
        kept = data.descriptor.archetype in KEPT_ARCHETYPES
        row_id = bytes(chunk.row_id_at(row))
        current = cells.get(name)
        if current is not None and row_id <= current.row_id:
            lost = lost or not kept
            continue
        if current is not None and not kept:
            shadowed.append(owners[name][0])
        cells[name] = Cell.lazy(Row(None, row_id, chunk, row), name)
        owners[name] = chunk, row
    if lost:
        shadowed.append(chunk)
    visible = {owner.id for owner, _ in owners.values()}
    gone = {one.id: one for one in shadowed if one.id not in visible}
    entity.static_cells = cells
    entity.static_owners = owners
    entity.static_chunks = tuple(
        one for one in (*entity.static_chunks, chunk) if one.id not in gone
    )
    return list(gone.values())


def _last_valid(chunk: Chunk, component: str) -> int | None:
    """The last row with a cell; rows are sorted by row id."""
    cells = chunk.component(component)
    if not cells.null_count:
        return chunk.num_rows - 1
    rows = np.flatnonzero(are_valid(cells))
    return int(rows[-1]) if len(rows) else None
