"""`forebay query`: print a dataframe, or write it to a file."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import pyarrow as pa

from forebay.cli import EXIT_FAILED, complain, say
from forebay.cli.files import FORMATS, format_of, write
from forebay.cli.load import Bars, damage_text
from forebay.cli.report import count
from forebay.errors import (
    LoadError,
    QueryError,
    UnknownEntityError,
    UnknownStoreError,
    UnknownTimelineError,
    told,
)
from forebay.hub import StoreHub
from forebay.hub import load as load_files
from forebay.model import ContentFilter, Timeline, TimeType, canonical_application_id
from forebay.model.contents import EVERYTHING
from forebay.printable import quoted
from forebay.store import explode, flatten

if TYPE_CHECKING:
    from forebay.hub import EntityDb
    from forebay.store import DataframeView

_DURATION: Final = re.compile(r"([+-]?\d+(?:\.\d+)?) ?(ns|us|ms|s|min|h)")
_UNITS_NS: Final = {
    "ns": 1,
    "us": 1000,
    "ms": 10**6,
    "s": 10**9,
    "min": 60 * 10**9,
    "h": 3600 * 10**9,
}


@click.command()
@click.argument("file")
@click.option(
    "--index", metavar="TIMELINE", help="Index of the rows: one row for each of its values."
)
@click.option("--static", is_flag=True, help="One row of static data instead of an index.")
@click.option(
    "--contents",
    metavar="EXPR",
    multiple=True,
    help="Entities, such as '/world/**' or '- /world/secret/**'; may be given several times.",
)
@click.option("--component", metavar="NAME", multiple=True, help="Keep only these components.")
@click.option("--fill-latest-at", is_flag=True, help="Carry the last value forward.")
@click.option("--from", "start", metavar="TIME", help="First time: a number, ISO 8601, or '-1.5s'.")
@click.option("--to", "end", metavar="TIME", help="Last time, included.")
@click.option("--recording", metavar="ID", help="Recording id, if the file has several recordings.")
@click.option(
    "--application", metavar="ID", help="Application id, if several recordings have that id."
)
@click.option(
    "--explode", is_flag=True, help="One row for each instance, for example for each point."
)
@click.option("--flatten", "flat", is_flag=True, help="Nested components as columns of numbers.")
@click.option(
    "--rows",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Rows to print.",
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False), help="Write .csv, .parquet or .arrow."
)
def query(file: str, *, index: str | None, static: bool, rows: int, **options: Any) -> int:
    """Print a dataframe of FILE, or write it to a file.

    It has one row for each value of the index, and one column for each timeline and component, as
    in Rerun's dataframe reader. Of a damaged file, everything readable is used, and the exit code
    is 1.
    """
    output = None if options["output"] is None else Path(options["output"])
    if output is not None and format_of(output) is None:
        there = ", ".join(FORMATS)
        msg = f"cannot tell the format of {output}: give it one of the endings {there}"
        raise click.UsageError(msg)
    if static == (index is not None):
        msg = "give an index with --index TIMELINE, or --static for static data"
        raise click.UsageError(msg)
    if static and not (options["start"] is options["end"] is None):
        msg = "static data has no times: leave out --from and --to, or give an --index"
        raise click.UsageError(msg)
    hub, damage = _loaded(file)
    db = _store(hub, options["recording"], options["application"])
    contents = ContentFilter.parse(options["contents"] or EVERYTHING)
    _check(db, contents)
    view = db.dataframe_view(
        index,
        contents,
        components=options["component"] or None,
        fill_latest_at=options["fill_latest_at"],
        start=_time(db, index, options["start"]),
        end=_time(db, index, options["end"]),
    )
    shape = _Shape(is_exploded=options["explode"], is_flat=options["flat"])
    if output is None:
        _show(view, rows, shape)
        return _told(damage)
    reader, num_rows = view.batches(), view.num_rows
    if shape.is_exploded or shape.is_flat:
        # How many rows and columns the lists become is known only when all were seen.
        table = shape.given(view.table())
        reader, num_rows = table.to_reader(), table.num_rows
    write(reader, num_rows, output)
    say(f"{count(num_rows, 'row')} written to {output}")
    return _told(damage)


def _loaded(file: str) -> tuple[StoreHub, LoadError | None]:
    """Load a file; returns the hub and what is wrong with the rest of the file.

    Raises:
        LoadError: Nothing of it is readable.
    """
    hub = StoreHub()
    with Bars(hidden=False) as progress:
        try:
            load_files(file, hub=hub, progress=progress.update)
        except LoadError as error:
            if not hub.entity_dbs():
                raise
            return hub, error
    return hub, None


def _told(damage: LoadError | None) -> int:
    """Report the damage, if any, and return the exit code."""
    if damage is None:
        return 0
    complain(damage_text(damage))
    return EXIT_FAILED


def _store(hub: StoreHub, recording_id: str | None, application_id: str | None) -> EntityDb:
    """Return the requested recording, or the only one; a blueprint if there is no recording."""
    if application_id is not None:
        application_id = canonical_application_id(application_id)
    # The hub uses a clone of an active blueprint, which is not in the file.
    blueprints = [
        db for db in hub.blueprints() if db is not hub.active_blueprint(db.store_id.application_id)
    ]
    for dbs in (hub.recordings(), blueprints):
        found = [
            db
            for db in dbs
            if recording_id in (None, db.store_id.recording_id)
            and application_id in (None, db.store_id.application_id)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            is_one_id = len({db.store_id.recording_id for db in found}) == 1
            option = "--application" if is_one_id else "--recording"
            msg = f"the file holds {_names(found)}: choose with {option}"
            raise QueryError(msg)
    wanted = "" if recording_id is None else f" {recording_id!r}"
    wanted += "" if application_id is None else f" of {application_id!r}"
    msg = f"there is no recording{wanted}; the file holds {_names(hub.recordings() or blueprints)}"
    raise UnknownStoreError(msg)


def _names(dbs: list[EntityDb]) -> str:
    noun = "blueprint" if dbs and dbs[0].store_id.is_blueprint else "recording"
    ids = [db.store_id for db in dbs]
    names = [f"{quoted(one.recording_id)} of {quoted(one.application_id)}" for one in ids]
    return count(len(ids), noun) + (f" ({told(names)})" if names else "")


def _check(db: EntityDb, contents: ContentFilter) -> None:
    """Refuse a content filter that selects no entity of the store: it is a typing error."""
    paths = db.entity_paths()
    if contents != ContentFilter.parse(EVERYTHING) and paths and not contents.select(paths):
        msg = f"--contents selects no entity of {db.store_id}; there is: {told(map(repr, paths))}"
        raise UnknownEntityError(msg)


def _time(db: EntityDb, index: str | None, text: str | None) -> int | None:
    """Parse a time: a number, ISO 8601 (UTC unless it has an offset), or for example `1.5s`."""
    if text is None or index is None:
        return None
    with contextlib.suppress(ValueError):
        return int(text)
    types = db.timelines()
    if not types:
        return None  # Static data exists at any time.
    if index not in types:
        msg = f"there is no timeline {index!r}; there are: {told(map(repr, types))}"
        raise UnknownTimelineError(msg)
    timeline = Timeline(index, types[index])
    accepted = "an integer"
    if timeline.type is TimeType.TIMESTAMP:
        # Arrow parses nanoseconds, which datetime does not; it must be told if there is a time
        # zone.
        for kind in (pa.timestamp("ns"), pa.timestamp("ns", "UTC")):
            with contextlib.suppress(pa.ArrowInvalid):
                return int(pa.scalar(text).cast(kind).value)
        accepted = "nanoseconds or ISO 8601"
    elif timeline.type is TimeType.DURATION:
        match = _DURATION.fullmatch(text.strip())
        if match:
            return int(Decimal(match[1]) * _UNITS_NS[match[2]])
        accepted = f"nanoseconds, or a number with a unit ({', '.join(_UNITS_NS)})"
    msg = f"{text!r} is no time on the {timeline.type} timeline {index!r}: give {accepted}"
    raise QueryError(msg)


@dataclass(frozen=True, slots=True)
class _Shape:
    """How nested components are shown: as rows of instances, columns of numbers, or both."""

    is_exploded: bool
    is_flat: bool

    def given(self, table: pa.Table) -> pa.Table:
        """Return the table in this shape."""
        if self.is_exploded:
            table = explode(table)
        if not self.is_flat:
            return table
        try:
            return flatten(table)
        except QueryError as error:
            msg = f"{error}; here, choose other columns with --contents or --component"
            raise QueryError(msg) from error


def _show(view: DataframeView, rows: int, shape: _Shape) -> None:
    """Print the first rows as columns that fit the screen."""
    from forebay.cli.table import print_table  # noqa: PLC0415

    batches: list[pa.RecordBatch] = []
    for batch in view.batches():
        batches.append(batch)
        if sum(one.num_rows for one in batches) >= rows:
            break
    table = pa.Table.from_batches(batches, view.schema).slice(0, rows)
    num_rows: int | None = view.num_rows
    shown = shape.given(table)
    if shape.is_exploded:
        num_rows = shown.num_rows if table.num_rows == view.num_rows else None
    print_table(shown.slice(0, rows), num_rows)
