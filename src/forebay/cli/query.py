"""`forebay query`: a dataframe, to the screen or into a file."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from forebay.cli.load import Bars
from forebay.cli.report import count
from forebay.errors import QueryError, UnknownTimelineError
from forebay.hub import load as load_files
from forebay.hub import replacing
from forebay.model import Timeline, TimeType
from forebay.store import flatten

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from forebay.hub import EntityDb, StoreHub
    from forebay.store import DataframeView

FORMATS = {".csv": "CSV", ".parquet": "Parquet", ".arrow": "Arrow", ".feather": "Arrow"}


@click.command()
@click.argument("file")
@click.option("--index", metavar="TIMELINE", help="Whose values make the rows.")
@click.option("--static", is_flag=True, help="One row of static data, instead of an index.")
@click.option(
    "--contents",
    metavar="EXPR",
    multiple=True,
    help="Entities, such as '/world/**' or '- /world/secret/**'; may be given several times.",
)
@click.option("--component", metavar="NAME", multiple=True, help="Keep only these components.")
@click.option("--fill-latest-at", is_flag=True, help="Carry the last value forward.")
@click.option("--from", "start", metavar="TIME", help="First time: a number, or ISO 8601.")
@click.option("--to", "end", metavar="TIME", help="Last time, included.")
@click.option("--recording", metavar="ID", help="Which recording, if the file has several.")
@click.option("--flatten", "flat", is_flag=True, help="Nested components as columns of numbers.")
@click.option("--rows", default=20, show_default=True, help="Rows to show on the screen.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False), help="Write .csv, .parquet or .arrow."
)
def query(file: str, *, index: str | None, static: bool, rows: int, **options: Any) -> None:
    """Print a dataframe of FILE, or write it to a file.

    There is one row for each value of the index, and one column for each timeline and component,
    as Rerun's dataframe reader gives them.
    """
    output = None if options["output"] is None else Path(options["output"])
    if output is not None and output.suffix not in FORMATS:
        there = ", ".join(FORMATS)
        msg = f"cannot tell the format of {output}: give it one of the endings {there}"
        raise click.UsageError(msg)
    if static == (index is not None):
        msg = "give an index with --index TIMELINE, or --static for static data"
        raise click.UsageError(msg)
    with Bars(hidden=False) as progress:
        hub = load_files(file, progress=progress.update)
    db = _recording(hub, options["recording"])
    view = db.dataframe_view(
        index,
        options["contents"] or "/**",
        components=options["component"] or None,
        fill_latest_at=options["fill_latest_at"],
        start=_time(db, index, options["start"]),
        end=_time(db, index, options["end"]),
    )
    if output is not None:
        _write(view, output, flat=options["flat"])
        click.echo(f"{count(view.num_rows, 'row')} written to {output}", err=True)
    else:
        _show(view, rows, flat=options["flat"])


def _recording(hub: StoreHub, recording_id: str | None) -> EntityDb:
    """The recording asked for, or the only one."""
    if recording_id is not None:
        return hub.recording(recording_id)
    recordings = hub.recordings() or hub.blueprints()
    if len(recordings) == 1:
        return recordings[0]
    ids = ", ".join(db.store_id.recording_id for db in recordings) or "none"
    msg = f"the file holds {count(len(recordings), 'recording')} ({ids}): choose with --recording"
    raise QueryError(msg)


def _time(db: EntityDb, index: str | None, text: str | None) -> int | None:
    """A time as people write it: a number, or for timestamps ISO 8601 (UTC unless it says)."""
    if text is None or index is None:
        return None
    with contextlib.suppress(ValueError):
        return int(text)
    types = db.timelines()
    if index not in types:
        there = ", ".join(types) or "none"
        msg = f"there is no timeline {index!r}; there are: {there}"
        raise UnknownTimelineError(msg)
    timeline = Timeline(index, types[index])
    if timeline.type is TimeType.TIMESTAMP:
        # Arrow reads nanoseconds, which datetime does not; it wants to know if there is a zone.
        for kind in (pa.timestamp("ns"), pa.timestamp("ns", "UTC")):
            with contextlib.suppress(pa.ArrowInvalid):
                return int(pa.scalar(text).cast(kind).value)
    msg = f"{text!r} is no time on the {timeline.type} timeline {index!r}: give nanoseconds" + (
        " or ISO 8601" if timeline.type is TimeType.TIMESTAMP else ""
    )
    if timeline.type is TimeType.SEQUENCE:
        msg = f"{text!r} is no time on the sequence timeline {index!r}: give a whole number"
    raise QueryError(msg)


def _show(view: DataframeView, rows: int, *, flat: bool) -> None:
    """The first rows as CSV-like columns that fit a screen."""
    from forebay.cli.table import print_table  # noqa: PLC0415

    shown = next(iter(view.batches()), None)
    table = view.schema.empty_table() if shown is None else pa.Table.from_batches([shown])
    table = table.slice(0, rows)
    print_table(flatten(table) if flat else table, view.num_rows)


def _write(view: DataframeView, output: Path, *, flat: bool) -> None:
    """Write batch by batch; the file is there only when it is complete."""
    # How many columns a list makes is known only when all of it was seen.
    reader = flatten(view.table()).to_reader() if flat else view.batches()
    is_csv = output.suffix == ".csv"
    schema = _csv_schema(reader.schema) if is_csv else reader.schema
    with replacing(output) as file, _writer(file, output.suffix, schema) as writer:
        for batch in _shown(reader, view.num_rows):
            writer.write_batch(_as_csv(batch, schema) if is_csv else batch)


@contextlib.contextmanager
def _writer(file: BinaryIO, suffix: str, schema: pa.Schema) -> Iterator[Any]:
    if suffix == ".csv":
        with pa.csv.CSVWriter(file, schema) as writer:
            yield writer
    elif suffix == ".parquet":
        with pa.parquet.ParquetWriter(file, schema) as writer:
            yield writer
    else:
        with pa.ipc.new_file(file, schema) as writer:
            yield writer


def _csv_schema(schema: pa.Schema) -> pa.Schema:
    """CSV knows no nesting: such columns become JSON; durations become nanoseconds."""
    return pa.schema([(field.name, _csv_type(field.type)) for field in schema])


def _csv_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return pa.string()
    return pa.int64() if pa.types.is_duration(kind) else kind


def _as_csv(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    from forebay.cli.table import as_json  # noqa: PLC0415

    columns = [
        column
        if column.type == field.type
        else (column.cast(pa.int64()) if pa.types.is_int64(field.type) else as_json(column))
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _shown(reader: pa.RecordBatchReader, num_rows: int) -> Iterator[pa.RecordBatch]:
    """The batches, with a progress bar on standard error if somebody is looking."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("rows"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    ) as progress:
        bar = progress.add_task("rows", total=num_rows)
        for batch in reader:
            yield batch
            progress.advance(bar, batch.num_rows)
