"""Plots of the figures of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forebay.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from forebay.bench.figures import Figure


def draw(figures: Sequence[Figure], folder: Path) -> list[str]:
    """Draw all plots for which there are figures, as SVG files; returns their names.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415
    except ImportError as error:
        msg = "plots need matplotlib: pip install 'forebay[bench]'"
        raise MissingExtraError(msg) from error
    mpl.use("svg")
    # The same figures give the same bytes: no random ids, no date.
    mpl.rcParams.update({"svg.hashsalt": "forebay", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot as plt  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, plot in _PLOTS.items():
        found = [figure for figure in figures if figure.workload in _NEEDS[name]]
        found = [figure for figure in found if not figure.failed]
        if not found:
            continue
        canvas, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
        plot(axes, found)
        path = folder / f"{name}.svg"
        canvas.savefig(path, metadata={"Date": None})
        plt.close(canvas)
        drawn.append(str(path))
    return drawn


def _ratios(axes: Any, figures: Sequence[Figure]) -> None:
    """How many times faster than Rerun: by wall time, by CPU seconds, and the target."""
    compared = [one for one in figures if one.peer_name.startswith("Rerun") and one.ours]
    places = range(len(compared))
    axes.bar([at - 0.2 for at in places], [one.value for one in compared], 0.4, label="wall")
    axes.bar([at + 0.2 for at in places], [one.cpu_ratio for one in compared], 0.4, label="CPU")
    for at, one in zip(places, compared, strict=True):
        if one.target is not None:
            axes.hlines(one.target.value, at - 0.4, at + 0.4, "black", label=None)
    axes.axhline(1, color="grey", linewidth=0.5)
    axes.set(
        yscale="log", ylabel="times faster than Rerun", title="Compared with Rerun (line: target)"
    )
    axes.set_xticks(list(places), [one.workload for one in compared])
    axes.legend()


def _insertion(axes: Any, figures: Sequence[Figure]) -> None:
    """CPU microseconds per insertion, as the store grows."""
    micros = figures[0].values["us_each"]
    axes.plot([(lap + 1) * figures[0].values["step"] for lap in range(len(micros))], micros)
    axes.set(
        ylim=(0, None),
        xlabel="one-row chunks inserted",
        ylabel="CPU µs for each",
        title="Inserting one-row chunks into one store",
    )


def _matrix(axes: Any, figures: Sequence[Figure]) -> None:
    """CPU time and waiting time by the capacity of the queue."""
    other = axes.twinx()
    for one in figures:
        cells = one.values["cells"]
        label = f"{one.values['rows']} rows, {one.values['stores']} stores"
        capacities = [int(capacity) for capacity in cells]
        (line,) = axes.plot(
            capacities,
            [cell["cpu_us_per_message"] for cell in cells.values()],
            marker="o",
            label=label,
        )
        waits = [cell["queue_p99_ms"] for cell in cells.values()]
        other.plot(capacities, waits, linestyle="--", color=line.get_color())
    axes.axvline(2000, color="grey", linewidth=0.5)
    axes.set(xscale="log", yscale="log", xlabel="queue capacity (messages)")
    axes.set(ylabel="CPU µs a message (solid)", title="I1: queue capacity")
    other.set(yscale="log", ylabel="p99 ms in the queue (dashed)")
    axes.legend(fontsize=7)


def _isolation(axes: Any, figures: Sequence[Figure]) -> None:
    """p99 latency of the 100 Hz store in each scene."""
    names = [one.what.removeprefix("p99 with ") for one in figures]
    axes.barh(names, [one.value for one in figures])
    axes.axvline(2, color="black", linewidth=0.8)
    axes.set(xscale="log", xlabel="p99 over alone (line: target)", title="I2: a 100 Hz store")
    axes.invert_yaxis()


_PLOTS: dict[str, Callable[[Any, Sequence[Figure]], None]] = {
    "beside-rerun": _ratios,
    "insertion": _insertion,
    "capacity": _matrix,
    "isolation": _isolation,
}
_NEEDS = {
    "beside-rerun": {"L1", "L2", "L3", "L4", "Q1", "Q2"},
    "insertion": {"INSERT"},
    "capacity": {"I1"},
    "isolation": {"I2"},
}
