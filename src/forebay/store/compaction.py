"""Merging of small adjacent chunks, many at once, so that each row is copied only a few times.

New chunks collect in an open node of 64 (`FANOUT`). When the node is full, its chunks are merged
and the result moves to the open node of the next level, which collects 64 such results. So a row is
copied once per level, and the cost of an insert does not depend on the size of the store.
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
    """Callback for every merge: the chunks that were replaced, and the chunk that replaces them."""


def append(entity: EntityIndex, leaf: Leaf, report: Report) -> None:
    """Add a chunk to an index that the caller owns; merge if its open node becomes full.

    Args:
        entity: The index; its epoch is the writer's.
        leaf: The chunk.
        report: Called for every merge.
    """
    if put(entity, leaf):
        merge(entity, report)


def put(entity: EntityIndex, leaf: Leaf) -> bool:
    """Add a chunk to an index that the caller owns; return whether the caller must `merge` now.

    Args:
        entity: The index; its epoch is the writer's.
        leaf: The chunk.
    """
    entity.levels[0].items.append(leaf)
    lengths = entity.lengths
    lengths[0] = length = lengths[0] + 1
    return length >= FANOUT


def put_rows(entity: EntityIndex, chunks: Sequence[Chunk], report: Report) -> None:
    """Add chunks of one row each, with the same result as `append` for each of them.

    Args:
        entity: The index; its epoch is the writer's.
        chunks: The chunks in order of arrival.
        report: Called for every merge.
    """
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
    """Merge the chunks that were added last with `put`.

    Args:
        entity: The index; its epoch is the writer's.
        report: Called for every merge.
    """
    _carry(entity, 0, report)


def _carry(entity: EntityIndex, level: int, report: Report) -> None:
    """Merge the items of a full open node, and move the result to the next level."""
    items = _merged(entity.levels[level].items[: entity.lengths[level]], report)
    # The node itself does not change, because snapshots may see it.
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
    """Chunks that can be merged into one: same timelines, one type per component."""

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
        """Return whether only few components would be filled with nulls.

        Without this limit, 64 chunks with 1,000 different components each would become one chunk
        with 64,000 components.
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
    """Return the same rows in as few chunks as the limits permit, roughly in order of arrival.

    The order of chunks changes only if they have no row id in common, because then no query can
    observe it.
    """
    # A node of packed rows is always within the limits, because a packed row is small.
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
        # Choose the latest group that fits. An entity has few layouts, so there are few groups.
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
    """Return whether each row id is in one item only; false if there are nodes.

    Nodes hold too many rows to find out.
    """
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
    return True  # the usual case: chunks arrive in the order in which they were logged


def _have_own_row_ids(leaves: Iterable[Leaf]) -> bool:
    """Return whether each row id is in one chunk only; it may occur twice in that chunk."""
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
        # Arrow cannot concatenate every type (nested dictionaries, for example). Merging only saves
        # time and memory, so such chunks remain separate.
        return leaves
    if not fits_limits(chunk):
        # Unsorted times, or more bytes than estimated: try two halves.
        half = len(leaves) // 2
        return [*_joined(leaves[:half], report), *_joined(leaves[half:], report)]
    leaf = Leaf(chunk, chunk.num_rows, b"".join([*[leaf.sources for leaf in leaves], chunk.id]))
    report(leaves, leaf)
    return [leaf]
