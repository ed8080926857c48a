"""Logging to standard error: one line per record, whatever text a sender put into it."""

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
    """A formatter that prints the message on one line, and a traceback indented below it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line of the record, printable."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: object) -> str:  # noqa: N802 - logging's name
        """Return the traceback, printable and indented: no line of it looks like a record."""
        return textwrap.indent(printable_lines(super().formatException(ei)), "  ")  # type: ignore[arg-type]


class StderrHandler(logging.Handler):
    """A handler that writes to the current `sys.stderr`, which a live table replaces."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            click.echo(self.format(record), err=True)
        except Exception:
            self.handleError(record)


def log_to_stderr() -> None:
    """Send warnings, errors and Python's own reports of uncaught errors to stderr, printable."""
    root = logging.getLogger()
    if not any(isinstance(handler, StderrHandler) for handler in root.handlers):
        handler = StderrHandler()
        handler.setFormatter(PrintableFormatter())
        root.addHandler(handler)
    sys.excepthook = _print_fault
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character of a name gets its escape, not a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _print_fault(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    lines = "".join(traceback.format_exception(kind, error, trace))
    click.echo(printable_lines(lines), err=True, nl=False)
