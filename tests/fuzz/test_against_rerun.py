"""A bounded run of `tests.fuzz.against_rerun`: generated recordings, read by Rerun and by us."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fuzz.against_rerun import Tally, panic, run_in_processes
from tests.store.dataframe import foreign

RECORDINGS = int(os.environ.get("FOREBAY_RECORDINGS", "60"))


def test_generated_recordings_read_the_same(tmp_path: Path) -> None:
    tally = run_in_processes(RECORDINGS, 1, tmp_path)
    assert not tally.differences, tally.text(0.0, show=10)
    assert sum(tally.recordings.values()) >= RECORDINGS
    assert tally.comparisons > RECORDINGS


def test_counts_of_processes_add_up() -> None:
    tally = Tally()
    for _ in range(2):
        tally.add(
            {
                "recordings": {"sdk": 2},
                "comparisons": 3,
                "cells": 5,
                "excluded": {"a rule": 1},
                "differences": ["one"],
            }
        )
    assert (tally.recordings["sdk"], tally.comparisons, tally.cells) == (4, 6, 10)
    assert tally.excluded["a rule"] == 2
    assert "2 differences" in tally.text(1.0, show=1)


def test_what_ended_the_process_is_told_of() -> None:
    text = "thread 'x' panicked at /a/b/mod.rs:42:13:\nassertion failed: it\nstack backtrace:"
    assert panic(text) == "mod.rs: assertion failed: it"


@pytest.mark.parametrize("name", sorted(foreign._TYPES))
def test_each_type_of_a_component_can_be_written(name: str) -> None:
    for kind in foreign._TYPES[name][1]:
        assert len(foreign.array([None, None], kind)) == 2
