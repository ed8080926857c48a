"""Monitor of a hub: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.table import Table

from forebay.cli.report import size
from forebay.cli.screen import add_rows, name_width
from forebay.limits import LATENCY_SAMPLES_MAX
from forebay.model import ChunkAddition
from forebay.printable import named
from forebay.runtime import Event, default_runtime, monotonic_s, wall_clock_ns

if TYPE_CHECKING:
    from forebay.chunk import Chunk
    from forebay.hub import EntityDb, StoreHub
    from forebay.model import ChunkStoreEvent, StoreId

REFRESH_S = 0.25
LINES_EVERY_S = 1.0
STORES_SHOWN_MAX = 30
"""Rows of the live table, and lines at once: the busiest stores."""

COLUMNS_LEFT_OUT = ("p50", "messages", "queue", "rows/s")
"""Columns that are left out, in this order, if the screen is too narrow for names and all
columns."""

NAMES_WIDTH_MIN = 20
"""Width of the names of stores below which columns are left out."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The state of one store at one moment.

    Attributes:
        messages: Messages accepted so far.
        rows: Rows in the store.
        rows_per_s: Rows per second since the previous reading.
        queue_depth: Messages in the queue of the store's worker.
        bytes: Bytes in the store.
        latency_p50_ms: Median time from logging (the row id) to queryable, of the latest chunks, in
            milliseconds. The oldest row of a chunk counts, so the batching of the SDK is included.
        latency_p99_ms: The same for the 99th percentile.
        rejected: Messages that could not become chunks.
    """

    store_id: StoreId
    messages: int
    rows: int
    rows_per_s: float
    queue_depth: int
    bytes: int
    latency_p50_ms: float
    latency_p99_ms: float
    rejected: int


@dataclass(slots=True)
class _Meter:
    at_s: float = 0.0
    rows: int = 0
    rows_per_s: float = 0.0
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCY_SAMPLES_MAX))


class Dashboard:
    """Shows the state of every store of a hub; a context manager that ends its subscription.

    Args:
        hub: The hub.
        console: Where to print; by default standard error.
    """

    def __init__(self, hub: StoreHub, console: Console | None = None) -> None:
        self._hub = hub
        self._console = console or Console(stderr=True)
        self._meters: dict[StoreId, _Meter] = {}
        self._printed: dict[StoreId, tuple[int, int]] = {}
        self._lock = default_runtime().lock()
        self._unsubscribe: Callable[[], None] = hub.subscribe(self._on_event)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._unsubscribe()

    def _on_event(self, event: ChunkStoreEvent[Chunk]) -> None:
        if not isinstance(event.diff, ChunkAddition) or not event.diff.chunk.num_rows:
            return
        logged_ns = event.diff.chunk.row_id_at(0).time_ns
        latency_ms = (wall_clock_ns() - logged_ns) / 1e6
        with self._lock:
            self._meters.setdefault(event.store_id, _Meter()).latencies_ms.append(latency_ms)

    def readings(self) -> list[Reading]:
        """Return the state of every store, in order of arrival."""
        return [self._read(db, self._rows_per_s(db)) for db in self._hub.entity_dbs()]

    def _busiest(self, dbs: Sequence[EntityDb]) -> list[Reading]:
        """The busiest stores, in order of arrival; the others cost little."""
        rates = [self._rows_per_s(db) for db in dbs]
        ranked = sorted(range(len(dbs)), key=lambda number: -rates[number])
        return [self._read(dbs[i], rates[i]) for i in sorted(ranked[:STORES_SHOWN_MAX])]

    def _rows_per_s(self, db: EntityDb) -> float:
        now_s, rows = monotonic_s(), db.num_rows
        with self._lock:
            meter = self._meters.setdefault(db.store_id, _Meter())
            if meter.at_s and now_s > meter.at_s:
                meter.rows_per_s = max(0, rows - meter.rows) / (now_s - meter.at_s)
            meter.at_s, meter.rows = now_s, rows
            return meter.rows_per_s

    def _read(self, db: EntityDb, rows_per_s: float) -> Reading:
        stats = db.ingestion_stats()
        snapshot = db.snapshot()
        with self._lock:
            latencies = np.array(self._meters[db.store_id].latencies_ms or [np.nan])
        p50, p99 = np.percentile(latencies, [50, 99])
        return Reading(
            db.store_id,
            stats.accepted,
            snapshot.num_rows,
            rows_per_s,
            stats.queue_depth,
            snapshot.byte_size,
            float(p50),
            float(p99),
            stats.rejected,
        )

    def run(self, over: Event, is_done: Callable[[], bool] = lambda: False) -> None:
        """Print the state of the stores again and again; on a terminal as a live table.

        Args:
            over: Ends it when set.
            is_done: Ends it when it returns True.
        """
        if self._console.is_terminal:
            with Live(self.table(), console=self._console, auto_refresh=False) as live:
                while not (is_done() or over.wait(REFRESH_S)):
                    live.update(self.table(), refresh=True)
                live.update(self.table(), refresh=True)
            return
        shown_s = monotonic_s()
        while not (is_done() or over.wait(REFRESH_S)):
            if monotonic_s() >= shown_s + LINES_EVERY_S:
                shown_s = monotonic_s()
                self.print_lines()
        self.print_lines()

    def table(self) -> Table:
        """Return a table with one row per store.

        If there are more than `STORES_SHOWN_MAX` stores, it has only the busiest.
        """
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        dbs = self._hub.entity_dbs()
        shown = self._busiest(dbs)
        columns = _columns(shown)
        while name_width(self._console.width, columns) < NAMES_WIDTH_MIN:
            spare = next((head for head in COLUMNS_LEFT_OUT if head in columns), None)
            if spare is None:
                break
            del columns[spare]
        table.add_column("store")
        for head in columns:
            table.add_column(head, justify="right")
        rows: list[tuple[str, Sequence[str]]] = [
            (_store_name(r.store_id), numbers)
            for r, *numbers in zip(shown, *columns.values(), strict=True)
        ]
        if len(dbs) > len(shown):
            rows.append((f"… and {len(dbs) - len(shown):,} more", ()))
        add_rows(table, self._console.width, rows)
        return table

    def print_lines(self) -> None:
        """Print one plain line for each store that has changed since the last call.

        For output that is not a terminal, such as a log file. Of many, the busiest.
        """
        news = [db for db in self._hub.entity_dbs() if self._has_news(db)]
        for r in self._busiest(news):
            self._console.print(
                f"{_store_name(r.store_id)}: "
                f"{r.messages} messages, {r.rows} rows ({r.rows_per_s:.0f}/s), "
                f"queue {r.queue_depth}, {size(r.bytes)}, {r.rejected} rejected, "
                f"log to queryable p50 {_ms(r.latency_p50_ms)}, p99 {_ms(r.latency_p99_ms)}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
        if len(news) > STORES_SHOWN_MAX:
            self._console.print(f"… and {len(news) - STORES_SHOWN_MAX:,} more", highlight=False)

    def _has_news(self, db: EntityDb) -> bool:
        # Its statistics would tell the same, but cost ten times as much.
        state = db.position(), db.num_rows
        is_news = self._printed.get(db.store_id) != state
        self._printed[db.store_id] = state
        return is_news


def _columns(readings: Sequence[Reading]) -> dict[str, list[str]]:
    """Return the cells of each column by its heading; rejections only if there are any."""
    columns = {
        "messages": [f"{r.messages:,}" for r in readings],
        "rows": [f"{r.rows:,}" for r in readings],
        "rows/s": [f"{r.rows_per_s:,.0f}" for r in readings],
        "queue": [f"{r.queue_depth:,}" for r in readings],
        "bytes": [size(r.bytes) for r in readings],
        "p50": [_ms(r.latency_p50_ms) for r in readings],
        "p99": [_ms(r.latency_p99_ms) for r in readings],
    }
    if any(r.rejected for r in readings):
        columns["rejected"] = [f"{r.rejected:,}" for r in readings]
    return columns


def _store_name(store_id: StoreId) -> str:
    return f"{named(store_id.application_id)}/{named(store_id.recording_id)}"


def _ms(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:,.1f} ms"
