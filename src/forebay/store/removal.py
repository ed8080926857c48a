"""Which chunks to remove, and what an index looks like without them."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from forebay.chunk import picked
from forebay.model.timelines import TIME_MAX
from forebay.store.leaf import FANOUT, Leaf
from forebay.store.time_index import Node, latest_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from forebay.chunk import Chunk
    from forebay.store.entity import EntityIndex

    Candidate: TypeAlias = tuple[EntityIndex, Leaf]


def garbage(entities: Iterable[EntityIndex], protect_latest: int) -> list[Candidate]:
    """All temporal chunks that may go, the one with the oldest row id first."""
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
    """Ids of the chunks with the latest cells of some component on some timeline."""
    protected: set[bytes] = set()
    if count <= 0:
        return protected
    for key in itertools.product(entity.timelines, entity.columns):
        if count == 1:
            hit = latest_of(entity.runs(key), TIME_MAX)
            if hit is not None:
                protected.add(hit.column.chunk.id)
            continue
        columns = [column for leaf in leaves if (column := leaf.column(key)) is not None]
        ends = sorted((column.last, column.last_row_id, column.chunk.id) for column in columns)
        protected.update(chunk_id for _, _, chunk_id in ends[-count:])
    return protected


@dataclass(frozen=True, slots=True)
class Cut:
    """A chunk of which some or all rows are dropped.

    Attributes:
        leaf: The chunk as it stands.
        dropped: The rows that leave; the chunk itself if none stays.
        kept: The rows that stay.
    """

    leaf: Leaf
    dropped: Chunk
    kept: Leaf | None


def cuts(entity: EntityIndex, timeline: str, start: int, end: int) -> Iterator[Cut]:
    """What dropping `[start, end]` on a timeline does to each chunk that it touches."""
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
    """Take chunks out of an index that the caller owns.

    Args:
        entity: The index.
        gone: Ids of the chunks that leave.
        kept: What takes the place of some of them, by their ids.
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
