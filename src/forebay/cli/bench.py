"""`forebay bench`: run the benchmarks, compared with Rerun."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from forebay.bench import WORKLOADS, Bench, Size, run_workloads
from forebay.bench.figures import number
from forebay.bench.machine import about_machine
from forebay.bench.report import combined, cost, figures_of, write_into
from forebay.cli import EXIT_FAILED, say
from forebay.printable import printable

if TYPE_CHECKING:
    from forebay.bench import Figure

TABLE_WIDTH = 130
"""Characters of a line if there is no terminal."""


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--quick", "size", flag_value=Size.QUICK.value, help="Smallest size: a smoke test of seconds."
)
@click.option(
    "--short", "size", flag_value=Size.SHORT.value, default=Size.SHORT.value, help="The default."
)
@click.option("--full", "size", flag_value=Size.FULL.value, help="Full size of each workload.")
@click.option("--pairs", type=click.IntRange(min=1), help="At most N runs of each side.")
@click.option("--json", "json_path", metavar="FILE", help="Write JSON to FILE; - is stdout.")
@click.option("--plots", metavar="DIR", help="Write the plots into DIR.")
@click.option("--page", metavar="FILE", help="Replace the figures in a Markdown page.")
@click.option(
    "--with",
    "earlier",
    metavar="FILE",
    multiple=True,
    help="Add the figures of other workloads from an earlier run (--json FILE).",
)
@click.option("--list", "only_list", is_flag=True, help="List the workloads.")
def bench(
    names: tuple[str, ...],
    *,
    size: str,
    pairs: int | None,
    json_path: str | None,
    plots: str | None,
    page: str | None,
    earlier: tuple[str, ...],
    only_list: bool,
) -> int:
    """Run the workloads NAME... (by default all), Forebay and Rerun alternately.

    Each measurement runs in a fresh process. Compare ratios of one run, and CPU seconds; a wall
    time alone also depends on what else the machine did. The exit code is 1 if the two sides gave
    different answers, or if a workload could not run.
    """
    console = Console(stderr=json_path == "-")
    if not console.is_terminal:
        console.width = TABLE_WIDTH
    if only_list:
        for name, (_, _, words) in WORKLOADS.items():
            console.print(f"{name:7}{words}")
        return 0
    runs = [figures_of(Path(path)) for path in earlier]
    figures: list[Figure] = []
    with Console(stderr=True).status("") as status:
        sized = Bench(size=Size(size), say=status.update, pairs_max=pairs)
        for figure in run_workloads([name.upper() for name in names], sized):
            figures.append(figure)
            if figure.failed or figure.same_answer is False:
                note = figure.note or "the answers differ"
                console.print(printable(f"{figure.workload}: {note}"), markup=False)
    figures = combined([*runs, figures])
    console.print(table_of(figures))
    document = {"machine": about_machine(), "size": size, "figures": [f.as_json() for f in figures]}
    if json_path == "-":
        click.echo(json.dumps(document, indent=1))
    elif json_path:
        Path(json_path).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if page:
        write_into(Path(page), figures, about_machine())
    if plots:
        _draw(figures, plots)
    wrong = any(figure.failed or figure.same_answer is False for figure in figures)
    return EXIT_FAILED if wrong else 0


def _draw(figures: list[Figure], folder: str) -> None:
    from forebay.bench.plots import draw  # noqa: PLC0415 - matplotlib is an extra

    for path in draw(figures, Path(folder)):
        say(str(path))


def table_of(figures: list[Figure]) -> Table:
    """Return a table of all figures.

    The CPU column is Rerun's CPU time divided by Forebay's; costs are wall seconds, CPU seconds and
    peak memory.
    """
    table = Table(caption="ours, peer: wall seconds / CPU seconds / peak MB; medians")
    table.add_column("", no_wrap=True)
    table.add_column("what", min_width=24)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("target", no_wrap=True)
    table.add_column("CPU", justify="right", no_wrap=True)
    table.add_column("ours", no_wrap=True)
    table.add_column("peer", no_wrap=True)
    table.add_column("same", no_wrap=True)
    last = ""
    for figure in figures:
        if last not in {"", figure.workload}:
            table.add_section()
        last = figure.workload
        ratio = figure.cpu_ratio
        colour = {None: "default", True: "green", False: "red"}[figure.is_met]
        table.add_row(
            figure.workload,
            f"{figure.what}{f' ({figure.peer_name})' if figure.peer_name else ''}",
            f"[{colour}]{number(figure.value)}{figure.unit}[/]",
            "" if figure.target is None else str(figure.target),
            "" if ratio is None else f"{number(ratio)}x",
            cost(figure.ours),
            cost(figure.peer),
            {None: "", True: "yes", False: "[red]no[/]"}[figure.same_answer],
        )
    return table
