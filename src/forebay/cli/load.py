"""`forebay load`: ingest files and print a summary of their stores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from forebay.cli import EXIT_FAILED, complain
from forebay.cli.report import StoreSummary, empty_files, in_order, print_report
from forebay.errors import LoadError
from forebay.hub import StoreHub
from forebay.hub import load as load_files
from forebay.printable import named
from forebay.runtime import monotonic_s

if TYPE_CHECKING:
    from forebay.hub import LoadProgress


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--application-id", metavar="ID", help="Load every store under this application id.")
@click.option("--recording-id", metavar="ID", help="Load every recording under this recording id.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def load(files: tuple[str, ...], *, as_json: bool, **ids: str | None) -> int:
    """Ingest .rrd and .rbl FILEs in parallel, and print a summary of their stores.

    Chunks and bytes are those of the stores. Of a damaged file, everything readable is printed, and
    the exit code is 1.
    """
    started_s = monotonic_s()
    damage: LoadError | None = None
    hub = StoreHub()
    with Bars(hidden=as_json) as bars:
        try:
            load_files(*files, hub=hub, progress=bars.update, **_given(ids))
        except LoadError as error:
            damage = error
    seconds = monotonic_s() - started_s
    # An active blueprint is a clone of one that was loaded; it is in no file.
    clones = {hub.active_blueprint(db.store_id.application_id) for db in hub.blueprints()}
    loaded = [StoreSummary.of_entity_db(db) for db in hub.entity_dbs() if db not in clones]
    print_report(in_order(loaded), seconds, as_json=as_json)
    if damage is not None:
        complain(damage_text(damage))
        return EXIT_FAILED
    if bars.empty:
        complain(empty_files(bars.empty))
    return 0


def damage_text(damage: LoadError) -> str:
    """Return what is wrong with one file, and with others that were loaded with it."""
    return "; ".join([str(damage), *getattr(damage, "__notes__", ())])


def _given(ids: dict[str, str | None]) -> dict[str, Any]:
    return {name: value for name, value in ids.items() if value is not None}


class Bars:
    """A progress bar per file on standard error, if that is a terminal.

    Attributes:
        empty: Files that were read to their end and contain no message.
    """

    def __init__(self, *, hidden: bool) -> None:
        self.empty: list[str] = []
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=console,
            disable=hidden or not console.is_terminal,
            transient=True,
        )
        self._bars: dict[str, Any] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def update(self, reading: LoadProgress) -> None:
        """Show the progress of one file. Thread-safe: the threads that read call it."""
        if reading.is_done and reading.is_empty:
            self.empty.append(reading.path)
        if self._progress.disable:
            return
        bar = self._bars.get(reading.path)
        if bar is None:
            bar = self._progress.add_task(
                named(Path(reading.path).name, 30), total=reading.bytes_total
            )
            self._bars[reading.path] = bar
        self._progress.update(bar, completed=reading.bytes_read)
