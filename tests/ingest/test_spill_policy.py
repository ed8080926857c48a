"""What the policy `spill` does where there is no room, on a sound disk and on others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import pytest

from forebay.errors import QueueFullError, WorkerClosedError
from forebay.ingest import (
    IngestionWorker,
    PolicyRules,
    Spill,
)
from forebay.ingest.spill_files import SpillFiles
from forebay.model import ArrowMsg
from forebay.runtime import NativeRuntime, Runtime, WebWorkerRuntime
from tests.ingest.full import Held, frames, message
from tests.ingest.support import (
    SIZE,
    OneAtATime,
    decode_number,
    decodes,
    number_of,
    numbered,
    numbers,
)


class FailingDisk(SpillFiles):
    """A disk that is full while told so, and calls back before it writes."""

    is_full = False

    def _write_all(self, file: BinaryIO, frame: bytes) -> None:
        if self.is_full:
            msg = "no space left on device"
            raise OSError(msg)
        super()._write_all(file, frame)


class SpillsToFailingDisk(IngestionWorker):
    _spill_type = FailingDisk


@pytest.fixture
def spilling(native: NativeRuntime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Held:
    """Full to the brim, so that all else goes to disk; or waits, where no camera says it."""
    monkeypatch.setattr(FailingDisk, "is_full", False)
    rules = PolicyRules().with_policy(Spill(tmp_path), "/camera/**")
    held = Held(native, "block", rules=rules, worker_type=SpillsToFailingDisk)
    for frame in range(1, 4):
        held.worker.submit(message(frame, "/imu"))
    return held


def test_what_blocks_goes_behind_what_is_spilled(spilling: Held) -> None:
    with pytest.raises(QueueFullError):
        spilling.worker.submit(message(4, "/imu"), timeout=0.001)
    spilling.worker.submit(message(4, "/camera"))
    spilling.worker.submit(message(5, "/imu"), timeout=0.001)
    spilling.worker.submit(message(6, "/camera"))
    assert spilling.worker.stats().spilled == 3
    assert frames(spilling.finish()) == [0, 1, 2, 3, 4, 5, 6]


def test_who_waits_for_a_full_disk_is_passed_by_nobody(
    spilling: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    spilling.worker.submit(message(4, "/camera"))
    monkeypatch.setattr(FailingDisk, "is_full", True)
    with pytest.raises(QueueFullError):
        spilling.worker.submit(message(5, "/camera"), timeout=0.001)
    monkeypatch.setattr(FailingDisk, "is_full", False)
    with pytest.raises(QueueFullError):
        spilling.worker.submit(message(5, "/camera"), timeout=0.001)
    assert frames(spilling.finish()) == [0, 1, 2, 3, 4]


def test_a_disk_that_has_room_again_is_used_again(
    spilling: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FailingDisk, "is_full", True)
    with pytest.raises(QueueFullError):
        spilling.worker.submit(message(4, "/camera"), timeout=0.001)
    monkeypatch.setattr(FailingDisk, "is_full", False)
    spilling.worker.submit(message(5, "/camera"), timeout=0.001)
    assert frames(spilling.finish()) == [0, 1, 2, 3, 5]


def test_what_is_on_its_way_to_disk_when_the_store_closes_is_refused(
    spilling: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    spilling.worker.submit(message(4, "/camera"))
    write = FailingDisk._write_all

    def closing(disk: FailingDisk, file: BinaryIO, frame: bytes) -> None:
        write(disk, file, frame)
        spilling.worker._queue.is_closed = True

    monkeypatch.setattr(FailingDisk, "_write_all", closing)
    with pytest.raises(WorkerClosedError):
        spilling.worker.try_submit(message(5, "/camera"))
    assert frames(spilling.finish()) == [0, 1, 2, 3, 4]


def test_an_interrupt_while_writing_to_disk_leaves_nothing_of_that_message(
    spilling: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    spilling.worker.submit(message(4, "/camera"))
    with monkeypatch.context() as patched:
        write = FailingDisk._write_all

        def interrupted(disk: FailingDisk, file: BinaryIO, frame: bytes) -> None:
            write(disk, file, frame)
            raise KeyboardInterrupt

        patched.setattr(FailingDisk, "_write_all", interrupted)
        with pytest.raises(KeyboardInterrupt):
            spilling.worker.submit(message(5, "/camera"))
    with monkeypatch.context() as patched:
        accept = FailingDisk.write

        def not_accepted(disk: FailingDisk, *frame: Any) -> None:
            accept(disk, *frame)
            raise KeyboardInterrupt

        patched.setattr(FailingDisk, "write", not_accepted)
        with pytest.raises(KeyboardInterrupt):
            spilling.worker.submit(message(6, "/camera"))
    spilling.worker.submit(message(7, "/camera"))
    assert frames(spilling.finish()) == [0, 1, 2, 3, 4, 7]


def spiller(
    runtime: Runtime, directory: Path, worker_type: type[OneAtATime] = OneAtATime
) -> OneAtATime:
    """A worker whose first message waits for a turn and whose second is on disk."""
    worker = worker_type(
        1,
        runtime=runtime,
        policies=PolicyRules().with_policy(Spill(directory)),
        decoder_factory=decodes(decode_number),
    )
    worker.submit(numbered(0))
    worker.submit(numbered(1))
    return worker


def test_no_turn_is_spent_on_waiting_for_who_is_writing_to_disk(tmp_path: Path) -> None:
    runtime = WebWorkerRuntime(can_wait=False)
    worker = spiller(runtime, tmp_path)
    assert worker._turns.spilled is not None
    files = worker._turns.spilled.files
    assert files is not None
    assert files.write(numbered(2), None, SIZE, 0.0) is None, "not numbered yet"
    turns = 0
    while runtime.run_turn() and turns < 100:
        turns += 1
        worker.poll()
    assert turns < 10
    files.unwrite()
    worker.submit(numbered(2))
    runtime.run_all()
    assert numbers(worker.poll())[-1] == 2


def test_who_read_back_meanwhile_goes_on_when_the_message_is_refused(tmp_path: Path) -> None:
    runtime = WebWorkerRuntime(can_wait=False)
    taken: list[int] = []

    class Closing(SpillFiles):
        """While the message 2 is written all others are wanted back, and the store closes."""

        def write(self, msg: ArrowMsg, source: object, cost: int, now_s: float) -> Exception | None:
            error = super().write(msg, source, cost, now_s)
            if number_of(msg) == 2:
                runtime.run_all()
                taken.extend(numbers(worker.poll()))
                runtime.run_all()
                worker._queue.is_closed = True
            return error

    class SpillsAndCloses(OneAtATime):
        _spill_type = Closing

    worker = spiller(runtime, tmp_path, SpillsAndCloses)
    with pytest.raises(WorkerClosedError):
        worker.submit(numbered(2))
    assert taken == [0]
    runtime.run_all()
    assert numbers(worker.poll()) == [1]
    worker.validate()
