"""Messages on disk: what is written comes back, in order, and what the disk broke is told of."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pytest

from forebay.errors import SpillError
from forebay.ingest import RejectedMsg, Spill
from forebay.ingest.queue import Entry
from forebay.ingest.spill_files import SpillFiles
from forebay.runtime import InlineRuntime
from tests.ingest.support import SIZE, STORE, numbered


def files(tmp_path: Path, segment_bytes: int = 1 << 20, bytes_max: int = 1 << 30) -> SpillFiles:
    return SpillFiles(Spill(tmp_path, bytes_max), InlineRuntime(), segment_bytes)


def written(spill: SpillFiles, *numbers: int, source: object = None) -> None:
    for number in numbers:
        assert spill.write(numbered(number), source, SIZE + number, 0.5 + number) is None
        spill.number(number)


def read_back(spill: SpillFiles) -> list[Entry | RejectedMsg]:
    found = []
    while (spilled := spill.peek(STORE)) is not None:
        found.append(spilled.item)
        spill.pop()
    return found


def segments(tmp_path: Path) -> list[Path]:
    return sorted(tmp_path.rglob("*.spill"))


def seqs(items: list[Entry | RejectedMsg]) -> list[int]:
    """Numbers; of what is lost, -1 - seq."""
    return [one.seq if isinstance(one, Entry) else -1 - one.seq for one in items]


@pytest.mark.parametrize("segment_bytes", [1, 3 * SIZE, 1 << 20])
def test_all_comes_back_as_it_was_and_nothing_stays_on_disk(
    tmp_path: Path, segment_bytes: int
) -> None:
    spill = files(tmp_path, segment_bytes)
    written(spill, 0, 1, source="first")
    written(spill, 2, source=None)
    written(spill, 3, 4, source="second")
    assert spill.num_bytes == sum(path.stat().st_size for path in segments(tmp_path))
    found = read_back(spill)
    assert seqs(found) == [0, 1, 2, 3, 4]
    for number, one in enumerate(found):
        assert isinstance(one, Entry)
        assert one.msg == numbered(number)
        assert one.msg.byte_offset == number, "errors name the place in the file it came from"
        assert (one.cost, one.accepted_s) == (SIZE + number, 0.5 + number)
    assert [one.source for one in found] == ["first", "first", None, "second", "second"]
    assert (spill.num_bytes, segments(tmp_path)) == (0, [])


def test_a_message_whose_number_is_not_known_yet_is_not_read(tmp_path: Path) -> None:
    spill = files(tmp_path)
    written(spill, 0)
    assert spill.write(numbered(1), None, SIZE, 0.0) is None
    assert spill.peek(STORE) is None
    spill.number(1)
    assert seqs(read_back(spill)) == [0, 1]


def test_a_message_that_was_not_accepted_after_all_is_forgotten(tmp_path: Path) -> None:
    spill = files(tmp_path)
    written(spill, 0)
    size = spill.num_bytes
    for _ in range(2):
        assert spill.write(numbered(7), "its source", SIZE, 0.0) is None
        spill.unwrite()
        assert spill.num_bytes == size
        spill.unwrite()
        assert spill.num_bytes == size, "what has a number is not taken back"
    written(spill, 1, 2, source="another")
    found = read_back(spill)
    assert seqs(found) == [0, 1, 2]
    assert [one.source for one in found if isinstance(one, Entry)] == [None, "another", "another"]
    spill.unwrite()
    assert spill.write(numbered(7), None, SIZE, 0.0) is None
    spill.unwrite()
    assert segments(tmp_path) == [], "alone in its file, it takes the file with it"


def test_a_damaged_message_is_lost_and_no_other(tmp_path: Path) -> None:
    spill = files(tmp_path)
    written(spill, 0, 1, 2)
    [path] = segments(tmp_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    found = read_back(spill)
    assert seqs(found) == [0, -2, 2]
    lost = found[1]
    assert isinstance(lost, RejectedMsg)
    assert isinstance(lost.error, SpillError)
    assert "checksum" in str(lost.error)
    assert lost.store_id == STORE


def test_all_behind_the_end_of_a_file_is_lost(tmp_path: Path) -> None:
    spill = files(tmp_path)
    written(spill, 0, 1, 2)
    [path] = segments(tmp_path)
    path.write_bytes(path.read_bytes()[: spill.num_bytes // 2])
    assert seqs(read_back(spill)) == [0, -2, -3]


def test_a_file_that_is_gone_is_lost_message_by_message(tmp_path: Path) -> None:
    spill = files(tmp_path, 1)
    written(spill, 0, 1)
    segments(tmp_path)[0].unlink()
    assert seqs(read_back(spill)) == [-1, 1]


def test_no_more_than_allowed_is_written(tmp_path: Path) -> None:
    spill = files(tmp_path)
    written(spill, 0)
    frame = spill.num_bytes
    spill = files(tmp_path / "other", bytes_max=2 * frame)
    written(spill, 0, 1)
    assert isinstance(spill.write(numbered(2), None, SIZE, 0.0), ValueError)
    assert seqs(read_back(spill)) == [0, 1]
    written(spill, 2, 3)
    assert seqs(read_back(spill)) == [2, 3], "what was read back leaves room"


def test_half_a_frame_on_a_full_disk_is_cut_off_again(tmp_path: Path) -> None:
    class Full(SpillFiles):
        is_full = False

        def _write_all(self, file: BinaryIO, frame: bytes) -> None:
            if self.is_full:
                file.write(frame[: len(frame) // 2])
                msg = "no space left on device"
                raise OSError(msg)
            super()._write_all(file, frame)

    spill = Full(Spill(tmp_path), InlineRuntime())
    spill.is_full = True
    assert isinstance(spill.write(numbered(9), None, SIZE, 0.0), OSError)
    assert segments(tmp_path) == []
    spill.is_full = False
    written(spill, 0)
    spill.is_full = True
    assert isinstance(spill.write(numbered(9), None, SIZE, 0.0), OSError)
    spill.is_full = False
    written(spill, 1)
    assert seqs(read_back(spill)) == [0, 1]


def test_a_store_that_is_gone_leaves_nothing_on_disk(tmp_path: Path) -> None:
    spill = files(tmp_path)
    written(spill, 0)
    del spill
    assert list(tmp_path.iterdir()) == []
