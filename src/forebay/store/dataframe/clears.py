"""Clears in a dataframe: rows of an entity in which every component is empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from forebay.chunk import Chunk
from forebay.chunk.arrays import are_valid, truths
from forebay.model import EntityPath
from forebay.store.dataframe.columns import CLEAR, Snapshot, has_cells, list_offsets
from forebay.store.dataframe.rows import ChunkRows, LatestRows

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class ClearSource:
    """The clears logged on one entity, with their effect on that entity or on a descendant.

    Attributes:
        latest: The clears; of those with the same time only the one logged last.
        hides: Whether each of them hides data: on the entity itself all do, on an ancestor only
            recursive ones.
    """

    latest: LatestRows
    hides: Bools


@dataclass(frozen=True, slots=True, eq=False)
class EntityClears:
    """All clears that affect one entity: its own, and the recursive ones of its ancestors.

    Attributes:
        latest: Of all of them with the same time only the one logged last.
        sources: The clears by the entity on which they were logged.
    """

    latest: LatestRows
    sources: tuple[ClearSource, ...]

    def against(self, data: LatestRows) -> tuple[Bools, Bools]:
        """Compare clears with data of the same time; the one logged later wins.

        A clear that was logged in the same row as data does not affect that data.

        Args:
            data: The rows of a column.

        Returns:
            Whether each clear is shown in its row (shape `(clears,)`), and whether each data row is
            replaced by a clear (shape `(data rows,)`).
        """
        wins = np.ones(len(self.latest), np.bool_)
        loses = np.zeros(len(data), np.bool_)
        if not len(data):
            return wins, loses
        at = np.minimum(np.searchsorted(data.times, self.latest.times), len(data) - 1)
        same = np.flatnonzero(data.times[at] == self.latest.times)
        if len(same):
            high, low = self.latest.row_id_halves(same)
            data_high, data_low = data.row_id_halves(at[same])
            later = (high > data_high) | ((high == data_high) & (low > data_low))
            wins[same] = later
            loses[at[same]] = later
        return wins, loses


class Clears:
    """The clears of all entities on one index, collected on demand."""

    def __init__(self, snapshot: Snapshot, index: str) -> None:
        self._snapshot = snapshot
        self._index = index
        self._there = set(snapshot.entity_paths())
        self._chunks: dict[EntityPath, list[Chunk]] = {}

    def of(self, entity_path: EntityPath) -> EntityClears | None:
        """Return the clears that affect an entity; `None` if there are none.

        Args:
            entity_path: The entity.
        """
        chunks: list[Chunk] = []
        sources: list[ClearSource] = []
        own = self._chunks_of(entity_path)
        if own:
            chunks += own
            self._add(sources, own, recursive_only=False)
        recursive = [path for path in entity_path.ancestors() if self._chunks_of(path)]
        for ancestor in recursive:
            chunks += self._chunks_of(ancestor)
            self._add(sources, self._chunks_of(ancestor), recursive_only=True)
        if not sources:
            return None
        mine = {id(chunk) for chunk in own}
        rows = ChunkRows(chunks, self._index)
        kept = _flags(rows, lambda chunk, valid, recurs: valid & (recurs | (id(chunk) in mine)))
        return EntityClears(rows.latest_of(np.flatnonzero(kept)), tuple(sources))

    def _add(
        self, sources: list[ClearSource], chunks: list[Chunk], *, recursive_only: bool
    ) -> None:
        rows = ChunkRows(chunks, self._index)
        valid = _flags(rows, lambda _, valid, __: valid)
        latest = rows.latest_of(np.flatnonzero(valid))
        hides = np.ones(len(rows.times), np.bool_)
        if recursive_only:
            hides = _flags(rows, lambda _, __, recurs: recurs)
        sources.append(ClearSource(latest, hides if latest.rows is None else hides[latest.rows]))

    def _chunks_of(self, entity_path: EntityPath) -> list[Chunk]:
        """Return the temporal chunks with clears on the index; none if there is a static clear.

        A static clear takes precedence over all temporal ones.
        """
        chunks = self._chunks.get(entity_path)
        if chunks is None:
            chunks = []
            if entity_path in self._there and not any(
                has_cells(chunk.component(CLEAR))
                for chunk in _having(self._snapshot.static_chunks(entity_path))
            ):
                chunks = [
                    chunk
                    for chunk in _having(self._snapshot.chunks(entity_path))
                    if self._index in chunk.layout.indexes
                ]
            self._chunks[entity_path] = chunks
        return chunks


def _having(chunks: Sequence[Chunk]) -> list[Chunk]:
    return [chunk for chunk in chunks if CLEAR in chunk.layout.components]


def _flags(rows: ChunkRows, flag: object) -> Bools:
    """Return the concatenated results of `flag(chunk, valid, recursive)` for all chunks."""
    assert callable(flag)
    parts = []
    for chunk in rows.chunks:
        cells = chunk.component(CLEAR)
        parts.append(flag(chunk, are_valid(cells), _recursive(cells)))
    return np.concatenate(parts) if parts else np.zeros(0, np.bool_)


def _recursive(cells: pa.ListArray) -> Bools:
    """Return whether the first instance of each cell is true."""
    offsets = list_offsets(cells)
    values = cells.values
    if not pa.types.is_boolean(values.type) or not len(values):
        return np.zeros(len(cells), np.bool_)
    true = truths(values) & are_valid(values)
    first = true[np.minimum(offsets[:-1], len(true) - 1)]
    recursive: Bools = first & (offsets[1:] > offsets[:-1]) & are_valid(cells)
    return recursive
