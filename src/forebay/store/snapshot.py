"""`StoreSnapshot`: all queries, on an immutable view of one generation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from forebay.chunk import ARROW_TIME_TYPES, DamagedChunk
from forebay.errors import QueryError, UnknownComponentError
from forebay.model import Timeline, TimeType, to_index_value
from forebay.store.cell import Cell
from forebay.store.damage import despite_damage
from forebay.store.dataframe.source import DataframeSource
from forebay.store.entity import CLEAR
from forebay.store.latest_at import clearing
from forebay.store.ledger import byte_size_of
from forebay.store.range_query import (
    column_types,
    known_types,
    range_table,
    rows_in_range,
    static_table,
)
from forebay.store.time_index import latest_of
from forebay.store.unknown import (
    find_entity,
    find_timeline,
    is_without_time,
    names_of,
    unknown,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

    from forebay.chunk import Chunk, ComponentDescriptor
    from forebay.model import EntityPath, StoreId, TimeLike
    from forebay.store.entity import EntityIndex, Plan
    from forebay.store.entity_map import EntityMap
    from forebay.store.leaf import Hit

lazy: Final = Cell.lazy
_TIME_LIMIT: Final = 1 << 63


class StoreSnapshot(DataframeSource):
    """An immutable view of a store at one generation. Thread-safe, without time limit.

    An entity is named by its path in any form that Rerun's SDK accepts. An unknown entity, timeline
    or component raises an error that lists known ones. A known one without data in the queried
    range gives an empty result. Names remain known even if garbage collection removed all their
    data.

    Attributes:
        store_id: The recording or blueprint.
        generation: The store's generation when the snapshot was taken.
        num_chunks: The number of chunks after splitting and merging.
        num_rows: The number of rows of all chunks.
    """

    __slots__ = (
        "_byte_size",
        "_entities",
        "_has_clears",
        "_paths",
        "_timelines",
        "generation",
        "num_chunks",
        "num_rows",
        "store_id",
    )

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        store_id: StoreId,
        generation: int,
        entities: EntityMap,
        timelines: Mapping[str, TimeType],
        has_clears: bool,
        num_chunks: int,
        num_rows: int,
    ) -> None:
        self.store_id = store_id
        self.generation = generation
        self.num_chunks = num_chunks
        self.num_rows = num_rows
        self._entities = entities
        self._timelines = timelines
        self._has_clears = has_clears
        # Both are computed on first access and stored complete, with one assignment.
        self._paths: tuple[EntityPath, ...] | None = None
        self._byte_size: int | None = None

    def entity_paths(self) -> list[EntityPath]:
        """Return all entities in Rerun's order: numbers by value, reserved names last."""
        paths = self._paths
        if paths is None:
            paths = self._paths = tuple(sorted(self._entities, key=lambda path: path.sort_key))
        return list(paths)

    def timelines(self) -> dict[str, TimeType]:
        """Return all timelines with the latest type of their times, in lexical order."""
        return dict(sorted(self._timelines.items()))

    def timeline(self, name: str) -> Timeline:
        """Return one timeline.

        Args:
            name: The name of the timeline.

        Raises:
            UnknownTimelineError: There is no such timeline; the message lists known ones.
        """
        return find_timeline(self._timelines, name, self.store_id)

    def time_range(self, timeline: str) -> tuple[int, int]:
        """Return the least and greatest time of any row on a timeline, both inclusive.

        Args:
            timeline: The name of the timeline.

        Raises:
            UnknownTimelineError: There is no such timeline; the message lists known ones.
            QueryError: All data on the timeline was dropped.
        """
        self.timeline(timeline)
        ranges = [
            found
            for entity in self._entities.values()
            if (found := entity.time_range(timeline)) is not None
        ]
        if not ranges:
            msg = f"all data on timeline {timeline!r} of {self.store_id} has been dropped"
            raise QueryError(msg, store_id=self.store_id)
        return min(first for first, _ in ranges), max(last for _, last in ranges)

    @property
    def byte_size(self) -> int:
        """The bytes of all buffers that the chunks refer to; each buffer is counted once."""
        size = self._byte_size
        if size is None:
            size = self._byte_size = byte_size_of(
                chunk
                for entity in self._entities.values()
                for chunks in (entity.static_chunks, (leaf.chunk for leaf in entity.leaves()))
                for chunk in chunks
            )
        return size

    def entity_stats(self) -> list[tuple[EntityPath, int, int]]:
        """Return path, number of chunks and number of rows of every entity, in Rerun's order."""
        found = ((path, self._entities[path]) for path in self.entity_paths())
        return [(path, entity.num_chunks, entity.num_rows) for path, entity in found]

    def chunks(self, entity: str) -> Sequence[Chunk]:
        """Return the temporal chunks of an entity, roughly in order of arrival.

        Chunks that were `put_aside` are not included.

        Args:
            entity: The entity's path in any form.

        Raises:
            UnknownEntityError: There is no such entity; the message lists known ones.
        """
        leaves = self._entity(entity).leaves()
        return [
            chunk for chunk in (leaf.chunk for leaf in leaves) if type(chunk) is not DamagedChunk
        ]

    def static_chunks(self, entity: str) -> Sequence[Chunk]:
        """Return the static chunks of an entity that have at least one visible cell.

        Args:
            entity: The entity's path in any form.

        Raises:
            UnknownEntityError: There is no such entity; the message lists known ones.
        """
        return self._entity(entity).static_chunks

    def put_aside(self) -> list[DamagedChunk]:
        """Return the chunks that could not be opened, with `cause`, `lost_rows` and `original`.

        No chunk that was validated when it was accepted should be among them. They keep their
        memory until they are collected or dropped; queries use the other chunks.
        """
        return [
            leaf.chunk
            for entity in self._entities.values()
            for leaf in entity.leaves()
            if type(leaf.chunk) is DamagedChunk
        ]

    def look_for_damage(self) -> int:
        """Open every chunk, and put aside those that cannot be opened.

        Returns:
            The number of chunks that were put aside by this call.
        """
        before = len(self.put_aside())
        for entity in self._entities.values():
            for leaf in entity.leaves():
                leaf.is_sound()
        return len(self.put_aside()) - before

    def components(self, entity: str) -> list[ComponentDescriptor]:
        """Return the latest descriptor of every component of an entity, ordered by identifier.

        Args:
            entity: The entity's path in any form.

        Raises:
            UnknownEntityError: There is no such entity; the message lists known ones.
        """
        columns = self._entity(entity).columns
        return [columns[name].descriptor for name in sorted(columns)]

    def component_types(self, entity: str) -> dict[str, pa.DataType]:
        """Return the Arrow type (a list) of every component of an entity, ordered by identifier.

        The type represents all cells in the store (`chunk.unify`). It is a list of `null` if there
        is no common type.

        Args:
            entity: The entity's path in any form.

        Raises:
            UnknownEntityError: There is no such entity; the message lists known ones.
        """
        index = self._entity(entity)
        return known_types(index, sorted(index.columns))

    def latest_at(
        self,
        timeline: str | None,
        time: TimeLike | None,
        entity: str,
        components: Iterable[str] | None = None,
    ) -> dict[str, Cell]:
        """Return the latest cell of each component at or before a time (Rerun's latest-at query).

        A static cell takes precedence over all temporal cells. Otherwise the result is the cell
        with the greatest (time, row id); null cells are skipped, empty lists count. A `Clear` hides
        data that is not later than itself. Of two rows with the same row id and time, the row of
        the chunk that arrived first counts; within one chunk, the later row.

        Args:
            timeline: The name of the timeline; `None` requests static data. In a recording without
                timelines any name is accepted.
            time: A time of any kind that fits the timeline; ignored without a timeline.
            entity: The entity's path in any form.
            components: Identifiers of the components wanted; the default is all.

        Returns:
            Cells by component, in lexical order or in the order of `components`. Components without
            a result are absent.

        Raises:
            UnknownTimelineError: There are timelines, but none of that name.
            UnknownEntityError: There is no such entity.
            UnknownComponentError: The entity has no such component.
            TimeTypeError: The time does not fit the timeline.
        """
        known = self._entities.recent
        try:
            # Not `get` (docs/free-threading.md). Only a path that is not canonical has to be
            # parsed.
            index = known[entity]  # type: ignore[index]
            is_there = timeline in self._timelines
        except (KeyError, TypeError):  # an argument that is not a string may not be hashable
            index = self._entity(entity)
            is_there = isinstance(timeline, str) and timeline in self._timelines
        at = 0
        if timeline is not None:
            # Loops usually pass integers, which need no conversion.
            if not is_there or type(time) is not int or not _fits(time):
                timeline, at = self._converted(timeline, time)
            else:
                at = time
        plan = index.plan(timeline)
        if components is not None:
            plan = self._selection(index, plan, components)
        clear = clearing(self._entities, index, timeline, at) if self._has_clears else None
        cells: dict[str, Cell] = {}
        shared: Hit | None = None
        is_shared_known = False
        for name, runs, static, is_whole in plan:
            if static is not None:
                if clear is None or name == CLEAR or clear.spares_static(static):
                    cells[name] = static
                continue
            if is_whole and is_shared_known:
                hit = shared
            else:
                hit = latest_of(runs, at)
                if is_whole:
                    shared, is_shared_known = hit, True
            if hit is not None and (clear is None or name == CLEAR or clear.spares(hit)):
                cells[name] = lazy(hit, name)
        return cells

    @despite_damage
    def range(
        self,
        timeline: str | None,
        start: TimeLike | None,
        end: TimeLike | None,
        entity: str,
        components: Iterable[str] | None = None,
    ) -> pa.Table:
        """Return one row per logged row in `[start, end]` that has at least one of the components.

        Rows are ordered by (time, row id). As in `latest_at`, a component with static data gives
        only its static cell: its temporal cells are not included. The static cells of all
        components are in one first row, with a null time and the greatest of their row ids; this
        row does not depend on the bounds. Clears have no effect.

        Two rows with the same row id and time are both included; the one that `latest_at` returns
        comes last.

        Without a timeline the result has the static cells as they were logged: one row per logged
        row that has visible ones, and no time column.

        Args:
            timeline: The name of the timeline; `None` requests static data. In a recording without
                timelines any name is accepted; its column then has type int64, and the bounds have
                no effect.
            start: The least time, inclusive; ignored without a timeline.
            end: The greatest time, inclusive; ignored without a timeline.
            entity: The entity's path in any form.
            components: Identifiers of the components wanted. The default is all that the entity
                ever had on this timeline or as static data.

        Returns:
            The timeline's column (int64, duration or timestamp in nanoseconds; null in the row of
            static cells), `row_id` (16 bytes), and one list column per component, null where the
            row has no cell, in lexical order or in the order of `components`.

        Raises:
            UnknownTimelineError: There are timelines, but none of that name.
            UnknownEntityError: There is no such entity.
            UnknownComponentError: The entity has no such component.
            TimeTypeError: A bound does not fit the timeline.
            QueryError: The cells of a component have no common Arrow type (`chunk.unify`).
        """
        index = self._entity(entity)
        if timeline is None:
            names = self._names(index, components, index.static_cells)
            return static_table(index, column_types(index, names, (), index.static_owners))
        if is_without_time(self._timelines, timeline):
            line, first, last = Timeline(timeline, TimeType.SEQUENCE), 0, 0
        else:
            line = self.timeline(timeline)
            first, last = to_index_value(start, line), to_index_value(end, line)  # type: ignore[arg-type]
        leaves = [leaf for leaf in index.leaves() if timeline in leaf.chunk.layout.indexes]
        there = {name for leaf in leaves for name in leaf.chunk.layout.components}
        names = self._names(index, components, there | index.static_cells.keys())
        static = {name: index.static_owners[name] for name in names if name in index.static_owners}
        temporal = [name for name in names if name not in static]
        parts = []
        for leaf in leaves:
            column = leaf.column((timeline, None))
            if column is not None and column.first <= last and column.last >= first:
                rows = rows_in_range(leaf.chunk, timeline, first, last, temporal)
                if rows is not None:
                    parts.append((leaf.chunk, rows))
        types = column_types(index, names, parts, static)
        return range_table(parts, (timeline, ARROW_TIME_TYPES[line.type]), types, static)

    def _converted(self, timeline: str, time: TimeLike | None) -> tuple[str | None, int]:
        """Return a timeline and an integer time on it; no timeline if the recording has none."""
        if is_without_time(self._timelines, timeline):
            return None, 0
        return timeline, to_index_value(time, self.timeline(timeline))  # type: ignore[arg-type]

    def _entity(self, entity: str) -> EntityIndex:
        return find_entity(self._entities, entity, self.store_id)

    def _names(
        self, index: EntityIndex, components: Iterable[str] | None, there: Iterable[str]
    ) -> list[str]:
        """Return the components wanted, each once; those in `there` if none were given."""
        if components is None:
            return sorted(there)
        names = names_of(components)
        for name in names:
            if not isinstance(name, str) or name not in index.columns:
                where = f"entity {index.path} of {self.store_id}"
                error = unknown(UnknownComponentError, "component", name, index.columns, where)
                error.store_id = self.store_id
                raise error
        return names

    def _selection(self, index: EntityIndex, plan: Plan, components: Iterable[str]) -> Plan:
        planned = {entry[0]: entry for entry in plan}
        names = self._names(index, components, ())
        return [planned[name] for name in names if name in planned]


def _fits(time: int) -> bool:
    return -_TIME_LIMIT <= time < _TIME_LIMIT
