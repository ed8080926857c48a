"""Arrow data as text that people read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from forebay.cli.report import PIPE_WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterator

CELL_CHARS_MAX = 60
COLUMNS_SHOWN_MAX = 12
"""On a terminal; a pipe gets all of them."""


def as_json(column: pa.Array) -> pa.Array:
    """Each cell as JSON text; null stays null.

    Bytes are written as hexadecimal digits; times, which JSON has not got, as Arrow writes them,
    and durations with their unit; calendar intervals as their three parts.
    """
    if _is_plain(column.type):
        cells = [None if cell is None else _json(cell) for cell in column.to_pylist()]
    else:
        cells = ["".join(_pieces(cell)) if cell.is_valid else None for cell in column]
    return pa.array(cells, pa.string())


def print_table(table: pa.Table, num_rows: int | None) -> None:
    """Print `table`, the beginning of `num_rows` rows, or of more than anybody has counted."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH)
    names = table.column_names
    shown = names[:COLUMNS_SHOWN_MAX] if console.is_terminal else names
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in shown:
        grid.add_column(escape(name), overflow="fold")
    # By position, for a name may stand twice.
    texts = [[_text(cell) for cell in table.column(number)] for number in range(len(shown))]
    for row in zip(*texts, strict=True):
        grid.add_row(*row)
    console.print(grid)
    rows_left = None if num_rows is None else num_rows - table.num_rows
    left_out = [
        "more rows" if rows_left is None else f"{rows_left:,} more rows" if rows_left else "",
        f"{len(names) - len(shown)} more columns" if len(names) > len(shown) else "",
    ]
    if any(left_out):
        console.print(f"… {' and '.join(filter(None, left_out))}; -o FILE writes all", style="dim")


def _text(cell: pa.Scalar) -> str:
    if not cell.is_valid:
        return ""
    if pa.types.is_timestamp(cell.type) or pa.types.is_duration(cell.type):
        text = str(pa.array([cell.value], cell.type).cast(pa.string())[0].as_py())
    elif pa.types.is_nested(cell.type):
        text = _beginning(cell)
    else:
        text = str(cell.as_py())
    return escape(text if len(text) <= CELL_CHARS_MAX else text[: CELL_CHARS_MAX - 1] + "…")


def _beginning(cell: pa.Scalar) -> str:
    """Just over as much of the JSON as is shown: a cell may be an image of many megabytes."""
    text = ""
    for piece in _pieces(cell):
        text += piece
        if len(text) > CELL_CHARS_MAX:
            break
    return text


def _is_plain(kind: pa.DataType) -> bool:
    """Whether Arrow's own conversion to Python's objects takes all values, and JSON those.

    It refuses times that `datetime` cannot hold, and structs that have a name twice.
    """
    if pa.types.is_temporal(kind):
        return False
    fields = [kind.field(number) for number in range(kind.num_fields)]
    if len({field.name for field in fields}) < len(fields):
        return False
    return all(_is_plain(field.type) for field in fields)


def _pieces(cell: pa.Scalar) -> Iterator[str]:
    """The same JSON bit by bit, of any type."""
    kind = cell.type
    if not cell.is_valid:
        yield "null"
    elif pa.types.is_union(kind) or pa.types.is_dictionary(kind):
        yield from _pieces(cell.value)
    elif pa.types.is_map(kind):
        yield from _joined("[]", (_joined("[]", map(_pieces, _parts(one))) for one in cell.values))
    elif pa.types.is_struct(kind):
        yield from _joined(
            "{}",
            (_named(kind.field(number).name, part) for number, part in enumerate(_parts(cell))),
        )
    elif pa.types.is_nested(kind):
        yield from _joined("[]", map(_pieces, cell.values))
    elif pa.types.is_duration(kind):
        yield _json(f"{cell.value} {kind.unit}")
    elif pa.types.is_interval(kind):
        parts = cell.as_py()
        yield _json({"months": parts[0], "days": parts[1], "nanoseconds": parts[2]})
    elif pa.types.is_temporal(kind):
        yield _json(cell.cast(pa.string()).as_py())
    else:
        yield _json(cell.as_py())


def _parts(struct: pa.StructScalar) -> Iterator[pa.Scalar]:
    return (struct[number] for number in range(struct.type.num_fields))


def _named(name: str, part: pa.Scalar) -> Iterator[str]:
    yield f"{_json(name)}: "
    yield from _pieces(part)


def _joined(brackets: str, parts: Iterator[Iterator[str]]) -> Iterator[str]:
    yield brackets[0]
    for number, part in enumerate(parts):
        if number:
            yield ", "
        yield from part
    yield brackets[1]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else str(value)
