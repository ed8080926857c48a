"""Paths cost as much as they have characters, and leave nothing behind."""

from __future__ import annotations

import copy
import gc
import pickle
import tracemalloc

import pytest

from forebay.limits import PATH_CACHED_CHARS_MAX
from forebay.model import EntityPath, paths
from tests.steps import calls_of, check_proportion


@pytest.mark.parametrize("part", ["/a", "/", "/\\/", "/\\u{262E}", "/ä ö", "/1"])
def test_twice_the_path_takes_twice_the_steps(part: str) -> None:
    check_proportion(lambda size: calls_of(lambda: EntityPath(part * size)), 2000)


def test_an_escape_looks_at_no_more_than_its_own_characters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []
    read = paths._unicode_escape

    def watched(rest: str) -> tuple[int, str]:
        seen.append(len(rest))
        return read(rest)

    monkeypatch.setattr(paths, "_unicode_escape", watched)
    EntityPath("/" + "\\u{1}" * 1000)
    assert len(seen) == 1000
    assert max(seen) <= 8


@pytest.mark.parametrize("path", ["/" * 200_000, "/a" * 50_000, "/" + "x" * 200_000])
def test_a_long_path_leaves_nothing_behind(path: str) -> None:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(5):
            EntityPath(f"{path}{number}")
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 50_000, "nothing remembers what no store counts"


def test_short_paths_are_remembered() -> None:
    path = "/world/points/remembered"
    EntityPath(path)
    assert len(path) <= PATH_CACHED_CHARS_MAX
    assert calls_of(lambda: EntityPath(path)) < calls_of(lambda: EntityPath(path + "/other"))


def test_parts_survive_copying_and_pickling() -> None:
    path = EntityPath("/we ird/x")
    for other in (copy.copy(path), copy.deepcopy(path), pickle.loads(pickle.dumps(path))):
        assert type(other) is EntityPath
        assert (other, other.parts) == (path, ("we ird", "x"))
