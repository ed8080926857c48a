"""Processor time a chunk, natively and in Pyodide under Node, by turns:

FOREBAY_PYODIDE="$(python tools/fetch_pyodide.py)" python -m tests.wasm.speed
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from forebay.viewer.site import build_site
from tests.wasm import cost
from tests.wasm.recordings import write_large, write_rows

HERE = Path(__file__).parent
TURNS = 3
ROUNDS = 6
STEPS = 60


@dataclass(frozen=True, slots=True)
class Speed:
    """Microseconds of processor time a chunk, the best of all rounds."""

    name: str
    chunks: int
    native_us: float
    wasm_us: float

    @property
    def ratio(self) -> float:
        """How many times as long a chunk takes in WebAssembly."""
        return self.wasm_us / self.native_us


def measure(site: Path, folder: Path, turns: int = TURNS) -> list[Speed]:
    """Load each recording here and there, in turns, so that both meet the same machine."""
    paths = {
        "chunks of one row": write_rows(folder / "rows.rrd"),
        "chunks of 28 KB": write_large(folder / "columns.rrd", 1, STEPS),
    }
    here: dict[str, list[dict[str, float]]] = {name: [] for name in paths}
    there: dict[str, list[dict[str, float]]] = {name: [] for name in paths}
    command = ["node", str(HERE / "node_cost.mjs"), str(site), str(HERE / "cost.py"), str(ROUNDS)]
    for _ in range(turns):
        for name, path in paths.items():
            here[name].append(cost.of_loading(str(path), ROUNDS, time.process_time))
        done = subprocess.run(
            [*command, *map(str, paths.values())], capture_output=True, text=True, check=True
        )
        for name, found in zip(paths, json.loads(done.stdout), strict=True):
            there[name].append(found)
    return [
        Speed(
            name,
            int(here[name][0]["chunks"]),
            min(each["best"] for each in here[name]),
            min(each["best"] for each in there[name]),
        )
        for name in paths
    ]


def main() -> None:
    """Print a line for each recording."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        site = build_site(folder / "site", Path(os.environ["FOREBAY_PYODIDE"])).folder
        for speed in measure(site, folder):
            sys.stdout.write(
                f"{speed.chunks} {speed.name}: native {speed.native_us:.0f} µs, "
                f"WebAssembly {speed.wasm_us:.0f} µs, {speed.ratio:.1f} times\n"
            )


if __name__ == "__main__":
    main()
