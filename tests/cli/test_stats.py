"""`forebay stats` and `forebay load` say what Rerun's own tool says."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import forebay
from forebay.cli import run
from tests.cli.recordings import APPLICATION, KINDS, RerunStats, rerun_stats


def documented(capsys: pytest.CaptureFixture[str], *args: str | Path) -> tuple[int, Any, str]:
    """Exit code, the JSON document on stdout, and what stands on stderr."""
    code = run([str(arg) for arg in args])
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    return code, json.loads(captured.out), captured.err


def as_rerun_counts(document: Any) -> RerunStats:
    by_entity: Counter[str] = Counter()
    for store in document["stores"]:
        assert store["chunks"] == sum(e["chunks"] for e in store["entities"])
        assert store["rows"] == sum(e["rows"] for e in store["entities"])
        for entity in store["entities"]:
            by_entity[entity["path"]] += entity["chunks"]
    return RerunStats(
        sum(store["chunks"] for store in document["stores"]),
        sum(store["rows"] for store in document["stores"]),
        dict(by_entity),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_stats_agrees_with_rerun(
    kind: str, recordings: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    code, document, err = documented(capsys, "stats", "--json", recordings[kind])
    assert (code, err) == (0, "")
    theirs = rerun_stats(recordings[kind])
    assert theirs is not None
    assert as_rerun_counts(document) == theirs


@pytest.mark.parametrize("kind", KINDS)
def test_load_has_the_rows_that_stats_announces(
    kind: str, recordings: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, announced, _ = documented(capsys, "stats", "--json", recordings[kind])
    code, loaded, err = documented(capsys, "load", "--json", recordings[kind])
    assert (code, err) == (0, "")
    assert [_identity(s) for s in loaded["stores"]] == [_identity(s) for s in announced["stores"]]
    for ours, file in zip(loaded["stores"], announced["stores"], strict=True):
        assert ours["timelines"] == file["timelines"]
        # Static data that newer static data shadows is gone from the store.
        if kind not in ("static", "blueprint"):
            assert _rows(ours) == _rows(file)
        else:
            assert _rows(ours).keys() == _rows(file).keys()


def _identity(store: Any) -> tuple[str, str, str]:
    return store["kind"], store["application_id"], store["recording_id"]


def _rows(store: Any) -> dict[str, int]:
    return {entity["path"]: entity["rows"] for entity in store["entities"]}


def test_the_document_is_the_contract(
    recordings: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("stats", "load"):
        _, document, _ = documented(capsys, command, "--json", recordings["several_timelines"])
        assert document.keys() == {"stores", "seconds"}
        (store,) = document["stores"]
        assert (store["kind"], store["application_id"]) == ("recording", APPLICATION)
        assert store["recording_id"] == "several_timelines"
        assert store["timelines"] == {
            "elapsed": "duration",
            "frame": "sequence",
            "log_time": "timestamp",
            "other": "sequence",
            "stamp": "timestamp",
        }
        (entity,) = (e for e in store["entities"] if e["path"] == "/plot/a")
        assert entity.keys() == {"path", "chunks", "rows"}
        assert entity["rows"] == 500
        assert store["rejected"] == 0
        assert store["bytes"] > 0
        assert document["seconds"] > 0


def test_several_files_at_once(
    recordings: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [recordings["static"], recordings["clears"]]
    for command in ("stats", "load"):
        code, document, _ = documented(capsys, command, "--json", *paths)
        assert code == 0
        assert {s["recording_id"] for s in document["stores"]} == {"static", "clears"}


def test_a_file_cut_at_any_byte(
    recordings: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = recordings["several_timelines"].read_bytes()
    offsets = [
        m.byte_offset
        for m in forebay.read_messages(whole)
        if isinstance(m, forebay.ArrowMsg) and m.byte_offset is not None
    ]
    choose = random.Random(5)
    cuts = {0, 1, 3, 4, 11, 12, 13, len(whole) - 1, *choose.sample(range(len(whole)), 25)}
    cuts |= {offset + delta for offset in offsets[:4] for delta in (-1, 0, 1, 15, 16, 17)}
    compared = 0
    for cut in sorted(cuts):
        path = tmp_path / f"cut-{cut}.rrd"
        path.write_bytes(whole[:cut])
        code, document, err = documented(capsys, "stats", "--json", path)
        loaded_code, loaded, loaded_err = documented(capsys, "load", "--json", path)
        assert loaded_code == code, cut
        # Between two messages a file may end: its writer crashed, or is still at work.
        assert code == (0 if cut == 12 or cut in offsets else code), cut
        is_told = code == 1 or cut == 12  # of a header alone
        assert is_told == (err.count("\n") == 1) == (loaded_err.count("\n") == 1), err
        assert sum(s["rows"] for s in loaded["stores"]) == sum(
            s["rows"] for s in document["stores"]
        )
        theirs = rerun_stats(path)
        if theirs is not None:
            compared += 1
            assert as_rerun_counts(document) == theirs, cut
    assert compared > len(cuts) // 2


def test_stats_of_a_pipe(recordings: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    _, expected, _ = documented(capsys, "stats", "--json", recordings["static"])
    read, write = os.pipe()
    os.write(write, recordings["static"].read_bytes())
    os.close(write)
    code, document, _ = documented(capsys, "stats", "--json", f"/dev/fd/{read}")
    os.close(read)
    assert code == 0
    assert document["stores"] == expected["stores"]


def test_tables_for_people(recordings: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("stats", "load"):
        assert run([command, str(recordings["several_timelines"])]) == 0
        out = capsys.readouterr().out
        assert "recording several_timelines of forebay_cli_tests" in out
        assert "elapsed (duration)" in out
        assert "/plot/a" in out
        assert "1 store, " in out


@pytest.mark.parametrize("command", ["stats", "load"])
def test_a_file_of_only_a_header_is_said_to_hold_nothing(
    command: str, recordings: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = recordings["static"]
    empty = tmp_path / "empty.rrd"
    empty.write_bytes(whole.read_bytes()[:12])
    code, document, err = documented(capsys, command, "--json", empty)
    assert (code, document["stores"]) == (0, [])
    assert err == f"forebay: {empty} holds nothing: its header is all there is\n"
    code, document, err = documented(capsys, command, "--json", whole, empty)
    assert (code, len(document["stores"])) == (0, 1)
    assert err == f"forebay: {empty} holds nothing: its header is all there is\n"
