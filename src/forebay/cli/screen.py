"""Tables on a screen: names of others stay text, rows stay lines, and names stay apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from forebay.limits import NAME_CHARS_SHOWN_MAX
from forebay.printable import named, shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

PIPE_WIDTH = 1000
"""Columns where no terminal says otherwise, so that nothing is wrapped or cut."""

GAP = 2
"""Blank columns between those of a table."""

NAME_WIDTH_MIN = 12
"""A column of names is not made narrower: its table then goes beyond the screen."""


def screen() -> Console:
    """Standard output: as wide as the terminal, or wide enough for a line where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)


def name(text: str, width_max: int = NAME_CHARS_SHOWN_MAX, style: str = "") -> Text:
    """A sender's name as it may stand on a screen: no markup, no control characters, bounded."""
    return Text(shortened(named(text, max(width_max, 1)), max(width_max, 1), cell_len), style)


def name_width(console_width: int, columns: Mapping[str, Sequence[str]]) -> int:
    """What is left of a table's width for its column of names.

    Args:
        console_width: Of the screen.
        columns: The cells of each other column by its head.
    """
    taken = sum(
        max(cell_len(head), *map(cell_len, cells), 0) + GAP for head, cells in columns.items()
    )
    return max(console_width - taken - GAP, NAME_WIDTH_MIN)


def add_rows(table: Table, width: int, rows: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Add rows of a name and numbers; names are cut in the middle to what `width` leaves them."""
    others = {
        str(column.header): [numbers[place] for _, numbers in rows if place < len(numbers)]
        for place, column in enumerate(table.columns[1:])
    }
    room = name_width(width, others)
    for column in table.columns:
        column.no_wrap = True
    for first, numbers in rows:
        table.add_row(name(first, room), *numbers)
