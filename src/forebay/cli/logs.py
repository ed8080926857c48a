"""What is logged, on standard error: one line a record, whatever a sender put into it."""

from __future__ import annotations

import logging
import sys
import textwrap
import traceback
from typing import TYPE_CHECKING

import click

from forebay.printable import printable, printable_lines

if TYPE_CHECKING:
    from types import TracebackType


class PrintableFormatter(logging.Formatter):
    """The message on one line, and the lines of a traceback indented below it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The record's line, printable."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: object) -> str:  # noqa: N802 - logging's name
        """The traceback, printable; no line of it can be taken for a record."""
        return textwrap.indent(printable_lines(super().formatException(ei)), "  ")  # type: ignore[arg-type]


class StderrHandler(logging.Handler):
    """Writes to what `sys.stderr` is at that moment: a live table replaces it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            click.echo(self.format(record), err=True)
        except Exception:
            self.handleError(record)


def log_to_stderr() -> None:
    """Let warnings and errors, and what Python itself prints of a fault, reach stderr printable."""
    root = logging.getLogger()
    if not any(isinstance(handler, StderrHandler) for handler in root.handlers):
        handler = StderrHandler()
        handler.setFormatter(PrintableFormatter())
        root.addHandler(handler)
    sys.excepthook = _print_fault
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a letter of a name gets its number, not a traceback of ours.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _print_fault(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    lines = "".join(traceback.format_exception(kind, error, trace))
    click.echo(printable_lines(lines), err=True, nl=False)
