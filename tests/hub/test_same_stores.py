"""The same stores, whoever ingests them: threads or none, many workers or one, a GIL or not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from forebay.hub import StoreHub
from forebay.runtime import InlineRuntime, NativeRuntime, gil_enabled
from tests.corpus import RECORDINGS
from tests.fingerprints import Fingerprint, fingerprint

MADE_ELSEWHERE = os.environ.get("FOREBAY_FINGERPRINTS")
"""A file of another interpreter's; `make test-free-threaded` sees to it."""


def expected(name: str) -> Fingerprint:
    if MADE_ELSEWHERE is None:
        return fingerprint(name, StoreHub(runtime=InlineRuntime()))
    found: Fingerprint = json.loads(Path(MADE_ELSEWHERE).read_text())["recordings"][name]
    return found


@pytest.mark.parametrize("turns_max", [1, 4, None])
@pytest.mark.parametrize("name", RECORDINGS)
def test_threads_make_the_same_stores(name: str, turns_max: int | None) -> None:
    hub = StoreHub(runtime=NativeRuntime(), turns_max=turns_max)
    assert fingerprint(name, hub) == expected(name)


def test_a_fingerprint_tells_stores_apart() -> None:
    found = [json.dumps([*expected(name).values()]) for name in RECORDINGS if name != "empty"]
    assert len(set(found)) == len(found)
    assert all("rows of" in one for one in found)


@pytest.mark.skipif(MADE_ELSEWHERE is None, reason="only beside another interpreter's stores")
def test_one_of_both_has_a_gil_and_the_other_has_none() -> None:
    assert MADE_ELSEWHERE is not None
    assert json.loads(Path(MADE_ELSEWHERE).read_text())["gil"] != gil_enabled()
