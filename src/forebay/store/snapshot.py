"""`StoreSnapshot`: every query, frozen at one generation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from forebay.chunk import ARROW_TIME_TYPES
from forebay.errors import QueryError, UnknownComponentError
from forebay.model import to_index_value
from forebay.store.cell import Cell
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
from forebay.store.unknown import find_entity, find_timeline, names_of, unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

    from forebay.chunk import Chunk, ComponentDescriptor
    from forebay.model import EntityPath, StoreId, TimeLike, Timeline, TimeType
    from forebay.store.entity import EntityIndex, Plan
    from forebay.store.leaf import Hit

lazy: Final = Cell.lazy
_TIME_LIMIT: Final = 1 << 63


class StoreSnapshot(DataframeSource):
    """What a store held at one generation: safe from any thread, for as long as it is wanted.

    An entity is named by its path in any form that Rerun's SDK accepts. An unknown entity,
    timeline or component is an error that names what there is; one that is known, but has no
    data where the query looks, gives an empty answer. What was once logged stays known, also
    when garbage collection took the last of it.

    Attributes:
        store_id: The recording or blueprint.
        generation: Of the store when this was taken.
        num_chunks: Chunks as they stand, after splitting and merging.
        num_rows: Rows of all chunks.
    """

    __slots__ = (
        "_byte_size",
        "_clears",
        "_entities",
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
        entities: Mapping[EntityPath, EntityIndex],
        timelines: Mapping[str, TimeType],
        clears: frozenset[EntityPath],
        num_chunks: int,
        num_rows: int,
    ) -> None:
        self.store_id = store_id
        self.generation = generation
        self.num_chunks = num_chunks
        self.num_rows = num_rows
        self._entities = entities
        self._timelines = timelines
        self._clears = clears
        # Both are worked out when first asked for and stored complete, with one assignment.
        self._paths: tuple[EntityPath, ...] | None = None
        self._byte_size: int | None = None

    def entity_paths(self) -> list[EntityPath]:
        """Every entity, in Rerun's order (numbers by value, reserved names last)."""
        paths = self._paths
        if paths is None:
            paths = self._paths = tuple(sorted(self._entities, key=lambda path: path.sort_key))
        return list(paths)

    def timelines(self) -> dict[str, TimeType]:
        """Every timeline with the latest type of its times, in lexical order."""
        return dict(sorted(self._timelines.items()))

    def timeline(self, name: str) -> Timeline:
        """One timeline.

        Raises:
            UnknownTimelineError: There is no such timeline; the message names those there are.
        """
        return find_timeline(self._timelines, name, self.store_id)

    def time_range(self, timeline: str) -> tuple[int, int]:
        """The least and the greatest time of any row on a timeline, both inclusive.

        Raises:
            UnknownTimelineError: There is no such timeline; the message names those there are.
            QueryError: All of its data has been dropped.
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
        """Bytes of all buffers that the chunks refer to, each counted once."""
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
        """Path, chunks and rows of every entity, in Rerun's order."""
        found = ((path, self._entities[path]) for path in self.entity_paths())
        return [(path, entity.num_chunks, entity.num_rows) for path, entity in found]

    def chunks(self, entity: str) -> Sequence[Chunk]:
        """The temporal chunks of an entity, about in the order of arrival.

        Raises:
            UnknownEntityError: There is no such entity; the message names those there are.
        """
        return [leaf.chunk for leaf in self._entity(entity).leaves()]

    def static_chunks(self, entity: str) -> Sequence[Chunk]:
        """The static chunks of an entity of which at least one cell is visible.

        Raises:
            UnknownEntityError: There is no such entity; the message names those there are.
        """
        return self._entity(entity).static_chunks

    def components(self, entity: str) -> list[ComponentDescriptor]:
        """The latest description of every component of an entity, ordered by identifier.

        Raises:
            UnknownEntityError: There is no such entity; the message names those there are.
        """
        columns = self._entity(entity).columns
        return [columns[name].descriptor for name in sorted(columns)]

    def component_types(self, entity: str) -> dict[str, pa.DataType]:
        """The Arrow type (a list) of every component of an entity, ordered by identifier.

        It holds all cells that there are (`chunk.unify`), or is a list of `null` if no type does.

        Raises:
            UnknownEntityError: There is no such entity; the message names those there are.
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
        """The latest cell of each component at or before a time (`semantics.md`, Latest-at).

        Static cells override all others. Else it is the cell with the greatest (time, row id);
        null cells are skipped, empty lists count. A `Clear` hides what is not later than itself.

        Args:
            timeline: Its name; `None` asks for static data.
            time: Any kind of time that fits the timeline; ignored without a timeline.
            entity: The path.
            components: Identifiers of those wanted; all unless given.

        Returns:
            By component, in lexical or in the given order; those without an answer are absent.

        Raises:
            UnknownTimelineError: There is no such timeline.
            UnknownEntityError: There is no such entity.
            UnknownComponentError: The entity has no such component.
            TimeTypeError: The time does not fit the timeline.
        """
        known = self._entities
        try:
            # Not `get`: see docs/free-threading.md. Only a path written otherwise has to be parsed.
            index = known[entity]  # type: ignore[index]
            is_there = timeline in self._timelines
        except (KeyError, TypeError):  # what is no string may not even be hashable
            index = self._entity(entity)
            is_there = isinstance(timeline, str) and timeline in self._timelines
        at = 0
        if timeline is not None:
            # Integers are what loops ask with, and need no conversion.
            if not is_there or type(time) is not int or not _fits(time):
                at = to_index_value(time, self.timeline(timeline))  # type: ignore[arg-type]
            else:
                at = time
        plan = index.plan(timeline)
        if components is not None:
            plan = self._selection(index, plan, components)
        clear = (
            clearing(self._entities, self._clears, index, timeline, at) if self._clears else None
        )
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

    def range(
        self,
        timeline: str | None,
        start: TimeLike | None,
        end: TimeLike | None,
        entity: str,
        components: Iterable[str] | None = None,
    ) -> pa.Table:
        """One row per logged row in `[start, end]` that has at least one of the components.

        Rows are ordered by (time, row id). Static cells are left out, and temporal ones are
        there even where a static cell overrides them in `latest_at`. Clears have no effect.
        Without a timeline it gives the static cells instead: one row for each logged row that
        some of them are from.

        Args:
            timeline: Its name; `None` asks for static data.
            start: The least time, inclusive; ignored without a timeline.
            end: The greatest time, inclusive; ignored without a timeline.
            entity: The path.
            components: Identifiers of those wanted; all unless given that the entity ever had on
                this timeline (or statically).

        Returns:
            The timeline's column (int64, duration or timestamp in nanoseconds), `row_id` (16
            bytes), and a list column per component, null where the row has none, in lexical or
            in the given order.

        Raises:
            UnknownTimelineError: There is no such timeline.
            UnknownEntityError: There is no such entity.
            UnknownComponentError: The entity has no such component.
            TimeTypeError: A bound does not fit the timeline.
            QueryError: A component has cells of Arrow types that no type holds (`chunk.unify`).
        """
        index = self._entity(entity)
        if timeline is None:
            names = self._names(index, components, index.static_cells)
            return static_table(index, column_types(index, names, (), index.static_owners))
        line = self.timeline(timeline)
        first, last = to_index_value(start, line), to_index_value(end, line)  # type: ignore[arg-type]
        leaves = [leaf for leaf in index.leaves() if timeline in leaf.chunk.layout.indexes]
        there = {name for leaf in leaves for name in leaf.chunk.layout.components}
        names = self._names(index, components, there)
        parts = []
        for leaf in leaves:
            column = leaf.column((timeline, None))
            if column is not None and column.first <= last and column.last >= first:
                rows = rows_in_range(leaf.chunk, timeline, first, last, names)
                if rows is not None:
                    parts.append((leaf.chunk, rows))
        types = column_types(index, names, parts, {})
        return range_table(parts, (timeline, ARROW_TIME_TYPES[line.type]), types)

    def _entity(self, entity: str) -> EntityIndex:
        return find_entity(self._entities, entity, self.store_id)

    def _names(
        self, index: EntityIndex, components: Iterable[str] | None, there: Iterable[str]
    ) -> list[str]:
        """The components wanted, each once; those that are `there` unless any were given."""
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
