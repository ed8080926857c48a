"""Names that a sender chose, on the screen: no command, in a real process, reaches the terminal."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import forebay
from forebay.chunk import Chunk
from forebay.codec import encode_chunk
from forebay.model import ArrowMsg, SetStoreInfo, StoreId, StoreInfo
from tests.chunks import make_chunk
from tests.integration.processes import forebay_serve
from tests.server.client import At, Client

EVIL = "\x1b]0;owned\x07\x1b[31m[red]\r\n\x9b2J\u202egnp\u2066\u200b\u2028\x7f"
"""A title, a colour, markup, a new line, a cleared screen, and text that runs backwards."""

LONG = "x" * 900  # within the limits of ids and paths
STORES = [
    StoreId.recording(f"app{EVIL}", f"rec{EVIL}"),
    StoreId.recording(f"app{LONG}", f"{LONG}1"),
    StoreId.recording(f"app{LONG}", f"{LONG}2"),
    StoreId.blueprint(f"app{EVIL}", f"blueprint{EVIL}"),
]
ALLOWED = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]\r?|\r?(?:\x1b\[1A)?\x1b\[2K")
"""Colours, and how a progress bar replaces itself, where a terminal was asked for."""


def chunk_of(number: int) -> Chunk:
    return make_chunk(
        f"/world{EVIL}/{LONG if number else 'a'}",
        {f"time{EVIL}": [1, 2], "frame": [1, 2]},
        {f"Comp{EVIL}:x": [[f"value{EVIL}"], [LONG]], f"{LONG}:y": [[1.0], [2.0]]},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    messages: list[forebay.LogMsg] = []
    for number, store_id in enumerate(STORES):
        messages += [SetStoreInfo(StoreInfo(store_id)), encode_chunk(store_id, chunk_of(number))]
    forebay.write_messages(folder / "several.rrd", messages)
    forebay.write_messages(folder / "one.rrd", messages[:2])
    damaged = [*messages, ArrowMsg(STORES[0], EVIL.encode() + b"no arrow")]
    forebay.write_messages(folder / "rejected.rrd", damaged)
    whole = (folder / "one.rrd").read_bytes()
    (folder / "cut.rrd").write_bytes(whole[: len(whole) * 2 // 3])
    (folder / f"{EVIL.replace('/', '')}[bold].rrd").write_bytes(whole)
    (folder / f"broken{EVIL}.rrd").write_bytes(whole[:-50])
    return folder


def environment(*, colours: bool) -> dict[str, str]:
    """Of a process whose terminal, if it has one, has 80 columns."""
    variables = {**os.environ, "COLUMNS": "80", "TERM": "xterm-256color"}
    variables.pop("NO_COLOR", None)
    return {**variables, "FORCE_COLOR": "1"} if colours else variables


def forebay_cli(folder: Path, *args: str) -> tuple[int, str, str]:
    """Exit code and output of a command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "forebay", *args],
        cwd=folder,
        env=environment(colours=False),
        capture_output=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


DRIVER = """
import json, sys
from forebay.cli import run
from forebay.cli.logs import log_to_stderr
log_to_stderr()
for args in json.loads(sys.argv[1]):
    code = run(args)
    for stream in (sys.stdout, sys.stderr):
        print(f"\\n==== {code}", file=stream, flush=True)
"""


def run_all(
    folder: Path, commands: list[list[str]], *, colours: bool
) -> Iterator[tuple[int, str, str]]:
    """The same for many commands, one after another in one process."""
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(commands)],
        cwd=folder,
        env=environment(colours=colours),
        capture_output=True,
        timeout=300,
        check=False,
    )
    parts = [re.split(r"\n==== (\d)\n", each.decode()) for each in (done.stdout, done.stderr)]
    assert len(parts[0]) == len(parts[1]) == 2 * len(commands) + 1, done.stderr.decode()
    for place in range(0, 2 * len(commands), 2):
        yield int(parts[0][place + 1]), parts[0][place], parts[1][place]


def assert_harmless(text: str, *, colours: bool = False) -> None:
    if colours:
        text = ALLOWED.sub("", text)
    assert not {char for char in text if char != "\n" and not char.isprintable()}, repr(text)


