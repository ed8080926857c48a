"""`EntityIndex`: all that a store knows of one entity, at one generation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from forebay.store.leaf import ColumnKey, Leaf
from forebay.store.statics import NO_STATICS
from forebay.store.time_index import Node, Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from forebay.chunk import Chunk, ChunkLayout, DataColumn
    from forebay.model import EntityPath
    from forebay.store.cell import Cell

CLEAR: Final = "Clear:is_recursive"
"""Rerun's tombstone: a cell of this component hides the entity's earlier data."""

LINEAGE_KEPT_CHARS_MAX: Final = 16 * 1024
"""The characters of a path times its parts up to which all paths above it are kept."""

Plan = list[tuple[str, "tuple[Run, ...]", "Cell | None", bool]]
"""Per component: the runs to search, newest first; the static cell, which wins; and whether the
search finds the same row for all components of which this is true."""


class EntityIndex:
    """All that a store knows of one entity.

    The writer changes it in place until a snapshot has seen it; then it goes on with a `clone`.
    Everything that it refers to is replaced rather than changed, but for the open nodes, which
    only grow, while each index remembers how far it may look. What readers work out (`plan`,
    `runs`) they store with one assignment into a dict of this object, complete.

    Attributes:
        path: The entity.
        epoch: When the writer made this object; see `ChunkStore`.
        layout: The layout of the latest chunk, to know quickly that nothing is new about it.
        columns: The latest description and type of each component ever seen.
        columns_epoch: When the dict `columns` was made; one of an older epoch is not changed.
        timelines: Names of all timelines that its chunks ever had.
        levels: Open nodes: new chunks go to the first, full ones move on to the next.
        lengths: How much of each open node belongs to this index.
        statics: The static data.
        num_chunks: Temporal and static.
        num_rows: Of all chunks.
    """

    __slots__ = (
        "_lineage",
        "_plans",
        "_runs",
        "columns",
        "columns_epoch",
        "epoch",
        "layout",
        "lengths",
        "levels",
        "num_chunks",
        "num_rows",
        "path",
        "statics",
        "timelines",
    )

    def __init__(self, path: EntityPath, epoch: int) -> None:
        self.path = path
        self.epoch = epoch
        self.layout: ChunkLayout | None = None
        self.columns: dict[str, DataColumn] = {}
        self.columns_epoch = epoch
        self.timelines: frozenset[str] = frozenset()
        self.levels: list[Node] = [Node([])]
        self.lengths: list[int] = [0]
        self.statics = NO_STATICS
        self.num_chunks = 0
        self.num_rows = 0
        self._lineage: tuple[EntityPath, ...] | None = None
        self._plans: dict[str | None, Plan] = {}
        self._runs: dict[ColumnKey, tuple[Run, ...]] = {}

    def clone(self, epoch: int) -> EntityIndex:
        """An index that the writer may change while snapshots go on with this one."""
        clone = EntityIndex.__new__(EntityIndex)
        clone.path = self.path
        clone.epoch = epoch
        clone.layout = self.layout
        clone.columns = self.columns
        clone.columns_epoch = self.columns_epoch
        clone.timelines = self.timelines
        clone.levels = self.levels.copy()
        clone.lengths = self.lengths.copy()
        clone.statics = self.statics
        clone.num_chunks = self.num_chunks
        clone.num_rows = self.num_rows
        clone._lineage = self._lineage  # noqa: SLF001
        clone._plans = {}  # noqa: SLF001 - one of us
        clone._runs = {}  # noqa: SLF001
        return clone

    def forget(self) -> None:
        """Let go of what queries of the writer's own worked out, because it is about to change."""
        if self._runs or self._plans:
            self._runs = {}
            self._plans = {}

    def detached(self, epoch: int) -> EntityIndex:
        """An index for another store: the same chunks, in nodes that grow on their own."""
        clone = self.clone(epoch)
        clone.levels = [
            Node(node.items[:length])
            for node, length in zip(self.levels, self.lengths, strict=True)
        ]
        return clone

    @property
    def static_cells(self) -> Mapping[str, Cell]:
        """Per component the static cell with the greatest row id."""
        return self.statics.cells

    @property
    def static_owners(self) -> Mapping[str, tuple[Chunk, int]]:
        """The chunk that each static cell is from, and the row."""
        return self.statics.owners

    @property
    def static_chunks(self) -> tuple[Chunk, ...]:
        """Chunks with static data, in the order of arrival."""
        return tuple(self.statics.chunks.values())

    @property
    def lineage(self) -> tuple[EntityPath, ...]:
        """The entity and all above it, nearest first; worked out for queries in stores with clears.

        The paths above one of many parts take many times its own memory, so they are not kept.
        """
        lineage = self._lineage
        if lineage is None:
            path = self.path
            lineage = path, *path.ancestors()
            if len(path) * len(lineage) <= LINEAGE_KEPT_CHARS_MAX:
                self._lineage = lineage
        return lineage

    def leaves(self) -> Iterator[Leaf]:
        """All temporal chunks, the oldest arrivals first."""
        for node, length in zip(reversed(self.levels), reversed(self.lengths), strict=True):
            yield from node.leaves(length)

    def runs(self, key: ColumnKey) -> tuple[Run, ...]:
        """One component on one timeline, a run for each open node that has rows on it."""
        known = self._runs
        if key in known:  # Not `get`: see docs/free-threading.md. Nothing is ever taken out.
            return known[key]
        found = []
        for node, length in zip(self.levels, self.lengths, strict=True):
            if length:
                run = node.run(key, length)
                if run.entries or not run.is_whole:
                    found.append(run)
        known[key] = runs = tuple(found)
        return runs

    def plan(self, timeline: str | None) -> Plan:
        """What a latest-at query over all components has to look at, in lexical order."""
        known = self._plans
        if timeline in known:  # Not `get`: see `runs`.
            return known[timeline]
        plan: Plan = []
        is_there = timeline is not None and timeline in self.timelines
        for name in sorted(self.columns):
            static = self.static_cells.get(name)
            runs: tuple[Run, ...] = ()
            has_cells = is_whole = False
            if static is None and is_there:
                runs = self.runs((timeline, name))  # type: ignore[arg-type]
                is_whole = True
                for run in runs:
                    has_cells = has_cells or bool(run.entries)
                    is_whole = is_whole and run.is_whole
            if has_cells or static is not None:
                plan.append((name, runs, static, is_whole))
        known[timeline] = plan
        return plan

    def time_range(self, timeline: str) -> tuple[int, int] | None:
        """The least and the greatest time of any row; `None` if there is no row on it."""
        if timeline not in self.timelines:
            return None
        runs = self.runs((timeline, None))
        if not runs:
            return None
        return min(run.first for run in runs), max(run.last for run in runs)
