"""A bounded run of each target: its corpus, and some thousand inputs of one seed.

`make fuzz MINUTES=30` looks further; `python -m tests.fuzz` says how.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import corpora
from tests.fuzz.engines import run_seeded
from tests.fuzz.runs import death_of, run
from tests.fuzz.target import CORPUS, NAMES, Target, kept, load
from tests.fuzz.watching import Status, Watch

INPUTS = int(os.environ.get("FOREBAY_FUZZ_INPUTS", "4000"))
"""Over all targets, besides the corpora."""
INPUTS_MIN = 200
"""Of each target."""
CORPUS_BYTES_MAX = 1 << 20


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Hubs log what they refuse."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_found(name: str, tmp_path: Path) -> None:
    target = load(name)
    total = sum(load(other).weight for other in NAMES)
    status = Status(tmp_path / "status", max(target.bytes_max, 1 << 16))
    watch = Watch(name, target, status, tmp_path)
    share = max(INPUTS * target.weight // total, INPUTS_MIN)
    inputs = len(kept(name)) + len(target.seeds()) + share
    run_seeded(watch, inputs=inputs, seconds=None, seed=1)
    found = [path.read_text() for path in tmp_path.glob(f"{name}/*.txt")]
    assert not found, "\n".join(found)
    assert status.inputs == inputs


@pytest.mark.parametrize("name", NAMES)
def test_each_seed_is_an_input_of_its_own(name: str) -> None:
    target = load(name)
    assert all(len(data) <= target.bytes_max for data in target.seeds())
    assert len(set(target.seeds())) == len(target.seeds())


def test_corpora_are_small_and_belong_to_targets() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} <= set(NAMES)
    assert sum(path.stat().st_size for path in files) < CORPUS_BYTES_MAX


def test_a_finding_is_kept_once_with_the_command_that_replays_it(tmp_path: Path) -> None:
    target = load("expressions")

    def fails(data: bytes) -> str:
        assert len(data) < 2
        return "short"

    failing = Target(fails, target.seeds, target.mutate)
    watch = Watch("expressions", failing, Status(tmp_path / "status", 100), tmp_path)
    for data in (b"a", b"bb", b"ccc"):
        watch.run(data)
    assert (watch.status.inputs, watch.status.findings) == (3, 1)
    (path,) = tmp_path.glob("expressions/*.txt")
    assert path.with_suffix("").read_bytes() == b"bb"
    assert f"python -m tests.fuzz expressions --replay {path.with_suffix('')}" in path.read_text()


def test_what_ran_last_is_known_after_the_process_is_gone(tmp_path: Path) -> None:
    Status(tmp_path / "status", 100).begin(b"the last one")
    after = Status(tmp_path / "status", 100)
    assert after.running() == b"the last one"
    assert after.inputs == 1


def test_a_run_is_a_process_of_its_own_and_counts_its_inputs(tmp_path: Path) -> None:
    result = run(
        "expressions",
        engine="seeded",
        inputs=300,
        seconds=None,
        seed=1,
        work=tmp_path / "work",
        findings=tmp_path / "findings",
    )
    assert (result.inputs, result.deaths, result.findings) == (300, 0, 0)
    assert result.outcomes > 1


def test_deaths_of_one_cause_are_one_finding() -> None:
    output = """/arrow/data.cc:{}:  Check failed: (off) <= (length) offset ({}) is greater
Fatal Python error: Aborted

Current thread 0x00007f26aa97b1c0 (most recent call first):
  File "/somewhere/chunk.py", line 7 in opened
"""
    causes = {death_of(-6, output.format(line, offset)) for line, offset in ((190, 4), (191, 64))}
    assert len(causes) == 1
    assert "chunk.py:7:opened" in causes.pop()
    assert death_of(-14, "") != death_of(-6, output)


def test_the_smallest_corpus_reaches_the_same() -> None:
    target = Target(lambda data: str(len(data) // 2), list, lambda data, _: data)
    assert corpora.smallest(target, [b"abc", b"ab", b"a", b"d", b"abcdef"]) == [
        b"a",
        b"ab",
        b"abcdef",
    ]