EVIL_FILES = [f"{EVIL.replace('/', '')}[bold].rrd", f"broken{EVIL}.rrd"]
ON_SCREEN: list[tuple[Any, ...]] = [
    (0, "load", "several.rrd"),
    (0, "stats", "several.rrd"),
    (1, "load", "rejected.rrd"),
    (1, "stats", "rejected.rrd"),
    (1, "load", "cut.rrd"),
    (1, "stats", "cut.rrd"),
    (1, "load", *EVIL_FILES),
    (1, "stats", *EVIL_FILES),
    (1, "load", f"there is none{EVIL}"),
    (1, "stats", f"there is none{EVIL}"),
    (0, "query", "one.rrd", "--index", "frame"),
    (0, "query", "one.rrd", "--index", f"time{EVIL}"),
    (0, "query", "one.rrd", "--index", "frame", "--explode"),
    (0, "query", "one.rrd", "--index", "frame", "-o", f"out{EVIL}.csv"),
    (1, "query", "one.rrd", "--index", f"none{EVIL}"),
    (1, "query", "one.rrd", "--index", "frame", "--from", EVIL),
    (1, "query", "one.rrd", "--index", "frame", "--contents", f"/none{EVIL}"),
    (1, "query", "one.rrd", "--index", "frame", "--component", f"none{EVIL}"),
    (1, "query", "one.rrd", "--index", "frame", "--recording", EVIL),
    (1, "query", "several.rrd", "--index", "frame"),
    (2, "query", "one.rrd", "--index", "frame", "-o", f"out{EVIL}"),
    (2, "load", f"--{EVIL}"),
    (2, f"command{EVIL}"),
    (2, "serve", "--memory-limit", EVIL),
    (2, "serve", "--policy", EVIL),
    (1, "serve", "--address", EVIL),
    (1, "serve", "--address", "127.0.0.1:0", "--data", f"one.rrd/{EVIL}"),
]


@pytest.mark.parametrize("colours", [False, True], ids=["pipe", "terminal"])
def test_no_command_prints_a_name_raw(
    folder: Path,
    colours: bool,
) -> None:
    commands = [list(args) for _, *args in ON_SCREEN]
    results = run_all(folder, commands, colours=colours)
    for (expected, *args), (code, out, err) in zip(ON_SCREEN, results, strict=True):
        assert code == expected, (args, err)
        assert "Traceback" not in err
        for text in (out, err):
            assert_harmless(text, colours=colours)
        if expected == 1 and not colours:
            assert err.count("\n") == 1, "one clear line"
            assert len(err) < 4000
        if colours:
            widest = max(map(len, ALLOWED.sub("", out).splitlines()), default=0)
            assert widest <= 80, (args, out)


def test_names_stay_apart_and_markup_stays_text(folder: Path) -> None:
    _, out, _ = forebay_cli(folder, "load", "several.rrd")
    assert "[red]" in out
    ends = re.findall(r"recording x+…x+(\d) of app", out)
    assert ends == ["1", "2"]


@pytest.mark.parametrize("command", ["load", "stats"])
def test_json_has_the_exact_names(command: str, folder: Path) -> None:
    _, out, _ = forebay_cli(folder, command, "--json", "several.rrd")
    assert_harmless(out)
    stores = json.loads(out)["stores"]
    got = {StoreId(s["kind"], s["application_id"], s["recording_id"]) for s in stores}
    assert got == set(STORES)
    assert all(f"time{EVIL}" in s["timelines"] for s in stores)


def test_files_have_the_exact_names_and_values(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    assert forebay_cli(folder, "query", "one.rrd", "--index", "frame", "-o", str(out))[0] == 0
    table = pq.read_table(out)
    assert f"time{EVIL}" in table.column_names
    (name,) = (name for name in table.column_names if "Comp" in name)
    assert table[name].to_pylist()[0] == [f"value{EVIL}"]


def test_a_server_prints_and_logs_nothing_raw(tmp_path: Path) -> None:
    """Its table's lines, warnings of what it was sent, and names of the files it keeps."""
    with forebay_serve("--data", str(tmp_path)) as server, Client(At(server.url)) as client:
        for number, store_id in enumerate(STORES):
            client.write(
                SetStoreInfo(StoreInfo(store_id)), encode_chunk(store_id, chunk_of(number))
            )
        client.write(ArrowMsg(STORES[0], EVIL.encode()))
        client.write(forebay.BlueprintActivationCommand(STORES[0], make_active=True))
        client.write_raw(EVIL.encode())
        assert server.stop() == 0
    assert_harmless(server.stderr)
    assert "undecodable message" in server.stderr
    assert max(map(len, server.stderr.splitlines())) < 1000
    for path in tmp_path.iterdir():
        assert_harmless(path.name)
        assert len(path.name) < 200


FAULT = f"""
import logging
from forebay.cli.logs import log_to_stderr
log_to_stderr()
logging.getLogger("some.library").warning("it says %s", {EVIL!r})
try:
    raise ValueError({EVIL!r})
except ValueError:
    logging.getLogger("forebay").exception("failed")
raise RuntimeError({EVIL!r})
"""


def test_logs_and_faults_of_ours_are_printable_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAULT], capture_output=True, check=False, text=True, timeout=60
    )
    assert_harmless(done.stderr)
    lines = done.stderr.splitlines()
    assert lines[0].startswith("it says \\x1b]0;owned")
    assert lines[1] == "failed"
    assert lines[2].startswith("  Traceback")
    assert "RuntimeError" in lines[-1] or "gnp" in lines[-1]
