"""The columns of timelines other than the index.

A row combines cells that were logged at the same time on the index, but possibly at different times
on other timelines. As in Rerun, the column shows the greatest of them (`re_dataframe`).
"""

from __future__ import annotations

import numpy as np

from forebay.store.dataframe.cells import Cells
from forebay.store.dataframe.memory import empty, repeat
from forebay.store.dataframe.rows import MISSING, Int64s, LatestRows, Positions
from forebay.store.dataframe.runs import NULL, Runs


class GreatestTimes:
    """Collects for each row the greatest time of all shown cells on one timeline."""

    def __init__(self, timeline: str, num_rows: int) -> None:
        self.timeline = timeline
        self._num_rows = num_rows
        self._times: Int64s | None = None
        # For columns whose times never decrease: the time of a carried cell is the maximum so far,
        # so all these columns are carried forward together, once.
        self._carried: Int64s | None = None
        self._seen: set[int] = set()

    def add(self, cells: Cells, empties: tuple[LatestRows, ...], runs: Runs) -> None:
        """Add a column.

        Args:
            cells: Its cells.
            empties: The clears that are numbered after the cells.
            runs: The rows in which cells and clears are shown.
        """
        plain = runs.cells is None
        if plain:
            if id(cells.rows) in self._seen:
                return
            self._seen.add(id(cells.rows))
        parts = [rows.other(self.timeline) for rows in (cells.rows, *empties)]
        if all(part is None for part in parts) or not len(runs.rows):
            return
        times = _shown(parts, (cells.rows, *empties), runs)
        if not runs.filled:
            self._times = self._with(self._times, runs.rows, times)
        elif bool((times[1:] >= times[:-1]).all()):
            self._carried = self._with(self._carried, runs.rows, times)
        else:
            if self._times is None:
                self._times = _missing(self._num_rows)
            first = int(runs.rows[0])
            spans = np.diff(runs.rows, append=self._num_rows)
            later = self._times[first:]
            np.maximum(later, repeat(times, spans), out=later)

    def times(self) -> Int64s:
        """Return the greatest time in each row, shape `(rows,)`; `MISSING` if there is none."""
        if self._carried is not None:
            np.maximum.accumulate(self._carried, out=self._carried)
            if self._times is None:
                self._times = self._carried
            else:
                np.maximum(self._times, self._carried, out=self._times)
            self._carried = None
        elif self._times is None:
            self._times = _missing(self._num_rows)
        return self._times

    def _with(self, known: Int64s | None, rows: Positions, times: Int64s) -> Int64s:
        """Return the maximum of the known times and the given ones, row by row."""
        if known is None:
            known = _missing(self._num_rows)
            known[rows] = times
        else:
            known[rows] = np.maximum(known[rows], times)
        return known


def _missing(count: int) -> Int64s:
    times: Int64s = empty(count, np.int64)
    times.fill(MISSING)
    return times


def _shown(parts: list[Int64s | None], rows: tuple[LatestRows, ...], runs: Runs) -> Int64s:
    """Return the time of the cell that each run shows."""
    full = [
        np.full(len(of), MISSING) if part is None else part
        for part, of in zip(parts, rows, strict=True)
    ]
    times = full[0] if len(full) == 1 else np.concatenate(full)
    if runs.cells is None:
        return times
    if not len(times):
        return np.full(len(runs.cells), MISSING)
    return np.where(runs.cells > NULL, times[runs.cells], MISSING)
