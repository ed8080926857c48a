"""Merging of small neighbouring chunks, many at once, so that each row is copied a few times only.

New chunks gather in an open node of 64. When it is full its chunks are merged, and what comes out
moves on to the next open node, where 64 such gather again: so a row is copied once for each
level, and inserting costs the same however large the store is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from forebay.chunk import PackedChunk, concatenable, concatenated, fits_limits
from forebay.chunk.damage import DAMAGE
from forebay.chunk.packed import ROW_ID_BYTES
from forebay.chunk.row_ids import sorting
from forebay.limits import (
    CHUNK_SPLIT_BYTES_MAX,
    CHUNK_SPLIT_ROWS_MAX,
    MERGED_COLUMNS_MAX,
)
from forebay.store.leaf import FANOUT, Leaf
from forebay.store.time_index import Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from forebay.chunk import Chunk, ChunkLayout, DataColumn
    from forebay.store.entity import EntityIndex

    Report: TypeAlias = Callable[[list[Leaf], Leaf], None]
    """Told of every merge: the chunks that went, and the one that holds their rows now."""


def append(entity: EntityIndex, leaf: Leaf, report: Report) -> None:
    """Add a chunk to an index that the caller owns, merging where a node becomes full."""
    if put(entity, leaf):
        merge(entity, report)


def put(entity: EntityIndex, leaf: Leaf) -> bool:
    """Add a chunk to an index that the caller owns, and say whether it must `merge` now."""
    entity.levels[0].items.append(leaf)
    lengths = entity.lengths
    lengths[0] = length = lengths[0] + 1
    return length >= FANOUT


def put_rows(entity: EntityIndex, chunks: Sequence[Chunk], report: Report) -> None:
    """Add chunks of one row each, as `append` does one by one."""
    at = 0
    while at < len(chunks):
        room = FANOUT - entity.lengths[0]
        new = [Leaf(chunk, 1, chunk.id) for chunk in chunks[at : at + room]]
        entity.levels[0].items.extend(new)
        entity.lengths[0] += len(new)
        at += len(new)
        if entity.lengths[0] >= FANOUT:
            merge(entity, report)


def merge(entity: EntityIndex, report: Report) -> None:
    """Merge the chunks that were `put` last."""
    _carry(entity, 0, report)


def _carry(entity: EntityIndex, level: int, report: Report) -> None:
    """Merge what a full open node holds, and move it to the next level."""
    items = _merged(entity.levels[level].items[: entity.lengths[level]], report)
    # The node itself stays as it is for the snapshots that see it.
    entity.levels[level] = Node([])
    entity.lengths[level] = 0
    if level + 1 == len(entity.levels):
        entity.levels.append(Node([]))
        entity.lengths.append(0)
    if 2 * len(items) > FANOUT:
        items = [Node(items)]
    entity.levels[level + 1].items.extend(items)
    entity.lengths[level + 1] += len(items)
    if entity.lengths[level + 1] >= FANOUT:
        _carry(entity, level + 1, report)


@dataclass(slots=True)
class _Group:
    """Chunks that can become one: the same timelines, no component of two types."""

    layout: ChunkLayout
    columns: dict[str, DataColumn]
    leaves: list[Leaf] = field(default_factory=list)
    rows: int = 0
    size_bytes: int = 0

    def takes(self, leaf: Leaf) -> bool:
        layout = leaf.chunk.layout
        return (
            self.rows + leaf.rows <= CHUNK_SPLIT_ROWS_MAX
            and self.size_bytes + leaf.size_bytes <= CHUNK_SPLIT_BYTES_MAX
            and (
                layout is self.layout
                or (
                    layout.timelines == self.layout.timelines
                    and self._stays_narrow(layout)
                    and concatenable(self.columns, layout)
                )
            )
        )

    def _stays_narrow(self, layout: ChunkLayout) -> bool:
        """Whether few components would be filled with nulls.

        Else 64 chunks of a thousand components each, no two the same, would become one in which
        each has 64,000.
        """
        columns = self.columns
        num_new = sum(name not in columns for name in layout.components)
        return len(columns) + num_new <= MERGED_COLUMNS_MAX or (
            not num_new and len(columns) == len(layout.components)
        )

    def add(self, leaf: Leaf) -> None:
        self.leaves.append(leaf)
        self.rows += leaf.rows
        self.size_bytes += leaf.size_bytes
        if leaf.chunk.layout is not self.layout:
            self.columns.update(leaf.chunk.layout.components)


def _merged(items: list[Leaf | Node], report: Report) -> list[Leaf | Node]:
    """The same rows in as few chunks as the limits allow, about in the order of arrival.

    Chunks only change places where it cannot be seen: where no two of them share a row id.
    """
    # A node of rows is within the limits, for a packed row is small.
    leaves = [item for item in items if type(item) is Leaf and type(item.chunk) is PackedChunk]
    if len(leaves) == len(items):
        layout = leaves[0].chunk.layout
        if all(leaf.chunk.layout is layout for leaf in leaves):
            return [*_joined(leaves, report)]
    groups: list[_Group] = []
    merged: list[Node | Leaf | _Group] = []
    are_movable: bool | None = None
    for item in items:
        if isinstance(item, Node) or item.is_full:
            merged.append(item)
            continue
        # The latest group that fits; an entity has few layouts, so there are few groups.
        group = groups[-1] if groups else None
        if group is not None and (group is not merged[-1] or not group.takes(item)):
            group = next((group for group in reversed(groups) if group.takes(item)), None)
            if group is not None:
                if are_movable is None:
                    are_movable = _share_no_row_id(items)
                if not are_movable and group is not merged[-1]:
                    group = None
        if group is None:
            layout = item.chunk.layout
            group = _Group(layout, dict(layout.components))
            groups.append(group)
            merged.append(group)
        group.add(item)
    return [
        leaf
        for item in merged
        for leaf in (_joined(item.leaves, report) if isinstance(item, _Group) else (item,))
    ]


def _share_no_row_id(items: Sequence[Leaf | Node]) -> bool:
    """Whether each row id is in one item only. Nodes count as unknown: they hold too many rows."""
    leaves = [item for item in items if type(item) is Leaf]
    if len(leaves) < len(items):
        return False
    last = b""
    for leaf in leaves:
        chunk = leaf.chunk
        first = chunk.packed[:ROW_ID_BYTES] if type(chunk) is PackedChunk else leaf.oldest
        if first <= last:
            return _have_own_row_ids(leaves)
        last = first if leaf.rows == 1 else leaf.newest
    return True  # as mostly: they arrived in the order in which they were logged


def _have_own_row_ids(leaves: Iterable[Leaf]) -> bool:
    """Whether each row id is in one chunk only; it may well be there twice."""
    row_ids = [leaf.row_ids for leaf in leaves]
    owners = np.repeat(np.arange(len(row_ids), dtype=np.intp), [len(one) for one in row_ids])
    together = np.concatenate(row_ids)
    order = sorting(together)
    together, owners = together[order], owners[order]
    is_shared = (together[1:] == together[:-1]) & (owners[1:] != owners[:-1])
    return not bool(is_shared.any())


def _joined(leaves: list[Leaf], report: Report) -> list[Leaf]:
    if len(leaves) < 2:
        return leaves
    try:
        chunk = concatenated([leaf.chunk for leaf in leaves])
    except DAMAGE:
        sound = [leaf for leaf in leaves if leaf.is_sound()]
        if len(sound) < len(leaves):
            return [*_joined(sound, report), *(leaf for leaf in leaves if leaf.is_put_aside)]
        # Arrow cannot join everything it can hold (nested dictionaries, for one). Merging only
        # saves time and memory, so such chunks stay as they are.
        return leaves
    if not fits_limits(chunk):
        # Times out of order, or more bytes than estimated: halves fit better.
        half = len(leaves) // 2
        return [*_joined(leaves[:half], report), *_joined(leaves[half:], report)]
    leaf = Leaf(chunk, chunk.num_rows, b"".join([*[leaf.sources for leaf in leaves], chunk.id]))
    report(leaves, leaf)
    return [leaf]
