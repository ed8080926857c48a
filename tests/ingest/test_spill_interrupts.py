"""Ctrl-C at every line of spilling: what was accepted comes out, as it was, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from forebay.ingest import (
    IngestionWorker,
    Outcome,
    PolicyRules,
    ProcessedChunk,
    Spill,
    core,
    full_queue,
    spill_files,
    spill_queue,
)
from forebay.runtime import NativeRuntime
from tests.ingest.support import TIMEOUT_S, HeldDecoder, decodes, numbered, numbers
from tests.interrupting import Interrupt

WATCHED = tuple(str(module.__file__) for module in (core, full_queue, spill_queue, spill_files))


def outcomes(directory: Path, interrupt: Interrupt) -> tuple[dict[int, int], list[Outcome]]:
    """Spill four messages, of which two may be interrupted: those accepted, and what came out."""
    gate = HeldDecoder()
    worker = IngestionWorker(
        1,
        runtime=NativeRuntime(),
        policies=PolicyRules().with_policy(Spill(directory)),
        decoder_factory=decodes(gate),
    )
    worker.submit(numbered(0))
    assert gate.began.wait(TIMEOUT_S)
    accepted = {}
    for number in (1, 2):
        try:
            with interrupt:
                accepted[worker.submit(numbered(number), f"source {number}")] = number
        except KeyboardInterrupt:
            continue
    for number in (3, 4):
        accepted[worker.submit(numbered(number), f"source {number}")] = number
    gate.go.set()
    worker.close(TIMEOUT_S)
    found = worker.poll()
    worker.validate()
    assert len(found) == worker.stats().accepted, interrupt.where
    return accepted, found


# An interrupt between opening and closing leaves files to Python, which says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_at_any_line_of_spilling(tmp_path: Path) -> None:
    counting = Interrupt(WATCHED)
    outcomes(tmp_path, counting)
    assert counting.lines > 80, "nothing was watched"
    for at in range(1, counting.lines + 1):
        interrupt = Interrupt(WATCHED, at)
        accepted, found = outcomes(tmp_path, interrupt)
        assert all(isinstance(one, ProcessedChunk) for one in found), interrupt.where
        came_out = numbers(found)
        assert came_out == sorted(set(came_out)), interrupt.where
        for seq, number in accepted.items():
            assert came_out[seq] == number, interrupt.where
        for number, one in zip(came_out, found, strict=True):
            assert one.source in {None, f"source {number}"}, interrupt.where
