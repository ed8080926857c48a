"""`StoreSnapshot`: every query, frozen at one generation. (First form: brute force.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from forebay.chunk import ARROW_TIME_TYPES
from forebay.errors import UnknownComponentError, UnknownEntityError, UnknownTimelineError
from forebay.model import EntityPath, Timeline, to_index_value
from forebay.store.cell import Cell
from forebay.store.range_query import range_table, rows_in_range
from forebay.store.unknown import unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

    from forebay.chunk import Chunk, ComponentDescriptor
    from forebay.model import StoreId, TimeLike, TimeType

CLEAR = "Clear:is_recursive"


class StoreSnapshot:
    """What a store held at one generation; safe from any thread, for ever."""

    def __init__(
        self,
        store_id: StoreId,
        generation: int,
        chunks: Mapping[EntityPath, Sequence[Chunk]],
    ) -> None:
        self.store_id = store_id
        self.generation = generation
        self._chunks = chunks

    def entity_paths(self) -> list[EntityPath]:
        """Every entity with data, in Rerun's order."""
        return sorted(self._chunks, key=lambda path: path.sort_key)

    def timelines(self) -> dict[str, TimeType]:
        """Every timeline with the type of its times, in lexical order."""
        found = {
            name: index.timeline.type
            for chunks in self._chunks.values()
            for chunk in chunks
            for name, index in chunk.layout.indexes.items()
        }
        return dict(sorted(found.items()))

    def timeline(self, name: str) -> Timeline:
        """One timeline.

        Raises:
            UnknownTimelineError: There is no such timeline; the message names those there are.
        """
        known = self.timelines()
        if name not in known:
            raise unknown(UnknownTimelineError, "timeline", name, known, str(self.store_id))
        return Timeline(name, known[name])

    def time_range(self, timeline: str) -> tuple[int, int]:
        """The least and the greatest time of any row on a timeline."""
        self.timeline(timeline)
        times = [
            chunk.times(timeline)
            for chunks in self._chunks.values()
            for chunk in chunks
            if timeline in chunk.layout.indexes
        ]
        return min(int(one.min()) for one in times), max(int(one.max()) for one in times)

    @property
    def num_chunks(self) -> int:
        """Chunks as they stand."""
        return sum(map(len, self._chunks.values()))

    @property
    def num_rows(self) -> int:
        """Rows of all chunks."""
        return sum(chunk.num_rows for chunks in self._chunks.values() for chunk in chunks)

    @property
    def byte_size(self) -> int:
        """Bytes of all chunks, each buffer counted once."""
        return sum(chunk.byte_size for chunks in self._chunks.values() for chunk in chunks)

    def entity_stats(self) -> list[tuple[EntityPath, int, int]]:
        """Path, chunks and rows of every entity, in Rerun's order."""
        return [
            (path, len(self._chunks[path]), sum(c.num_rows for c in self._chunks[path]))
            for path in self.entity_paths()
        ]

    def _entity(self, entity: str) -> EntityPath:
        path = EntityPath(entity)
        if path not in self._chunks:
            raise unknown(UnknownEntityError, "entity", path, self._chunks, str(self.store_id))
        return path

    def chunks(self, entity: str) -> Sequence[Chunk]:
        """The temporal chunks of an entity."""
        return [chunk for chunk in self._chunks[self._entity(entity)] if not chunk.is_static]

    def static_chunks(self, entity: str) -> Sequence[Chunk]:
        """The static chunks of an entity."""
        return [chunk for chunk in self._chunks[self._entity(entity)] if chunk.is_static]

    def components(self, entity: str) -> list[ComponentDescriptor]:
        """The components of an entity, ordered by identifier."""
        found = {
            name: data.descriptor
            for chunk in self._chunks[self._entity(entity)]
            for name, data in chunk.layout.components.items()
        }
        return [found[name] for name in sorted(found)]

    def component_types(self, entity: str) -> dict[str, pa.DataType]:
        """The latest Arrow type (a list) of every component of an entity, ordered by identifier."""
        found = {
            name: data.type
            for chunk in self._chunks[self._entity(entity)]
            for name, data in chunk.layout.components.items()
        }
        return dict(sorted(found.items()))

    def _selected(self, path: EntityPath, components: Iterable[str] | None) -> list[str]:
        there = self.component_types(path)
        if components is None:
            return list(there)
        wanted = [components] if isinstance(components, str) else list(components)
        for name in wanted:
            if name not in there:
                raise unknown(UnknownComponentError, "component", name, there, f"entity {path}")
        return wanted

    def latest_at(
        self,
        timeline: str | None,
        time: TimeLike,
        entity: str,
        components: Iterable[str] | None = None,
    ) -> dict[str, Cell]:
        """The latest cell of each component at or before `time`."""
        path = self._entity(entity)
        wanted = self._selected(path, components)
        at = 0 if timeline is None else to_index_value(time, self.timeline(timeline))
        clear = self._cleared(timeline, at, path)
        cells: dict[str, Cell] = {}
        for name in wanted:
            cell = self._latest(timeline, at, path, name)
            if cell is not None and (name == CLEAR or clear is None or _index(cell) > clear):
                cells[name] = cell
        return cells

    def _cleared(
        self, timeline: str | None, at: int, path: EntityPath
    ) -> tuple[bool, int, bytes] | None:
        latest = None
        for place in (path, *path.ancestors()):
            if place in self._chunks:
                cell = self._latest(timeline, at, place, CLEAR)
                if cell is not None and (place == path or cell.value.to_pylist() == [True]):
                    latest = max(latest or _index(cell), _index(cell))
        return latest

    def _latest(self, timeline: str | None, at: int, path: EntityPath, name: str) -> Cell | None:
        best: tuple[bool, int, bytes] | None = None
        found: Cell | None = None
        for chunk in self._chunks[path]:
            if name not in chunk.components or not (
                chunk.is_static or timeline in chunk.layout.indexes
            ):
                continue
            column = chunk.component(name)
            valid = column.is_valid().to_numpy(zero_copy_only=False)
            times = (
                np.zeros(len(column), np.int64)
                if chunk.is_static or timeline is None
                else chunk.times(timeline)
            )
            if not chunk.is_static:
                valid = valid & (times <= at)
            for row in np.flatnonzero(valid):
                row_id = bytes(chunk.row_id_at(int(row)))
                key = (chunk.is_static, int(times[row]), row_id)
                if best is None or key > best:
                    best = key
                    index = None if chunk.is_static else int(times[row])
                    found = Cell(column[int(row)].values, index, row_id)
        return found

    def range(
        self,
        timeline: str | None,
        start: TimeLike,
        end: TimeLike,
        entity: str,
        components: Iterable[str] | None = None,
    ) -> pa.Table:
        """One row per logged row in `[start, end]` that has at least one of the components."""
        path = self._entity(entity)
        wanted = self._selected(path, components)
        types = self.component_types(path)
        if timeline is None:
            parts = [(chunk, np.array([row])) for chunk, row in self._winning(path, wanted)]
            return range_table(parts, None, {name: types[name] for name in wanted})
        line = self.timeline(timeline)
        first, last = to_index_value(start, line), to_index_value(end, line)
        chunks = [c for c in self.chunks(path) if timeline in c.layout.indexes]
        if components is None:
            temporal = {name for chunk in chunks for name in chunk.components}
            wanted = [name for name in wanted if name in temporal]
        found = []
        for chunk in chunks:
            rows = rows_in_range(chunk, timeline, first, last, wanted)
            if rows is not None:
                found.append((chunk, rows))
        column = (timeline, ARROW_TIME_TYPES[line.type])
        return range_table(found, column, {name: types[name] for name in wanted})

    def _winning(self, path: EntityPath, wanted: list[str]) -> list[tuple[Chunk, int]]:
        rows = []
        for chunk in self.static_chunks(path):
            ids = {cell.row_id for name in wanted if (cell := self._latest(None, 0, path, name))}
            rows += [(chunk, n) for n in range(chunk.num_rows) if chunk.row_id_at(n) in ids]
        return rows


def _index(cell: Cell) -> tuple[bool, int, bytes]:
    return (cell.time is None, cell.time or 0, cell.row_id)
