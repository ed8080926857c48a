"""The decision which cell is in which row: exact matches, Rerun's fill, and fill with clears."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from forebay.store.dataframe.cells import Cells
from forebay.store.dataframe.clears import ClearSource, EntityClears
from forebay.store.dataframe.index import RowIndex
from forebay.store.dataframe.memory import repeat
from forebay.store.dataframe.rows import Int64s, LatestRows, Positions

NULL: Final = -1
"""The cell number of a run of null rows."""

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Runs of rows; all rows of a run show the same cell.

    Cells are numbered as in their column. Clears are numbered after them, as empty cells.

    Attributes:
        rows: The first row of each run, strictly increasing.
        cells: The cell that each run shows, or `NULL`; `None` means that run i shows cell i.
        filled: Whether a run lasts until the next one begins; otherwise it has one row.
    """

    rows: Positions
    cells: Positions | None
    filled: bool

    def shown(self, first: int, stop: int) -> Positions | slice:
        """Return the cells of runs `first` to `stop` (exclusive), as an index into arrays of cells.

        Args:
            first: The first run.
            stop: The run after the last one.
        """
        return slice(first, stop) if self.cells is None else self.cells[first:stop]


class Placement:
    """The search for the rows of times, cached for columns that share their times."""

    def __init__(self, index: RowIndex, *, exact: bool) -> None:
        """Make a search on an index.

        Args:
            index: The index values of the dataframe.
            exact: Whether every time is known to be an index value.
        """
        self.index = index
        self.exact = exact
        self._rows: dict[int, tuple[LatestRows, Positions]] = {}

    def rows(self, latest: LatestRows) -> Positions:
        """Return the first row at or after each time, shape `(len(latest),)`.

        Args:
            latest: The times.
        """
        found = self._rows.get(id(latest))
        if found is None:
            found = self._rows[id(latest)] = latest, self.index.at_or_after(latest.times)
        return found[1]

    def hits(self, latest: LatestRows) -> Bools | None:
        """Return which times are index values, shape `(len(latest),)`; `None` means all.

        Args:
            latest: The times.
        """
        if self.exact:
            return None
        rows = self.rows(latest)
        if not len(self.index):
            return np.zeros(len(rows), np.bool_)
        values = self.index.values
        return values[np.minimum(rows, len(values) - 1)] == latest.times

    def lasting(self, latest: LatestRows) -> Bools | None:
        """Return which times are the last one at or before some index value; `None` means all.

        Args:
            latest: The times.
        """
        if self.exact:
            return None
        rows = self.rows(latest)
        return np.append(rows[1:] != rows[:-1], True)[: len(rows)] & (rows < len(self.index))


def plain_runs(cells: Cells, clears: EntityClears | None, place: Placement) -> Runs:
    """Return runs that show each cell only in the row of its own time.

    If a row has a cell and a clear, the one logged later is shown.

    Args:
        cells: The cells of the column.
        clears: The clears that affect the entity, if any.
        place: The search for rows.
    """
    rows, hits = place.rows(cells.rows), place.hits(cells.rows)
    if clears is None:
        return Runs(rows, None, filled=False) if hits is None else _only(rows, hits)
    wins, loses = clears.against(cells.rows)
    kept = ~loses if hits is None else hits & ~loses
    clear_hits = place.hits(clears.latest)
    shown = wins if clear_hits is None else wins & clear_hits
    number = np.concatenate([np.flatnonzero(kept), len(cells) + np.flatnonzero(shown)])
    at = np.concatenate([rows[kept], place.rows(clears.latest)[shown]])
    order = np.argsort(at, kind="stable")
    return Runs(at[order], number[order], filled=False)


def filled_runs(cells: Cells, clears: EntityClears | None, place: Placement) -> Runs:
    """Return runs that show each cell until the next one, and a clear only in its own row.

    This is the rule of Rerun's reader.

    Args:
        cells: The cells of the column.
        clears: The clears that affect the entity, if any.
        place: The search for rows.
    """
    rows, lasting = place.rows(cells.rows), place.lasting(cells.rows)
    if clears is None:
        return (
            Runs(rows, None, filled=True) if lasting is None else _only(rows, lasting, filled=True)
        )
    wins, _ = clears.against(cells.rows)
    clear_hits = place.hits(clears.latest)
    shown = np.flatnonzero(wins if clear_hits is None else wins & clear_hits)
    own = np.flatnonzero(lasting) if lasting is not None else np.arange(len(rows))
    cleared = place.rows(clears.latest)[shown]
    after = cleared + 1
    carried = np.searchsorted(rows, cleared, side="right") - 1
    at = np.concatenate([after, rows[own], cleared])
    number = np.concatenate([carried, own, len(cells) + shown])
    # in one row a clear takes precedence over a cell, a cell over the old value
    order = np.argsort(at, kind="stable")
    at, number = at[order], number[order]
    kept = np.append(at[1:] != at[:-1], True)[: len(at)] & (at < len(place.index))
    return Runs(at[kept], number[kept], filled=True)


def cleared_runs(cells: Cells, clears: EntityClears, place: Placement) -> Runs:
    """Return runs that show the result of a latest-at query in each row.

    Where a clear hides the result, the cell is an empty list. Of the entity and of each ancestor
    only the latest clear counts, and that of an ancestor only if it is recursive
    (`re_query::latest_at`).

    Args:
        cells: The cells of the column.
        clears: The clears that affect the entity.
        place: The search for rows.
    """
    times = np.unique(
        np.concatenate([cells.rows.times, *(source.latest.times for source in clears.sources)])
    )
    current = np.searchsorted(cells.rows.times, times, side="right") - 1
    rank, ranks = _ranks(cells.rows, clears.sources)
    best = np.where(current >= 0, rank[current], NULL) if len(rank) else np.full(len(times), NULL)
    number = current.copy()
    first = len(cells) + len(clears.latest)
    for source, clear_rank in zip(clears.sources, ranks, strict=True):
        latest = np.searchsorted(source.latest.times, times, side="right") - 1
        counts = (latest >= 0) & source.hides[latest]
        hides = counts & (clear_rank[latest] > best)
        best[hides] = clear_rank[latest[hides]]
        number[hides] = first + latest[hides]
        first += len(source.latest)
    rows = place.index.at_or_after(times)
    kept = np.append(rows[1:] != rows[:-1], True)[: len(rows)] & (rows < len(place.index))
    return Runs(rows[kept], number[kept], filled=True)


def _ranks(data: LatestRows, sources: tuple[ClearSource, ...]) -> tuple[Int64s, list[Int64s]]:
    """Return ranks of data and clears by (time, row id); a clear ranks after equal data."""
    all_rows = [data, *(source.latest for source in sources)]
    halves = [rows.row_id_halves(slice(None)) for rows in all_rows]
    order = np.lexsort(
        (
            repeat(np.arange(len(all_rows)), [len(rows) for rows in all_rows]),
            np.concatenate([low for _, low in halves]),
            np.concatenate([high for high, _ in halves]),
            np.concatenate([rows.times for rows in all_rows]),
        )
    )
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    parts = np.split(ranks, np.cumsum([len(rows) for rows in all_rows])[:-1])
    return parts[0], parts[1:]


def _only(rows: Positions, kept: Bools, *, filled: bool = False) -> Runs:
    return Runs(rows[kept], np.flatnonzero(kept), filled)
