"""Figures as a Markdown table in a page of the documentation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from forebay.bench.figures import Cost, Figure, number
from forebay.bench.suite import WORKLOADS
from forebay.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

BEGIN = "<!-- figures: begin -->"
END = "<!-- figures: end -->"


def figures_of(path: Path) -> list[Figure]:
    """Read the figures of an earlier run.

    Raises:
        BenchError: The file is not an output of `--json`.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return [Figure.from_json(found) for found in document["figures"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path} holds no figures of an earlier run: {error}"
        raise BenchError(msg) from error


def combined(runs: Iterable[Sequence[Figure]]) -> list[Figure]:
    """Return the figures of the last run of each workload, in the order of the workloads."""
    last = {figure.workload: run for run in runs for figure in run}
    return [one for name in WORKLOADS for one in last.get(name, ()) if one.workload == name]


def write_into(page: Path, figures: Sequence[Figure], machine: Mapping[str, Any]) -> None:
    """Replace the figures between the two marks of a page.

    Raises:
        BenchError: The page has no such marks.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        msg = f"{page} has no {BEGIN} and {END} to put the figures between"
        raise BenchError(msg)
    middle = f"\n{markdown(figures, machine)}\n"
    page.write_text(f"{before}{BEGIN}{middle}{END}{after}", encoding="utf-8")


def markdown(figures: Sequence[Figure], machine: Mapping[str, Any]) -> str:
    """Return a table with one row per figure, and a line about the machine."""
    about = ", ".join(f"{name} {value}" for name, value in machine.items() if value is not None)
    rows = [
        "| | what | figure | target | met | by CPU | ours | peer | load |",
        "| --- | --- | ---: | --- | --- | ---: | --- | --- | ---: |",
    ]
    rows += [_row(figure) for figure in figures]
    return "\n".join([f"Measured with {about}.", "", *rows])


def _row(figure: Figure) -> str:
    ratio = figure.cpu_ratio
    cells = [
        figure.workload,
        figure.what + (f" ({figure.note})" if figure.note else ""),
        number(figure.value) + figure.unit,
        "" if figure.target is None else str(figure.target),
        {None: "", True: "yes", False: "**no**"}[figure.is_met],
        "" if ratio is None else f"{number(ratio)}x",
        cost(figure.ours),
        f"{cost(figure.peer)} {figure.peer_name}".strip(),
        "" if figure.load is None else f"{figure.load:.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


def cost(found: Cost | None) -> str:
    """Format wall seconds, CPU seconds and peak memory in MB."""
    if found is None:
        return ""
    megabytes = found.rss_peak_bytes / 1e6
    return f"{number(found.wall_s)} / {number(found.cpu_s)} / {megabytes:.0f}"
