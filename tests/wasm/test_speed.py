"""What a chunk costs in WebAssembly can be measured; how much that is depends on the machine."""

from __future__ import annotations

from pathlib import Path

from tests.wasm.speed import measure


def test_both_sides_load_the_same_chunks(site: Path, tmp_path: Path) -> None:
    speeds = measure(site, tmp_path, turns=1)
    assert [each.name for each in speeds] == ["chunks of one row", "chunks of 28 KB"]
    assert all(each.chunks > 0 and each.native_us > 0 and each.wasm_us > 0 for each in speeds)
