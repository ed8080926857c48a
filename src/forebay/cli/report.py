"""The output of `load` and `stats`: one summary per store, as JSON or as tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table
from rich.text import Text

from forebay.cli.screen import add_rows, name, screen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forebay.hub import EntityDb
    from forebay.model import StoreId

ENTITIES_SHOWN_MAX = 40
"""Rows of the table of entities; the JSON contains all."""

TIMELINES_SHOWN_MAX = 20
"""Timelines listed for each store; the JSON contains all."""


def empty_files(paths: Sequence[str]) -> str:
    """Return the note about files without a message, whose programs ended before they logged."""
    return "; ".join([f"{path} holds nothing: its header is all there is" for path in paths])


@dataclass(frozen=True, slots=True)
class EntitySummary:
    """Counts of one entity of one store."""

    path: str
    chunks: int
    rows: int


@dataclass(frozen=True, slots=True)
class StoreSummary:
    """Counts of one store.

    Attributes:
        store_id: The store.
        chunks: Chunks, in the file (`stats`) or in the store (`load`).
        rows: Rows over all entities.
        bytes: Bytes of the encoded chunks in the file, or of the Arrow data in the store.
        timelines: Type of each timeline by its name.
        entities: Sorted by path, in Rerun's order of paths.
        rejected: Messages that could not become a chunk.
    """

    store_id: StoreId
    chunks: int
    rows: int
    bytes: int
    timelines: Mapping[str, str]
    entities: Sequence[EntitySummary]
    rejected: int

    @classmethod
    def of_entity_db(cls, db: EntityDb) -> StoreSummary:
        """Summarise a store in its current state.

        Chunks and bytes are those of the store, not of a file.
        """
        snapshot = db.snapshot()
        return cls(
            db.store_id,
            snapshot.num_chunks,
            snapshot.num_rows,
            snapshot.byte_size,
            {name: str(kind) for name, kind in sorted(snapshot.timelines().items())},
            [EntitySummary(str(path), *counts) for path, *counts in snapshot.entity_stats()],
            db.ingestion_stats().rejected,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the summary in the documented JSON form."""
        return {
            "kind": str(self.store_id.kind),
            "application_id": self.store_id.application_id,
            "recording_id": self.store_id.recording_id,
            "chunks": self.chunks,
            "rows": self.rows,
            "bytes": self.bytes,
            "timelines": dict(self.timelines),
            "entities": [
                {"path": e.path, "chunks": e.chunks, "rows": e.rows} for e in self.entities
            ],
            "rejected": self.rejected,
        }


def print_report(stores: Sequence[StoreSummary], seconds: float, *, as_json: bool) -> None:
    """Print all stores on standard output.

    Args:
        stores: Their summaries, in the order of printing.
        seconds: How long reading took.
        as_json: Print one JSON document instead of tables.
    """
    if as_json:
        document = {"stores": [s.to_json() for s in stores], "seconds": round(seconds, 6)}
        click.echo(json.dumps(document, ensure_ascii=True))
        return
    if not stores:
        return
    console = screen()
    for store in stores:
        console.print(_headline(store), highlight=False)
        if store.entities:
            console.print(_entities(store.entities, console.width))
        console.print()
    chunks = sum(s.chunks for s in stores)
    rows = sum(s.rows for s in stores)
    console.print(
        f"{count(len(stores), 'store')}, {count(chunks, 'chunk')}, {count(rows, 'row')}, "
        f"{size(sum(s.bytes for s in stores))} in {seconds:.3f} s",
        highlight=False,
    )


def _headline(store: StoreSummary) -> Text:
    store_id = store.store_id
    line = Text()
    line.append(f"{store_id.kind} ", "bold").append_text(name(store_id.recording_id, style="bold"))
    line.append(" of ").append_text(name(store_id.application_id))
    line.append(
        f": {count(store.chunks, 'chunk')}, {count(store.rows, 'row')}, {size(store.bytes)}"
    )
    if store.rejected:
        line.append(", ").append(f"{count(store.rejected, 'message')} rejected", "red")
    shown = list(store.timelines.items())[:TIMELINES_SHOWN_MAX]
    timelines = [name(timeline).append(f" ({kind})") for timeline, kind in shown]
    if len(store.timelines) > len(shown):
        timelines.append(Text(f"… and {len(store.timelines) - len(shown):,} more"))
    line.append("\n  timelines: ")
    return line.append_text(Text(", ").join(timelines or [Text("none")]))


def _entities(entities: Sequence[EntitySummary], width: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("entity")
    table.add_column("chunks", justify="right")
    table.add_column("rows", justify="right")
    rows: list[tuple[str, Sequence[str]]] = [
        (each.path, (f"{each.chunks:,}", f"{each.rows:,}"))
        for each in entities[:ENTITIES_SHOWN_MAX]
    ]
    rest = entities[ENTITIES_SHOWN_MAX:]
    if rest:
        chunks, num_rows = sum(e.chunks for e in rest), sum(e.rows for e in rest)
        rows.append((f"… and {len(rest):,} more", (f"{chunks:,}", f"{num_rows:,}")))
    add_rows(table, width, rows)
    return table


def count(number: int, noun: str) -> str:
    """`1 row`, `2 rows`, `1,000 rows`; `1 entity`, `2 entities`."""
    if number == 1:
        return f"1 {noun}"
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number:,} {plural}"


def size(number: float) -> str:
    """Format a number of bytes for people, with binary units: `512 B`, `1.5 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024 or unit == "GiB":
            break
        number /= 1024
    return f"{number:,.0f} {unit}" if unit == "B" else f"{number:,.1f} {unit}"


def in_order(stores: Iterable[StoreSummary]) -> list[StoreSummary]:
    """Return recordings first, then blueprints, each in their order of arrival."""
    return sorted(stores, key=lambda store: store.store_id.is_blueprint)
