"""A chunk costs at most four times as much processor time in WebAssembly as natively."""

from __future__ import annotations

from pathlib import Path

from tests.wasm.speed import measure

RATIO_MAX = 4.0


def test_a_chunk_costs_at_most_four_times_its_native_time(site: Path, tmp_path: Path) -> None:
    # The best of several rounds, of processor time, measured in turns: 3 where nothing else runs.
    for speed in measure(site, tmp_path, turns=2):
        assert speed.ratio <= RATIO_MAX, speed
