"""The choice of chunks to remove, and their removal from an index."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from forebay.chunk import picked
from forebay.store.leaf import FANOUT, Leaf
from forebay.store.time_index import Node

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from forebay.chunk import Chunk
    from forebay.store.entity import EntityIndex

    Candidate: TypeAlias = tuple[EntityIndex, Leaf]


def garbage(entities: Iterable[EntityIndex], protect_latest: int) -> list[Candidate]:
    """Return all temporal chunks that may be dropped, those with the oldest row ids first.

    Args:
        entities: The indexes to collect from.
        protect_latest: The number of chunks with the latest cells to keep, per entity, timeline and
            component.
    """
    found: list[tuple[bytes, bytes, Candidate]] = []
    for entity in entities:
        leaves = list(entity.leaves())
        protected = _protected(entity, leaves, protect_latest)
        found += [
            (leaf.oldest, leaf.chunk.id, (entity, leaf))
            for leaf in leaves
            if leaf.chunk.id not in protected
        ]
    found.sort(key=lambda one: one[:2])
    return [candidate for _, _, candidate in found]


def _protected(entity: EntityIndex, leaves: list[Leaf], count: int) -> set[bytes]:
    """Return the ids of the chunks with the latest cells of any component on any timeline."""
    protected: set[bytes] = set()
    if count <= 0:
        return protected
    there: dict[str, set[str]] = {timeline: set() for timeline in entity.timelines}
    for layout in {leaf.chunk.layout for leaf in leaves}:
        for timeline in layout.indexes:
            there[timeline] |= layout.components.keys()
    with_nulls: dict[Leaf, set[str]] = {}
    for timeline, components in there.items():
        _protect(protected, timeline, components, leaves, with_nulls, count)
    return protected


def _protect(  # noqa: PLR0917 - called in one place
    protected: set[bytes],
    timeline: str,
    wanted: set[str],
    leaves: list[Leaf],
    with_nulls: dict[Leaf, set[str]],
    count: int,
) -> None:
    """Add the chunks with the `count` latest cells of each wanted component on a timeline.

    Chunks are examined from the latest row backwards. If each row of a chunk has a cell, its last
    row is the latest of all its components, and they are decided together: deciding each pair of
    timeline and component alone would cost the product of both numbers.

    Args:
        protected: The ids of the chunks are added here.
        timeline: The timeline.
        wanted: The components that have data on it; the set is emptied.
        leaves: All chunks of the entity.
        with_nulls: A cache: for each chunk the components that are null in some rows.
        count: The number of chunks per component.
    """
    ends = [
        ((column.last, column.last_row_id), leaf)
        for leaf in leaves
        if (column := leaf.column((timeline, None))) is not None
    ]
    ends.sort(key=lambda end: end[0], reverse=True)
    latest: dict[str, list[tuple[tuple[int, bytes], bytes]]] = {}
    for end, leaf in ends:
        decided = [
            name for name, found in latest.items() if len(found) == count and found[-1][0] > end
        ]
        for name in decided:
            protected.update(chunk_id for _, chunk_id in latest.pop(name))
            wanted.discard(name)
        if not wanted:
            break
        chunk = leaf.chunk
        names = wanted & chunk.layout.components.keys()
        if count == 1:
            if leaf not in with_nulls:
                with_nulls[leaf] = leaf.names_with_nulls()
            whole = names - with_nulls[leaf] - latest.keys()
            if whole:
                protected.add(chunk.id)
                wanted -= whole
                names -= whole
        for name in names:
            column = leaf.column((timeline, name))
            if column is not None:
                found = latest.setdefault(name, [])
                found.append(((column.last, column.last_row_id), chunk.id))
                found.sort(reverse=True)
                del found[count:]
    for found in latest.values():
        protected.update(chunk_id for _, chunk_id in found)


@dataclass(frozen=True, slots=True)
class Cut:
    """A chunk of which some or all rows are dropped.

    Attributes:
        leaf: The chunk in the index.
        dropped: The rows to drop; the chunk itself if all rows are dropped.
        kept: The rows to keep.
    """

    leaf: Leaf
    dropped: Chunk
    kept: Leaf | None


def cuts(entity: EntityIndex, timeline: str, start: int, end: int) -> Iterator[Cut]:
    """Return the effect of dropping `[start, end]` on a timeline for each affected chunk.

    Args:
        entity: The index.
        timeline: The name of the timeline.
        start: The first time to drop, inclusive.
        end: The last time to drop, inclusive.
    """
    if timeline not in entity.timelines:
        return
    for leaf in entity.leaves():
        column = leaf.column((timeline, None))
        if column is None or column.first > end or column.last < start:
            continue
        cut = leaf.attempt(functools.partial(_cut, leaf, timeline, start, end), None)
        if cut is not None:
            yield cut


def _cut(leaf: Leaf, timeline: str, start: int, end: int) -> Cut | None:
    chunk = leaf.chunk
    times = chunk.times(timeline)
    inside = (times >= start) & (times <= end)
    if bool(inside.all()):
        return Cut(leaf, chunk, None)
    if not bool(inside.any()):
        return None
    rest = picked(chunk, np.flatnonzero(~inside))
    kept = Leaf(rest, rest.num_rows, leaf.sources + rest.id).on_its_own()
    return Cut(leaf, picked(chunk, np.flatnonzero(inside)), kept)


def without(entity: EntityIndex, gone: Container[bytes], kept: Mapping[bytes, Leaf]) -> None:
    """Remove chunks from an index that the caller owns.

    Args:
        entity: The index.
        gone: The ids of the chunks to remove.
        kept: Replacements for some of them, by the id of the removed chunk.
    """
    for level, (node, length) in enumerate(zip(entity.levels, entity.lengths, strict=True)):
        items = list(_filtered(node.items[:length], gone, kept))
        if len(items) != length or not all(map(_is, items, node.items)):
            entity.levels[level] = Node(items)
            entity.lengths[level] = len(items)


def _filtered(
    items: Iterable[Leaf | Node], gone: Container[bytes], kept: Mapping[bytes, Leaf]
) -> Iterator[Leaf | Node]:
    for item in items:
        if isinstance(item, Node):
            inner = list(_filtered(item.items, gone, kept))
            if len(inner) == len(item.items) and all(map(_is, inner, item.items)):
                yield item
            elif 2 * len(inner) > FANOUT:
                yield Node(inner)
            else:
                yield from inner
        elif item.chunk.id not in gone:
            yield item
        elif item.chunk.id in kept:
            yield kept[item.chunk.id]


def _is(one: object, other: object) -> bool:
    return one is other
