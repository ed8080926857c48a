"""Arrow data as text that people read."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from forebay.cli.report import PIPE_WIDTH

CELL_CHARS_MAX = 60
COLUMNS_SHOWN_MAX = 12
"""On a terminal; a pipe gets all of them."""


def as_json(column: pa.Array) -> pa.Array:
    """Each cell as JSON text; null stays null. Bytes are written as hexadecimal digits."""
    return pa.array(
        [None if cell is None else _json(cell) for cell in column.to_pylist()], pa.string()
    )


def print_table(table: pa.Table, num_rows: int) -> None:
    """Print `table`, the beginning of a dataframe of `num_rows` rows."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH)
    columns = table.column_names
    shown = columns[:COLUMNS_SHOWN_MAX] if console.is_terminal else columns
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in shown:
        grid.add_column(escape(name), overflow="fold")
    texts = [[_text(cell) for cell in table[name].combine_chunks()] for name in shown]
    for row in zip(*texts, strict=True):
        grid.add_row(*row)
    console.print(grid)
    left_out = [
        f"{num_rows - table.num_rows:,} more rows" if num_rows > table.num_rows else "",
        f"{len(columns) - len(shown)} more columns" if len(columns) > len(shown) else "",
    ]
    if any(left_out):
        console.print(f"… {' and '.join(filter(None, left_out))}; -o FILE writes all", style="dim")


def _text(cell: pa.Scalar) -> str:
    if not cell.is_valid:
        return ""
    if pa.types.is_timestamp(cell.type) or pa.types.is_duration(cell.type):
        text = str(pa.array([cell.value], cell.type).cast(pa.string())[0].as_py())
    elif pa.types.is_nested(cell.type):
        text = _json(cell.as_py())
    else:
        text = str(cell.as_py())
    return escape(text if len(text) <= CELL_CHARS_MAX else text[: CELL_CHARS_MAX - 1] + "…")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else str(value)
