"""Tables on a terminal: names from senders are shown as plain text, one line per row."""

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
"""Characters of a line if there is no terminal, so that nothing is wrapped or cut."""

GAP = 2
"""Blank characters between two columns of a table."""

NAME_WIDTH_MIN = 12
"""Least width of a column of names; a table may then be wider than the screen."""


def screen() -> Console:
    """Return a console for standard output, wide enough for every line if it is not a terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)


def name(text: str, width_max: int = NAME_CHARS_SHOWN_MAX, style: str = "") -> Text:
    """Return a name from a sender as text for the terminal: no markup, printable, bounded.

    Args:
        text: The name.
        width_max: Longer names are cut in the middle.
        style: A style of rich, such as `bold`.
    """
    return Text(shortened(named(text, max(width_max, 1)), max(width_max, 1), cell_len), style)


def name_width(console_width: int, columns: Mapping[str, Sequence[str]]) -> int:
    """Return what is left of the screen's width for the column of names.

    Args:
        console_width: Width of the screen, in characters.
        columns: The cells of each other column by its heading.
    """
    taken = sum(
        max(cell_len(head), *map(cell_len, cells), 0) + GAP for head, cells in columns.items()
    )
    return max(console_width - taken - GAP, NAME_WIDTH_MIN)


def add_rows(table: Table, width: int, rows: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Add rows of a name and numbers to a table; names are cut in the middle to fit `width`."""
    others = {
        str(column.header): [numbers[place] for _, numbers in rows if place < len(numbers)]
        for place, column in enumerate(table.columns[1:])
    }
    room = name_width(width, others)
    for column in table.columns:
        column.no_wrap = True
    for first, numbers in rows:
        table.add_row(name(first, room), *numbers)
