"""`StoreSnapshot`: every query, frozen at one generation."""

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

        Those that were `put_aside` are left out.

        Raises:
            UnknownEntityError: There is no such entity; the message names those there are.
        """
        leaves = self._entity(entity).leaves()
        return [
            chunk for chunk in (leaf.chunk for leaf in leaves) if type(chunk) is not DamagedChunk
        ]

    def static_chunks(self, entity: str) -> Sequence[Chunk]:
        """The static chunks of an entity of which at least one cell is visible.

        Raises:
            UnknownEntityError: There is no such entity; the message names those there are.
        """
        return self._entity(entity).static_chunks

    def put_aside(self) -> list[DamagedChunk]:
        """The chunks that could not be opened, each with its `cause`, `lost_rows` and `original`.

        No chunk that was checked when it came in should ever be among them. They take their
        memory until they are collected or dropped; queries answer from the others.
        """
        return [
            leaf.chunk
            for entity in self._entities.values()
            for leaf in entity.leaves()
            if type(leaf.chunk) is DamagedChunk
        ]

    def look_for_damage(self) -> int:
        """Open every chunk, and put aside those that cannot be opened; how many more they are."""
        before = len(self.put_aside())
        for entity in self._entities.values():
            for leaf in entity.leaves():
                leaf.is_sound()
        return len(self.put_aside()) - before

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
        Of two rows with one row id at one time, that of the chunk that came first counts; within
        one chunk, the later row.

        Args:
            timeline: Its name; `None` asks for static data. In a recording that has no timeline
                at all (yet), any name does.
            time: Any kind of time that fits the timeline; ignored without a timeline.
            entity: The path.
            components: Identifiers of those wanted; all unless given.

        Returns:
            By component, in lexical or in the given order; those without an answer are absent.

        Raises:
            UnknownTimelineError: There are timelines, but none of that name.
            UnknownEntityError: There is no such entity.
            UnknownComponentError: The entity has no such component.
            TimeTypeError: The time does not fit the timeline.
        """
        known = self._entities.recent
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
        """One row per logged row in `[start, end]` that has at least one of the components.

        Rows are ordered by (time, row id). A component with static data answers with its static
        cell alone, as in `latest_at`: its temporal cells are not shown. The static cells of all
        components stand together in a first row, whose time is null and whose row id is the
        greatest of theirs; it is there whatever the bounds are. Clears have no effect.

        Two rows with one row id at one time are both there; the one that `latest_at` answers
        with comes last.

        Without a timeline it gives the static cells as they were logged: one row for each logged
        row that some of them are from, and no column of times.

        Args:
            timeline: Its name; `None` asks for static data. In a recording that has no timeline
                at all (yet), any name does; its column is then of int64, and the bounds say
                nothing.
            start: The least time, inclusive; ignored without a timeline.
            end: The greatest time, inclusive; ignored without a timeline.
            entity: The path.
            components: Identifiers of those wanted; all unless given that the entity ever had on
                this timeline or statically.

        Returns:
            The timeline's column (int64, duration or timestamp in nanoseconds; null in the row
            of static cells), `row_id` (16 bytes), and a list column per component, null where
            the row has none, in lexical or in the given order.

        Raises:
            UnknownTimelineError: There are timelines, but none of that name.
            UnknownEntityError: There is no such entity.
            UnknownComponentError: The entity has no such component.
            TimeTypeError: A bound does not fit the timeline.
            QueryError: A component has cells of Arrow types that no type holds (`chunk.unify`).
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
        """A timeline and a time on it; no timeline if the recording has none to choose from."""
        if is_without_time(self._timelines, timeline):
            return None, 0
        return timeline, to_index_value(time, self.timeline(timeline))  # type: ignore[arg-type]

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
