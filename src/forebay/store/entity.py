"""`EntityIndex`: the index over all data of one entity, at one generation."""

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
"""Rerun's tombstone component: its cells hide earlier data of the entity."""

LINEAGE_KEPT_CHARS_MAX: Final = 16 * 1024
"""`lineage` is cached only if characters times parts of the path do not exceed this."""

Plan = list[tuple[str, "tuple[Run, ...]", "Cell | None", bool]]
"""For each component: the runs to search, the static cell, and a flag.

Runs are given newest first. The static cell takes precedence. The search finds the same row for all
components whose flag is true.
"""


class EntityIndex:
    """The index over all data of one entity.

    Copy-on-write: the writer changes the object in place until a snapshot refers to it, then
    continues with a `clone`. Referenced objects are replaced, not changed. The open nodes are the
    exception: they only grow, and each index remembers how many items belong to it. Readers store
    derived data (`plan`, `runs`) in dicts of this object, complete and with one assignment, so they
    need no lock.

    Attributes:
        path: The entity.
        epoch: The writer's epoch in which this object was made; see `StoreState`.
        layout: The layout of the latest chunk, for a quick check that a new chunk adds no columns.
        columns: The latest descriptor and type of every component so far.
        columns_epoch: The epoch in which the dict `columns` was made; it is copied before a change
            in a later epoch.
        timelines: The names of all timelines that its chunks ever had.
        levels: The open nodes. New chunks go to the first; full nodes are merged into the next.
        lengths: The number of items of each open node that belong to this index.
        statics: The static data.
        num_chunks: The number of chunks, temporal and static.
        num_rows: The number of rows of all chunks.
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
        """Return an index that the writer may change while snapshots use this one.

        Args:
            epoch: The writer's epoch.
        """
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
        """Discard data derived by the writer's own queries, before the index is changed."""
        if self._runs or self._plans:
            self._runs = {}
            self._plans = {}

    def detached(self, epoch: int) -> EntityIndex:
        """Return an index for another store: the same chunks, in nodes that grow independently.

        Args:
            epoch: The epoch of the other store.
        """
        clone = self.clone(epoch)
        clone.levels = [
            Node(node.items[:length])
            for node, length in zip(self.levels, self.lengths, strict=True)
        ]
        return clone

    def insert_static(self, chunk: Chunk) -> list[Chunk]:
        """Add a static chunk; the caller owns this index.

        Args:
            chunk: A static chunk.

        Returns:
            The chunks that no longer have a visible cell; the new chunk may be among them.
        """
        if self.statics.epoch != self.epoch:
            self.statics = self.statics.copy(self.epoch)
        return self.statics.insert(chunk)

    @property
    def static_cells(self) -> Mapping[str, Cell]:
        """For each component, the static cell with the greatest row id."""
        return self.statics.cells

    @property
    def static_owners(self) -> Mapping[str, tuple[Chunk, int]]:
        """For each static cell, its chunk and the position of its row."""
        return self.statics.owners

    @property
    def static_chunks(self) -> tuple[Chunk, ...]:
        """The chunks with static data, in order of arrival."""
        return tuple(self.statics.chunks.values())

    @property
    def lineage(self) -> tuple[EntityPath, ...]:
        """The entity and its ancestors, nearest first; needed by queries in stores with clears.

        It is cached only for short paths: the ancestors of a deep path need many times its own
        memory.
        """
        lineage = self._lineage
        if lineage is None:
            path = self.path
            lineage = path, *path.ancestors()
            if len(path) * len(lineage) <= LINEAGE_KEPT_CHARS_MAX:
                self._lineage = lineage
        return lineage

    def leaves(self) -> Iterator[Leaf]:
        """Iterate over all temporal chunks, oldest arrivals first."""
        for node, length in zip(reversed(self.levels), reversed(self.lengths), strict=True):
            yield from node.leaves(length)

    def runs(self, key: ColumnKey) -> tuple[Run, ...]:
        """Return the runs of one component on one timeline: one per open node that has such rows.

        Args:
            key: The timeline and the component.
        """
        known = self._runs
        if key in known:  # Not `get` (docs/free-threading.md). No key is ever removed.
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
        """Return what a latest-at query over all components must search, in lexical order.

        Args:
            timeline: The name of the timeline; `None` for static data only.
        """
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
        """Return the least and greatest time of any row; `None` if no row is on the timeline.

        Args:
            timeline: The name of the timeline.
        """
        if timeline not in self.timelines:
            return None
        runs = self.runs((timeline, None))
        if not runs:
            return None
        return min(run.first for run in runs), max(run.last for run in runs)
