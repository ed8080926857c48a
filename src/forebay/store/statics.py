"""Static data: per component only the cell with the greatest row id is visible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from forebay.chunk.arrays import are_valid
from forebay.store.cell import Cell, Row

if TYPE_CHECKING:
    from forebay.chunk import Chunk

KEPT_ARCHETYPES: Final = frozenset({"rerun.archetypes.Transform3D", "rerun.archetypes.Pinhole"})
"""Shadowed static chunks of these archetypes remain in the store (`re_chunk_store::writes`).

One entity may have transforms between many frames; viewers read all of them, not latest-at.
"""


class Statics:
    """The static data of one entity.

    Copy-on-write: the writer changes the object in place until a snapshot refers to it, then
    continues with a copy. So the cost of a static chunk depends on its number of columns, not on
    the number of static components that exist already.

    Attributes:
        epoch: The writer's epoch in which this object was made; see `StoreState`.
        cells: For each component, the static cell with the greatest row id.
        owners: For each of these cells, its chunk and the position of its row.
        chunks: The chunks by id, in order of arrival.
    """

    __slots__ = ("_num_cells", "cells", "chunks", "epoch", "owners")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.cells: dict[str, Cell] = {}
        self.owners: dict[str, tuple[Chunk, int]] = {}
        self.chunks: dict[bytes, Chunk] = {}
        self._num_cells: dict[bytes, int] = {}  # how many of `cells` each chunk has, if any

    def copy(self, epoch: int) -> Statics:
        """Return an object that the writer may change while snapshots use this one.

        Args:
            epoch: The writer's epoch.
        """
        copied = Statics(epoch)
        copied.cells = self.cells.copy()
        copied.owners = self.owners.copy()
        copied.chunks = self.chunks.copy()
        copied._num_cells = self._num_cells.copy()
        return copied

    def insert(self, chunk: Chunk) -> list[Chunk]:
        """Add a chunk to an object that the caller owns.

        Args:
            chunk: A static chunk.

        Returns:
            The chunks that no longer have a visible cell; the new chunk may be among them.
        """
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
"""Shared by all entities without static data; its epoch never matches, so it never changes."""


def _last_valid(chunk: Chunk, component: str) -> int | None:
    """Return the last row that has a cell; rows are sorted by row id."""
    cells = chunk.component(component)
    if not cells.null_count:
        return chunk.num_rows - 1
    rows = np.flatnonzero(are_valid(cells))
    return int(rows[-1]) if len(rows) else None
