"""Bad files: what is readable is printed, one clear line on stderr, exit code 1, no traceback."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import forebay
from forebay.cli import run
from forebay.errors import LoadError


def not_an_rrd(whole: bytes) -> bytes:
    return b"PK\x03\x04" + whole


def old_rrd(whole: bytes) -> bytes:
    return b"RRF0" + whole[4:]


def rrf1(whole: bytes) -> bytes:
    return b"RRF1" + whole[4:]


def empty(whole: bytes) -> bytes:
    del whole
    return b""


def cut(whole: bytes) -> bytes:
    return whole[: _message(whole, 2) + 100]


def lying_length(whole: bytes) -> bytes:
    at = _message(whole, 2)
    return whole[: at + 8] + struct.pack("<Q", 1 << 62) + whole[at + 16 :]


def unknown_kind(whole: bytes) -> bytes:
    at = _message(whole, 2)
    return whole[:at] + struct.pack("<Q", 77) + whole[at + 8 :]


def flipped_in_a_chunk(whole: bytes) -> bytes:
    at = _message(whole, 2) + 150
    return whole[:at] + bytes(b ^ 0xFF for b in whole[at : at + 40]) + whole[at + 40 :]


def flipped_compression(whole: bytes) -> bytes:
    return whole[:8] + b"\x07" + whole[9:]


DAMAGES = [
    not_an_rrd,
    old_rrd,
    rrf1,
    empty,
    cut,
    lying_length,
    unknown_kind,
    flipped_in_a_chunk,
    flipped_compression,
]
READABLE_BEFORE = {cut, lying_length, unknown_kind, flipped_in_a_chunk}


def _message(whole: bytes, number: int) -> int:
    """Where the chunk of that number begins."""
    messages = [m for m in forebay.read_messages(whole) if isinstance(m, forebay.ArrowMsg)]
    offset = messages[number].byte_offset
    assert offset is not None
    return offset


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("command", ["stats", "load"])
def test_damage(
    damage,
    command: str,
    recordings: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "bad.rrd"
    path.write_bytes(damage(recordings["several_timelines"].read_bytes()))
    code = run([command, "--json", str(path)])
    captured = capsys.readouterr()
    assert code == 1
    assert captured.err.count("\n") == 1, captured.err
    assert captured.err.startswith(f"forebay: {path}: ")
    stores = json.loads(captured.out)["stores"]
    assert (sum(s["chunks"] for s in stores) >= 2) == (damage in READABLE_BEFORE)
    if damage is flipped_in_a_chunk:
        assert stores[0]["rejected"] == 1
        assert stores[0]["chunks"] > 5, "the rest of the file is read"


@pytest.mark.parametrize("damage", sorted(READABLE_BEFORE, key=lambda d: d.__name__))
def test_damage_from_python(damage, recordings: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "bad.rrd"
    path.write_bytes(damage(recordings["several_timelines"].read_bytes()))
    with pytest.raises(LoadError) as caught:
        forebay.load(path)
    assert caught.value.path == str(path)
    assert caught.value.byte_offset is not None
    assert caught.value.hub.recording("several_timelines").num_rows > 0


def test_a_good_file_beside_bad_ones(
    recordings: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing, bad = tmp_path / "missing.rrd", tmp_path / "bad.rrd"
    bad.write_bytes(b"not an rrd at all")
    for command in ("stats", "load"):
        code = run([command, "--json", str(missing), str(recordings["static"]), str(bad)])
        captured = capsys.readouterr()
        assert code == 1
        assert captured.err.count("\n") == 1
        assert str(missing) in captured.err
        assert str(bad) in captured.err
        (store,) = json.loads(captured.out)["stores"]
        assert store["recording_id"] == "static"


def forebay_command(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "forebay", *args], capture_output=True, text=True, check=False
    )


def test_a_real_process_says_it_in_one_line(tmp_path: Path) -> None:
    done = forebay_command("stats", str(tmp_path))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"forebay: {tmp_path}: cannot be opened")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("args", [["stats"], ["load"], ["nonsense"], ["stats", "--nonsense", "x"]])
def test_wrong_usage(args: list[str]) -> None:
    done = forebay_command(*args)
    assert done.returncode == 2
    assert "--help" in done.stderr
    assert done.stdout == ""


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    commands = capsys.readouterr().out
    for name in ("serve", "load", "stats", "demo"):
        assert f"\n  {name} " in commands
        assert run([name, "--help"]) == 0
        assert f"Usage: forebay {name}" in capsys.readouterr().out
    assert run(["--version"]) == 0


def test_output_that_nobody_reads_any_more(recordings: dict[str, Path]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "forebay", "stats", *[str(recordings["static"])] * 200],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
    assert b"Traceback" not in err


@pytest.mark.parametrize("damage", [cut, lying_length], ids=lambda damage: damage.__name__)
def test_a_query_gives_what_is_readable(
    damage: Callable[[bytes], bytes],
    recordings: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = recordings["one_row_chunks"].read_bytes()
    path, out = tmp_path / "damaged.rrd", tmp_path / "out.parquet"
    path.write_bytes(damage(whole))
    readable = forebay.load(path, on_error="keep").recording("one_row_chunks")
    assert run(["query", str(path), "--index", "frame"]) == 1
    screen = capsys.readouterr()
    assert "/a:Scalars:scalars" in screen.out
    assert screen.err.startswith("forebay: ")
    assert screen.err.count("\n") == 1
    assert run(["query", str(path), "--index", "frame", "-o", str(out)]) == 1
    assert pq.read_table(out).num_rows == readable.dataframe("frame").num_rows > 0


@pytest.mark.parametrize("damage", [empty, not_an_rrd], ids=lambda damage: damage.__name__)
def test_a_query_of_what_is_no_recording(
    damage: Callable[[bytes], bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.rrd").write_bytes(damage(b"RRF2"))
    out = tmp_path / "out.csv"
    assert run(["query", str(tmp_path / "bad.rrd"), "--index", "frame", "-o", str(out)]) == 1
    assert not out.exists()
    assert capsys.readouterr().err.count("\n") == 1
