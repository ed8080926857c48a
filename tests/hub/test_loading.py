from __future__ import annotations

from pathlib import Path

import pytest

from forebay.codec import StreamDecoder
from forebay.errors import CodecError, LoadError, NotAnRrdError, TruncatedError
from forebay.hub import LoadProgress, StoreHub, load, read_messages, write_messages
from forebay.limits import REJECTIONS_KEPT_MAX
from forebay.model import ArrowMsg, LogMsg, SetStoreInfo, StoreId, StoreInfo
from forebay.runtime import NativeRuntime
from tests.corpus import recording
from tests.hub.conftest import Gate, blueprint_id, broken, message, numbers, recording_id


def messages(name: str = "rec", count: int = 20) -> list[LogMsg]:
    store_id = recording_id(name)
    info = SetStoreInfo(StoreInfo(store_id))
    return [info, *(message(number, store_id) for number in range(count))]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "one.rrd"
    write_messages(path, messages())
    return path


def same(mine: LogMsg, theirs: LogMsg) -> bool:
    if isinstance(mine, ArrowMsg) and isinstance(theirs, ArrowMsg):
        return (mine.store_id, mine.chunk_id, bytes(mine.payload)) == (
            theirs.store_id,
            theirs.chunk_id,
            bytes(theirs.payload),
        )
    return mine == theirs


def test_reading_is_the_inverse_of_writing(path: Path) -> None:
    read = list(read_messages(path))
    assert all(map(same, read, messages_of(path)))
    assert len(read) == 21
    assert all(map(same, read_messages(path.read_bytes()), read))


def messages_of(path: Path) -> list[LogMsg]:
    copy = path.with_suffix(".copy.rrd")
    write_messages(copy, read_messages(path))
    return list(read_messages(copy))


def test_a_file_that_cannot_be_written_whole_is_not_there(tmp_path: Path) -> None:
    def failing() -> object:
        yield messages()[0]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_messages(tmp_path / "x.rrd", failing())
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(LoadError, match="cannot be written"):
        write_messages(tmp_path / "no" / "such" / "folder.rrd", [])


