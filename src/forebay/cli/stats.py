"""`forebay stats`: print a summary of files without ingesting them."""

from __future__ import annotations

import click

from forebay.cli import EXIT_FAILED, complain
from forebay.cli.report import count, empty_files, in_order, print_report
from forebay.cli.tally import Tally, read_lazily
from forebay.errors import CodecError, LoadError
from forebay.runtime import monotonic_s


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def stats(files: tuple[str, ...], *, as_json: bool) -> int:
    """Print the stores, entities, timelines, chunks, rows and bytes of .rrd and .rbl FILEs.

    Chunks and bytes are those of the file, compressed; only the headers of chunks are decoded. Of a
    damaged file, everything readable is printed, and the exit code is 1.
    """
    started_s = monotonic_s()
    tally = Tally()
    empty: list[str] = []
    damages = [damage for path in files if (damage := _add_file(tally, path, empty)) is not None]
    print_report(in_order(tally.summaries()), monotonic_s() - started_s, as_json=as_json)
    if damages:
        complain("; ".join(damages))
    elif empty:
        complain(empty_files(empty))
    return EXIT_FAILED if damages else 0


def _add_file(tally: Tally, path: str, empty: list[str]) -> str | None:
    """Count a whole file, and note it if it is `empty`; returns what is wrong, or None."""
    rejected = tally.num_rejected
    is_empty = True
    tally.rejections.clear()
    try:
        for msg in read_lazily(path):
            is_empty = False
            tally.add(msg)
    except LoadError as error:
        return str(error)
    except CodecError as error:
        return f"{path}: {error}"
    if tally.num_rejected > rejected:
        first = next(iter(tally.rejections.values()))
        damaged = count(tally.num_rejected - rejected, "damaged message")
        return f"{path}: {damaged}; the first: {first}"
    if is_empty:
        empty.append(path)
    return None
