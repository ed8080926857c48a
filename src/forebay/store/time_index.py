"""The index over the temporal chunks of one entity: a 64-ary tree that only ever grows at its end.

Chunks arrive mostly in the order of time, so the index keeps them in the order of arrival and
remembers the times that each stretch covers. `Node`s hold up to 64 items in that order, chunks or
further nodes. For a timeline and a component, a `Run` says what a node's items cover; it is worked
out by the first query that needs it and grows with the node. Looking for the latest row at or
before a time is one bisection a node, from the newest node to the oldest; where chunks overlap,
those that may still hold something later are looked into as well.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final, TypeAlias

from forebay.store.leaf import Column, ColumnKey, Hit, Leaf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FANOUT: Final = 64
"""Items of a full node, and small chunks that are merged at once."""


class Node:
    """Some items in the order of arrival.

    The writer appends to `items`; a snapshot knows how many of them it may see and never looks
    further, so appending needs no copy. A run is stored with one assignment into a dict once it
    is complete, so readers need no lock.
    """

    __slots__ = ("items", "runs")

    def __init__(self, items: list[Leaf | Node]) -> None:
        self.items = items
        self.runs: dict[ColumnKey, Run] = {}

    def run(self, key: ColumnKey, length: int) -> Run:
        """What the first `length` items cover."""
        run = self.runs.get(key)
        if run is not None:
            if run.length == length:
                return run
            if run.length > length:  # an older snapshot: it keeps the run, the node the longer one
                return Run.over(None, self.items[:length], key)
        longer = Run.over(run, self.items[:length], key)
        self.runs[key] = longer
        return longer

    def leaves(self, length: int | None = None) -> Iterator[Leaf]:
        """All chunks, in the order of arrival."""
        for item in self.items if length is None else self.items[:length]:
            if isinstance(item, Leaf):
                yield item
            else:
                yield from item.leaves()


class Run:
    """The items of a node that have one component on one timeline; never changed once stored.

    Attributes:
        length: Items of the node that were looked at.
        entries: A column for a chunk, a run for a node; items without a cell are left out.
        firsts: The least time of each entry.
        tops: The greatest time of each entry and all before it.
        first: The least time of all entries.
        last: The greatest time of all entries.
        is_rising: Whether `firsts` never decreases.
    """

    __slots__ = ("entries", "first", "firsts", "is_rising", "last", "length", "tops")

    length: int
    entries: list[Entry]
    firsts: list[int]
    tops: list[int]
    first: int
    last: int
    is_rising: bool

    @classmethod
    def over(cls, shorter: Run | None, items: Sequence[Leaf | Node], key: ColumnKey) -> Run:
        """The run over `items`, given the run over the first few of them."""
        run = cls()
        if shorter is None:
            run.entries, run.firsts, run.tops, run.is_rising = [], [], [], True
            known = 0
        else:
            run.entries, run.firsts = shorter.entries.copy(), shorter.firsts.copy()
            run.tops, run.is_rising = shorter.tops.copy(), shorter.is_rising
            known = shorter.length
        for item in items[known:]:
            run._add(item.column(key) if isinstance(item, Leaf) else item.run(key, len(item.items)))
        run.length = len(items)
        run.last = run.tops[-1] if run.tops else 0
        run.first = (run.firsts[0] if run.is_rising else min(run.firsts)) if run.firsts else 0
        return run

    def _add(self, entry: Entry | None) -> None:
        if entry is None or (isinstance(entry, Run) and not entry.entries):
            return
        if self.firsts:
            if entry.first < self.firsts[-1]:
                self.is_rising = False
            self.tops.append(max(self.tops[-1], entry.last))
        else:
            self.tops.append(entry.last)
        self.firsts.append(entry.first)
        self.entries.append(entry)


Entry: TypeAlias = Column | Run


def latest(run: Run, at: int, best: Hit | None) -> Hit | None:
    """The row with the greatest (time, row id) at or before `at`, or `best` if that is later."""
    entries = run.entries
    tops = run.tops
    left = bisect_right(run.firsts, at) if run.is_rising else len(entries)
    while left:
        left -= 1
        if best is not None and tops[left] < best.time:
            break
        entry = entries[left]
        if entry.first > at or (best is not None and entry.last < best.time):
            continue
        if isinstance(entry, Run):
            best = latest(entry, at, best)
            continue
        last = entry.last
        row = (bisect_right(entry.times, at) if last > at else len(entry.times)) - 1
        time = entry.times[row]
        if best is not None and time < best.time:
            continue
        if entry.rows is not None:
            row = entry.rows[row]
        row_id = entry.row_id(row)
        if best is None or time > best.time or row_id > best.row_id:
            best = Hit(time, row_id, entry, row)
    return best