def test_several_files_at_once(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.rrd" for name in "abcdefgh"]
    for path in paths:
        write_messages(path, messages(path.stem))
    hub = load(*paths)
    assert {db.store_id.recording_id for db in hub.recordings()} == set("abcdefgh")
    for db in hub:
        assert numbers(db) == list(range(20))
        assert db.data_source == str(tmp_path / f"{db.store_id.recording_id}.rrd")


def test_a_stuck_file_does_not_delay_another(
    tmp_path: Path, gate: Gate, native: NativeRuntime
) -> None:
    for name in ("stuck", "free"):
        write_messages(tmp_path / f"{name}.rrd", messages(name, 50))
    hub = StoreHub(runtime=native, capacity=5, decoder_factory=gate)
    gate.held.add(recording_id("stuck"))
    seen: list[int] = []

    def let_go_when_the_free_one_is_done(progress: LoadProgress) -> None:
        if progress.is_done and progress.path.endswith("free.rrd"):
            seen.append(hub.recording("stuck").num_rows)
            gate.open.set()

    load(
        tmp_path / "stuck.rrd",
        tmp_path / "free.rrd",
        hub=hub,
        progress=let_go_when_the_free_one_is_done,
    )
    assert seen == [0]
    assert numbers(hub.recording("stuck")) == list(range(50))


def test_ids_can_be_overridden(tmp_path: Path) -> None:
    path = tmp_path / "x.rrd"
    write_messages(path, [*messages(count=250), SetStoreInfo(StoreInfo(blueprint_id()))])
    hub = load(path, application_id="mine", recording_id="run-7")
    assert {db.store_id for db in hub} == {
        StoreId.recording("mine", "run-7"),
        StoreId.blueprint("mine", "bp"),
    }
    db = hub.recording("run-7")
    assert numbers(db) == list(range(250))
    assert db.info == StoreInfo(db.store_id)


def test_progress_tells_of_every_file_and_its_end(path: Path) -> None:
    reports: list[LoadProgress] = []
    load(path, progress=reports.append)
    size = path.stat().st_size
    assert reports[-1] == LoadProgress(str(path), size, size, is_done=True)
    assert [r.bytes_read for r in reports] == sorted(r.bytes_read for r in reports)


def test_a_cut_file_keeps_what_was_before_the_cut(path: Path) -> None:
    data = path.read_bytes()
    offset = max(m.byte_offset for m in read_messages(data) if isinstance(m, ArrowMsg))
    path.write_bytes(data[: offset + 100])
    with pytest.raises(LoadError, match=r"one\.rrd") as caught:
        load(path)
    assert isinstance(caught.value.__cause__, TruncatedError)
    assert caught.value.byte_offset is not None
    hub = caught.value.hub
    assert isinstance(hub, StoreHub)
    assert numbers(hub.recording("rec")) == list(range(19))
    assert numbers(load(path, on_error="keep").recording("rec")) == list(range(19))


def test_a_rejected_message_is_told_with_store_and_offset(tmp_path: Path) -> None:
    path = tmp_path / "x.rrd"
    write_messages(path, [message(0), broken(), message(1)])
    with pytest.raises(LoadError, match="rejected") as caught:
        load(path)
    error = caught.value
    assert error.store_id == recording_id()
    assert error.chunk_id is not None
    bad = [m for m in read_messages(path) if isinstance(m, ArrowMsg)][1]
    assert error.byte_offset == bad.byte_offset
    assert isinstance(error.hub, StoreHub)
    assert numbers(error.hub.recording("rec")) == [0.0, 1.0]


def test_one_bad_file_among_good_ones(path: Path, tmp_path: Path) -> None:
    bad, missing = tmp_path / "bad.rrd", tmp_path / "missing.rrd"
    bad.write_bytes(b"no recording at all")
    with pytest.raises(LoadError) as caught:
        load(bad, path, missing)
    assert isinstance(caught.value.hub, StoreHub)
    assert numbers(caught.value.hub.recording("rec")) == list(range(20))
    told = str(caught.value) + "".join(caught.value.__notes__)
    assert "bad.rrd" in told
    assert "missing.rrd: cannot be opened" in told


def test_bytes_that_are_no_recording() -> None:
    with pytest.raises(NotAnRrdError):
        list(read_messages(b"hello, I am a text file"))


def test_every_cut_is_a_clear_error_and_keeps_the_whole_messages(path: Path) -> None:
    data = path.read_bytes()
    whole = list(read_messages(data))
    complete = 0
    for cut in range(0, len(data), 97):
        kept, error = read_until_damage(data[:cut])
        assert all(map(same, kept, whole))
        assert len(kept) >= complete, "a longer piece never gives less"
        complete = len(kept)
        assert error is None or error.byte_offset is not None


def read_until_damage(data: bytes) -> tuple[list[LogMsg], CodecError | None]:
    kept: list[LogMsg] = []
    try:
        kept.extend(read_messages(data))
    except CodecError as error:
        return kept, error
    return kept, None


def test_rejections_are_told_by_file_and_only_once(tmp_path: Path) -> None:
    good, first, second = (tmp_path / f"{name}.rrd" for name in ("good", "first", "second"))
    write_messages(good, [message(0)])
    write_messages(first, [broken(), broken()])
    write_messages(second, [broken()])
    with pytest.raises(LoadError) as caught:
        load(first, second)
    told = [str(caught.value), *caught.value.__notes__]
    assert len(told) == 2
    assert any("first.rrd" in line and "2 messages were rejected" in line for line in told)
    assert any("second.rrd" in line and "a message was rejected" in line for line in told)
    hub = caught.value.hub
    assert isinstance(hub, StoreHub)
    first.write_bytes(good.read_bytes())
    load(first, hub=hub)
    assert numbers(hub.recording("rec")) == [0.0]


def test_a_list_of_paths_is_no_path(path: Path) -> None:
    with pytest.raises(TypeError, match=r"load\(\*paths\)"):
        load([path])  # type: ignore[arg-type]


def test_blocks_of_a_file_are_read_into_memory_that_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages kept by whoever reads them stay as they are; the others' memory is used again."""
    monkeypatch.setattr("forebay.hub.sources.FILE_READ_BYTES_MIN", 1024)
    monkeypatch.setattr("forebay.hub.sources.FILE_READ_BYTES", 4096)
    path = recording("images")
    data = path.read_bytes()
    whole = StreamDecoder().feed(data)
    kept = list(read_messages(path))
    assert kept == whole
    for read, wanted in zip(read_messages(path), whole, strict=True):
        assert read == wanted
    cut = tmp_path / "cut.rrd"
    cut.write_bytes(data[: len(data) // 2])
    decoder = StreamDecoder()
    readable = decoder.feed(data[: len(data) // 2])
    with pytest.raises(TruncatedError) as reference:
        decoder.finish()
    found: list[LogMsg] = []
    with pytest.raises(TruncatedError) as caught:
        found.extend(read_messages(cut))
    assert found == readable
    assert str(caught.value) == str(reference.value)
    assert caught.value.byte_offset == reference.value.byte_offset


def test_very_many_rejections_are_counted_and_the_first_is_told(tmp_path: Path) -> None:
    path, count = tmp_path / "x.rrd", REJECTIONS_KEPT_MAX + 500
    write_messages(path, [message(0), *(broken() for _ in range(count))])
    with pytest.raises(LoadError, match=f"{count:,} messages were rejected, the first") as caught:
        load(path)
    bad = [m for m in read_messages(path) if isinstance(m, ArrowMsg)][1]
    assert caught.value.byte_offset == bad.byte_offset
    hub = caught.value.hub
    assert isinstance(hub, StoreHub)
    with pytest.raises(LoadError, match=f"{count:,} messages were rejected"):
        load(path, hub=hub)
