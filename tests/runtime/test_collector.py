from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from forebay.runtime import RareCollections


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[tuple[int, int, int]]:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield before
    gc.set_threshold(*before)


def test_spans_may_overlap_and_the_last_one_restores() -> None:
    rare = RareCollections(20_000)
    first, second = rare.span(), rare.span()
    first.__enter__()
    second.__enter__()
    assert gc.get_threshold() == (20_000, 10, 10)
    first.__exit__(None, None, None)
    assert gc.get_threshold() == (20_000, 10, 10)
    second.__exit__(None, None, None)
    assert gc.get_threshold() == (700, 10, 10)


def test_an_error_ends_a_span() -> None:
    with pytest.raises(KeyError), RareCollections(20_000).span():
        raise KeyError
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("usual", [0, 50_000])
def test_who_collects_less_often_anyway_is_left_alone(usual: int) -> None:
    gc.set_threshold(usual, 5, 5)
    with RareCollections(20_000).span():
        assert gc.get_threshold() == (usual, 5, 5)
    assert gc.get_threshold() == (usual, 5, 5)


def test_what_was_changed_meanwhile_stays() -> None:
    with RareCollections(20_000).span():
        gc.set_threshold(1000, 5, 5)
    assert gc.get_threshold() == (1000, 5, 5)


def test_cycles_are_still_collected_within_a_span() -> None:
    # Without a GIL it also takes a quarter as many new objects as there are old ones.
    most = max(20_000, len(gc.get_objects()))
    with RareCollections(2000).span():
        before = gc.get_stats()[0]["collections"]
        kept: list[list[int]] = []
        while gc.get_stats()[0]["collections"] == before:
            assert len(kept) < most
            kept += [[number] for number in range(1000)]
