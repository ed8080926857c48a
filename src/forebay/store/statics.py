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


class Statics:
    """The static data of one entity.

    The writer changes it in place until a snapshot has seen it; then it goes on with a copy. So a
    static chunk costs as much as it has columns, however many static components there are already.

    Attributes:
        epoch: When the writer made this object; see `StoreState`.
        cells: Per component the static cell with the greatest row id.
        owners: The chunk that each of these cells is from, and the row.
        chunks: By id, in the order of arrival.
    """

    __slots__ = ("_num_cells", "cells", "chunks", "epoch", "owners")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.cells: dict[str, Cell] = {}
        self.owners: dict[str, tuple[Chunk, int]] = {}
        self.chunks: dict[bytes, Chunk] = {}
        self._num_cells: dict[bytes, int] = {}  # how many of `cells` each chunk has, if any

    def copy(self, epoch: int) -> Statics:
        """An object that the writer may change while snapshots go on with this one."""
        copied = Statics(epoch)
        copied.cells = self.cells.copy()
        copied.owners = self.owners.copy()
        copied.chunks = self.chunks.copy()
        copied._num_cells = self._num_cells.copy()
        return copied

    def insert(self, chunk: Chunk) -> list[Chunk]:
        """Add a chunk; returns those of which no cell is visible any longer, maybe itself."""
        shadowed: dict[bytes, Chunk] = {}
        self.chunks[chunk.id] = chunk
        for name, data in chunk.layout.components.items():
            row = _last_valid(chunk, name)
            if row is None:
                continue
            is_kept = data.descriptor.archetype in KEPT_ARCHETYPES
            row_id = bytes(chunk.row_id_at(row))
            if name in self.cells:
                if row_id <= self.cells[name].row_id:
                    if not is_kept:
                        shadowed[chunk.id] = chunk
                    continue
                owner = self.owners[name][0]
                self._lose_cell(owner)
                if not is_kept:
                    shadowed[owner.id] = owner
            self.cells[name] = Cell.lazy(Row(None, row_id, chunk, row), name)
            self.owners[name] = chunk, row
            num_cells = self._num_cells
            before = num_cells[chunk.id] if chunk.id in num_cells else 0  # noqa: SIM401 - see `EntityIndex.runs`
            num_cells[chunk.id] = before + 1
        gone = [one for one in shadowed.values() if one.id not in self._num_cells]
        for one in gone:
            del self.chunks[one.id]
        return gone

    def _lose_cell(self, owner: Chunk) -> None:
        left = self._num_cells[owner.id] - 1
        if left:
            self._num_cells[owner.id] = left
        else:
            del self._num_cells[owner.id]


NO_STATICS: Final = Statics(-1)
"""Of entities without static data, which most are; of no epoch, so it is never changed."""


def insert(entity: EntityIndex, chunk: Chunk) -> list[Chunk]:
    """Add a static chunk to an index that the caller owns.

    Returns:
        The chunks of which no cell is visible any longer; this may be the new one itself.
    """
    statics = entity.statics
    if statics.epoch != entity.epoch:
        statics = entity.statics = statics.copy(entity.epoch)
    return statics.insert(chunk)


def _last_valid(chunk: Chunk, component: str) -> int | None:
    """The last row with a cell; rows are sorted by row id."""
    cells = chunk.component(component)
    if not cells.null_count:
        return chunk.num_rows - 1
    rows = np.flatnonzero(are_valid(cells))
    return int(rows[-1]) if len(rows) else None
