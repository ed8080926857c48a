"""Write dataframes to CSV, Parquet and Arrow files."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from forebay.cli import say
from forebay.cli.table import as_json
from forebay.errors import told
from forebay.hub import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

FORMATS = {".csv": "CSV", ".parquet": "Parquet", ".arrow": "Arrow", ".feather": "Arrow"}
"""Formats by the suffix of a file name, in any case."""


def format_of(output: Path) -> str | None:
    """Return the format for a file name: CSV, Parquet or Arrow.

    Returns None if the suffix is not one of `FORMATS`.
    """
    return FORMATS.get(output.suffix.lower())


def write(reader: pa.RecordBatchReader, num_rows: int, output: Path) -> None:
    """Write a dataframe batch by batch; the file appears only when it is complete.

    Args:
        reader: The batches.
        num_rows: Rows of all batches, for the progress bar.
        output: The file; its suffix determines the format.
    """
    kind = format_of(output)
    schema = _schema(reader.schema, kind)
    with replacing(output) as file, _writer(file, kind, schema) as writer:
        for batch in _shown(reader, num_rows):
            writer.write_batch(_converted(batch, schema))


@contextlib.contextmanager
def _writer(file: BinaryIO, kind: str | None, schema: pa.Schema) -> Iterator[Any]:
    if kind == "CSV":
        with pa.csv.CSVWriter(file, schema) as writer:
            yield writer
    elif kind == "Parquet":
        with pa.parquet.ParquetWriter(file, schema) as writer:
            yield writer
    else:
        with pa.ipc.new_file(file, schema) as writer:
            yield writer


def _schema(schema: pa.Schema, kind: str | None) -> pa.Schema:
    """Return the schema that the format can hold; columns of other types become JSON text.

    CSV has no nested types, and gets durations as numbers in their unit (nanoseconds on timelines).
    Parquet has no unions, which tensors use, and no structs without fields.
    """
    if kind == "CSV":
        return pa.schema([(field.name, _csv_type(field.type)) for field in schema])
    if kind != "Parquet":
        return schema
    strange = [field.name for field in schema if not _is_for_parquet(field)]
    if strange:
        say(f"written as JSON, because Parquet has no such type: {told(strange)}")
    fields = [field if _is_for_parquet(field) else field.with_type(pa.string()) for field in schema]
    return pa.schema(fields, schema.metadata)


def _csv_type(kind: pa.DataType) -> pa.DataType:
    types = pa.types
    is_bytes = types.is_binary(kind) or types.is_large_binary(kind)
    if types.is_nested(kind) or is_bytes or types.is_fixed_size_binary(kind):
        return pa.string()
    return pa.int64() if pa.types.is_duration(kind) else kind


def _is_for_parquet(field: pa.Field) -> bool:
    try:
        pa.parquet.ParquetWriter(pa.BufferOutputStream(), pa.schema([field])).close()
    except pa.ArrowNotImplementedError:
        return False
    return True


def _converted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        column
        if column.type == field.type
        else (as_json(column) if pa.types.is_string(field.type) else column.cast(field.type))
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _shown(reader: pa.RecordBatchReader, num_rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the batches, with a progress bar on standard error if that is a terminal."""
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
