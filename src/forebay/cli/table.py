"""Arrow tables as text for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from rich.cells import cell_len
from rich.table import Table

from forebay.cli.screen import GAP, name, screen
from forebay.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

CELL_CHARS_MAX = 60
COLUMNS_SHOWN_MAX = 12
"""Columns on a terminal, if there is room for them; a pipe gets all."""

COLUMN_WIDTH_MIN = 12
"""A column that would have to be narrower is left out."""


def as_json(column: pa.Array) -> pa.Array:
    """Return each cell as JSON text; null stays null.

    Bytes are written as hexadecimal digits. Types that JSON does not have: times are written as
    Arrow writes them, durations with their unit, and calendar intervals as their three parts.
    """
    if _is_plain(column.type):
        cells = [None if cell is None else _json(cell) for cell in column.to_pylist()]
    else:
        cells = ["".join(_pieces(cell)) if cell.is_valid else None for cell in column]
    return pa.array(cells, pa.string())


def print_table(table: pa.Table, num_rows: int | None) -> None:
    """Print a table that is the beginning of a larger one.

    Args:
        table: The rows to print.
        num_rows: Number of rows of the whole. None if it is unknown.
    """
    console = screen()
    names = table.column_names
    shown = min(len(names), COLUMNS_SHOWN_MAX) if console.is_terminal else len(names)
    # By position, because a name may occur twice.
    texts = [[_text(cell) for cell in table.column(number)] for number in range(shown)]
    widths = [
        max([cell_len(name(head).plain), *map(cell_len, cells)])
        for head, cells in zip(names, texts, strict=False)
    ]
    if console.is_terminal:
        widths = fitting(widths, console.width)
    else:
        console.width = max(console.width, sum(widths) + GAP * len(widths))
    grid = Table(box=None, padding=(0, GAP, 0, 0), header_style="bold")
    for head, width in zip(names, widths, strict=False):
        grid.add_column(name(head, width), no_wrap=True)
    for row in zip(*texts[: len(widths)], strict=True):
        grid.add_row(*map(name, row, widths))
    console.print(grid)
    rows_left = None if num_rows is None else num_rows - table.num_rows
    columns_left = len(names) - len(widths)
    left_out = [
        "more rows" if rows_left is None else f"{rows_left:,} more rows" if rows_left else "",
        f"{columns_left} more columns" if columns_left else "",
    ]
    if any(left_out):
        console.print(f"… {' and '.join(filter(None, left_out))}; -o FILE writes all", style="dim")


def fitting(widths: list[int], room: int) -> list[int]:
    """Return the widths of the columns that fit into `room` characters.

    The widest columns are narrowed first, all to the same width. A column keeps at least
    `COLUMN_WIDTH_MIN` (or its full width, if that is less). If that is too much, the last columns
    are left out, but never the first.
    """
    wanted: list[int] = []
    for width in widths:
        least = [min(each, COLUMN_WIDTH_MIN) + GAP for each in [*wanted, width]]
        if wanted and sum(least) > room:
            break
        wanted.append(width)
    room -= GAP * len(wanted)
    level = max(wanted, default=0)
    while level > 1 and sum(min(width, level) for width in wanted) > room:
        level -= 1
    return [min(width, level) for width in wanted]


def _text(cell: pa.Scalar) -> str:
    if not cell.is_valid:
        return ""
    if pa.types.is_timestamp(cell.type) or pa.types.is_duration(cell.type):
        text = str(pa.array([cell.value], cell.type).cast(pa.string())[0].as_py())
    elif pa.types.is_nested(cell.type):
        text = _beginning(cell)
    else:
        text = str(cell.as_py())
    text = printable(text[: CELL_CHARS_MAX + 1])
    return text if len(text) <= CELL_CHARS_MAX else text[: CELL_CHARS_MAX - 1] + "…"


def _beginning(cell: pa.Scalar) -> str:
    """Return a bit more of the JSON than is shown: a cell may be an image of many megabytes."""
    text = ""
    for piece in _pieces(cell):
        text += piece
        if len(text) > CELL_CHARS_MAX:
            break
    return text


def _is_plain(kind: pa.DataType) -> bool:
    """Return whether Arrow's conversion to Python objects, and JSON's of those, takes all values.

    It fails for times that `datetime` cannot hold, and for structs with two fields of one name.
    """
    if pa.types.is_temporal(kind):
        return False
    fields = [kind.field(number) for number in range(kind.num_fields)]
    if len({field.name for field in fields}) < len(fields):
        return False
    return all(_is_plain(field.type) for field in fields)


def _pieces(cell: pa.Scalar) -> Iterator[str]:
    """Yield the same JSON in pieces, for any type."""
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
