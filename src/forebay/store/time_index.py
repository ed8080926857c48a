"""The index over the temporal chunks of one entity: a 64-ary tree that grows only at its end.

Chunks usually arrive in the order of time. So the index keeps them in order of arrival and records
the range of times of each part. A `Node` has up to 64 items in that order: chunks or other nodes.
For a timeline and a component, a `Run` summarizes a node's items. It is computed by the first query
that needs it, and extended as the node grows. A latest-at search does one bisection per node, from
the newest node to the oldest. Where the times of chunks overlap, all chunks that may contain a
later row are searched.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, TypeAlias

from forebay.store.leaf import Column, ColumnKey, Hit, Leaf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Node:
    """A node of the tree: items (chunks or other nodes) in order of arrival.

    The writer appends to `items`. A snapshot knows how many of them belong to it and reads no
    further, so appending needs no copy. A complete run is stored in a dict with one assignment, so
    readers need no lock.
    """

    __slots__ = ("items", "runs")

    def __init__(self, items: list[Leaf | Node]) -> None:
        self.items = items
        self.runs: dict[ColumnKey, Run] = {}

    def run(self, key: ColumnKey, length: int) -> Run:
        """Return the summary of the first `length` items.

        Args:
            key: The timeline and the component.
            length: The number of items that belong to the snapshot.
        """
        run = None
        if key in self.runs:  # Not `get` (docs/free-threading.md). No key is ever removed.
            run = self.runs[key]
            if run.length == length:
                return run
            if run.length > length:  # an older snapshot; the node keeps the longer run
                return Run.over(None, self.items[:length], key)
        longer = Run.over(run, self.items[:length], key)
        self.runs[key] = longer
        return longer

    def leaves(self, length: int | None = None) -> Iterator[Leaf]:
        """Iterate over all chunks in order of arrival.

        Args:
            length: The number of items that belong to the snapshot; the default is all.
        """
        for item in self.items if length is None else self.items[:length]:
            if isinstance(item, Leaf):
                yield item
            else:
                yield from item.leaves()


class Run:
    """The items of a node that have one component on one timeline; immutable once stored.

    Attributes:
        length: The number of items of the node that were examined.
        entries: A column per chunk, a run per node; items without a cell are left out.
        firsts: The least time of each entry.
        tops: For each entry, the greatest time of it and all entries before it.
        first: The least time of all entries.
        last: The greatest time of all entries.
        is_rising: Whether `firsts` never decreases.
        is_whole: Whether every row of the items that is on the timeline has a cell. A search then
            finds the same row as in every other whole run over the same items.
    """

    __slots__ = ("entries", "first", "firsts", "is_rising", "is_whole", "last", "length", "tops")

    length: int
    entries: list[Entry]
    firsts: list[int]
    tops: list[int]
    first: int
    last: int
    is_rising: bool
    is_whole: bool

    @classmethod
    def over(cls, shorter: Run | None, items: Sequence[Leaf | Node], key: ColumnKey) -> Run:
        """Return the run over `items`.

        Args:
            shorter: The run over the first few of them, if known; it is not changed.
            items: The items of a node.
            key: The timeline and the component.
        """
        run = cls()
        if shorter is None:
            run.entries, run.firsts, run.tops = [], [], []
            run.is_rising = run.is_whole = True
            known = 0
        else:
            run.entries, run.firsts = shorter.entries.copy(), shorter.firsts.copy()
            run.tops = shorter.tops.copy()
            run.is_rising, run.is_whole = shorter.is_rising, shorter.is_whole
            known = shorter.length
        for item in items[known:]:
            if isinstance(item, Leaf):
                column = item.column(key)
                if column is None:
                    run.is_whole &= key[0] not in item.chunk.layout.indexes
                    continue
                run._add(column)
            else:
                run._add(item.run(key, len(item.items)))
        run.length = len(items)
        run.last = run.tops[-1] if run.tops else 0
        run.first = (run.firsts[0] if run.is_rising else min(run.firsts)) if run.firsts else 0
        return run

    def _add(self, entry: Entry) -> None:
        self.is_whole &= entry.is_whole
        if isinstance(entry, Run) and not entry.entries:
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


def latest_of(runs: Sequence[Run], at: int) -> Hit | None:
    """Return the row with the greatest (time, row id) at or before `at` in several runs.

    Of equal rows, the row of the chunk that arrived first.

    Args:
        runs: The runs, newest first.
        at: The time.
    """
    hit: Hit | None = None
    for run in runs:
        if run.first <= at and (hit is None or run.last >= hit.time):
            hit = latest(run, at, hit)
    return hit


def latest(run: Run, at: int, best: Hit | None) -> Hit | None:
    """Return the row with the greatest (time, row id) at or before `at`, or `best` if it is later.

    Args:
        run: The run to search.
        at: The time.
        best: The latest row found in newer runs, if any.
    """
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
        times = entry.times
        row = len(times) - 1 if entry.last <= at else _row_before(entry, at)
        time = times[row]
        if best is not None and time < best.time:
            continue
        if entry.rows is not None:
            row = entry.rows[row]
        # Entries are searched from the last to the first: of equal rows the first one remains.
        if best is None or time > best.time or entry.row_id(row) >= best.row_id:
            best = Hit(time, entry, row)
    return best


def _row_before(column: Column, at: int) -> int:
    """Return the last entry at or before `at`, which must be within the column's range of times."""
    times = column.times
    first = column.first
    # Times are usually almost equidistant. An interpolated guess reads two of them; bisection would
    # read a dozen that are far apart and seldom in the processor's cache.
    guess = (at - first) * (len(times) - 1) // (column.last - first)
    if times[guess] > at:
        return bisect_right(times, at, 0, guess) - 1
    if times[guess + 1] > at:
        return guess
    return bisect_right(times, at, guess + 2) - 1
