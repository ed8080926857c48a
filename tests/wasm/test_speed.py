"""A chunk costs at most four times as much processor time in WebAssembly as natively."""

from __future__ import annotations

from pathlib import Path

from tests.wasm.speed import measure

RATIO_MAX = 4.0
ATTEMPTS = 3


def test_a_chunk_costs_at_most_four_times_its_native_time(site: Path, tmp_path: Path) -> None:
    # Around 3 where nothing else runs; other work on the machine weighs more on the compilers
    # that Node runs beside Python, so that a busy moment is given another try.
    for _ in range(ATTEMPTS):
        speeds = measure(site, tmp_path, turns=1)
        if all(speed.ratio <= RATIO_MAX for speed in speeds):
            return
    raise AssertionError(speeds)
