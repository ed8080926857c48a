from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import forebay
from forebay.errors import ServerError
from forebay.limits import RECORD_FILES_OPEN_MAX
from forebay.model import BlueprintActivationCommand, SetStoreInfo, StoreId, StoreInfo, StoreKind
from forebay.model.timelines import TIME_MAX, TIME_MIN
from forebay.runtime import default_runtime
from forebay.server import serve
from forebay.server.record import RecordDirectory, file_stem
from tests.server.client import Client, numbered

A = StoreId.recording("app", "a")
BLUEPRINT = StoreId.blueprint("app", "bp")


def test_every_message_is_kept(tmp_path: Path) -> None:
    sent = [SetStoreInfo(StoreInfo(A)), *(numbered(A, i) for i in range(20))]
    blueprint = [
        SetStoreInfo(StoreInfo(BLUEPRINT)),
        numbered(BLUEPRINT, 1),
        BlueprintActivationCommand(BLUEPRINT, make_active=True),
    ]
    with (
        serve("127.0.0.1:0", data_dir=tmp_path / "new" / "dir") as server,
        Client(server) as client,
    ):
        client.write(*sent, *blueprint)
        # Nothing waits for the end: the files can be read while they grow.
        paths = server.record_paths()
        live = forebay.load(*paths.values(), on_error="keep")
        assert live[A].num_rows == 20
    assert {path.suffix for path in paths.values()} == {".rrd", ".rbl"}
    kept = list(forebay.read_messages(paths[A]))
    assert kept[0] == sent[0]
    assert [m.chunk_id for m in kept[1:]] == [m.chunk_id for m in sent[1:]]
    assert list(forebay.read_messages(paths[BLUEPRINT]))[2] == blueprint[2]


def test_a_file_that_is_there_is_never_touched(tmp_path: Path) -> None:
    for number in range(3):
        with serve("127.0.0.1:0", data_dir=tmp_path) as server, Client(server) as client:
            client.write(numbered(A, number))
    files = sorted(tmp_path.iterdir())
    assert len(files) == 3
    hub = forebay.load(*files)
    assert hub[A].range("frame", TIME_MIN, TIME_MAX, "/a")["frame"].to_pylist() == [0, 1, 2]
    assert all(len(list(forebay.read_messages(f))) == 1 for f in files)


HOSTILE = [
    "../../etc/passwd",
    "/abs",
    "..",
    "",
    "a\0b",
    "CON",
    "x" * 5000,
    "\n",
    "日本",
    ".hidden",
    "\x1b]0;title\x07",
    "\u202egnp.exe",
    "\u200b",
    "-rf",
    "a/b",
]


@settings(deadline=None)
@given(st.text() | st.sampled_from(HOSTILE), st.text() | st.sampled_from(HOSTILE))
def test_no_name_leaves_the_directory(application_id: str, recording_id: str) -> None:
    stem = file_stem(StoreId.recording(application_id, recording_id))
    assert Path(stem).name == stem
    assert not stem.startswith(".")
    assert stem.isascii()
    assert stem.isprintable()
    assert not set(stem) & set('/\\:*?"<>| ')
    assert len(stem) < 200


@pytest.mark.parametrize("device", ["CON", "nul", "Com1", "LPT9"])
def test_no_name_means_a_device(device: str) -> None:
    stem = file_stem(StoreId.recording(device, device))
    assert stem.partition(".")[0].upper() != device.upper()


def test_long_names_can_be_told_apart_by_both_ends() -> None:
    long = "x" * 10_000
    stem = file_stem(StoreId.recording(f"begin{long}end", "a"))
    assert stem.startswith("beginxxx")
    assert "xxxend.a." in stem


def test_names_that_look_alike_have_files_of_their_own() -> None:
    ids = [
        StoreId(kind, application_id, recording_id)
        for kind in StoreKind
        for application_id in ("a", "a/", "a:", "a.b")
        for recording_id in ("b", "b/", "", "..")
    ]
    assert len({file_stem(store_id) for store_id in ids}) == len(ids)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_end_to_end(tmp_path: Path, name: str) -> None:
    store_id = StoreId.recording(name, name)
    record = RecordDirectory(tmp_path / "data", default_runtime())
    record.append(numbered(store_id, 1))
    record.close()
    (path,) = (tmp_path / "data").iterdir()
    assert [p.name for p in tmp_path.iterdir()] == ["data"]
    assert next(iter(forebay.read_messages(path))).store_id == store_id


def test_more_stores_than_open_files(tmp_path: Path) -> None:
    record = RecordDirectory(tmp_path, default_runtime())
    ids = [StoreId.recording("app", str(i)) for i in range(RECORD_FILES_OPEN_MAX + 10)]
    for number in range(3):
        for store_id in ids:
            record.append(numbered(store_id, number))
    record.close()
    for path in record.paths().values():
        assert len(list(forebay.read_messages(path))) == 3


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerError, match="give another directory"):
        serve("127.0.0.1:0", data_dir=tmp_path / "file" / "sub")


def test_a_disk_that_fails_does_not_stop_the_live_store(tmp_path: Path) -> None:
    with serve("127.0.0.1:0", data_dir=tmp_path / "data") as server, Client(server) as client:
        shutil.rmtree(tmp_path / "data")
        client.write(numbered(A, 0), numbered(A, 1))
        server.hub.flush()
        assert server.hub[A].num_rows == 2
        assert list(server.record_errors()) == [A]
