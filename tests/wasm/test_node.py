"""The engine in Pyodide under Node gives the same answers as here, with the network off."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.corpus import RECORDINGS, recording
from tests.wasm.compare import assert_same_answers
from tests.wasm.questions import answers
from tests.wasm.recordings import damaged_copies

HERE = Path(__file__).parent
TIMEOUT_S = 300


def without_network(command: list[str]) -> list[str]:
    """The command in a network namespace that holds nothing, where the system allows it."""
    alone = ["unshare", "--net", "--map-root-user"]
    if shutil.which("unshare") and not subprocess.run([*alone, "true"], check=False).returncode:
        return [*alone, *command]
    return command


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("damaged")
    return {**{name: recording(name) for name in RECORDINGS}, **damaged_copies(folder)}


@pytest.fixture(scope="module")
def node(
    site: Path, paths: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], dict[str, dict[str, bytes]]]:
    """What the interpreter says of itself, and its answers by recording."""
    out = tmp_path_factory.mktemp("answers")
    command = ["node", str(HERE / "node_answers.mjs"), str(site), str(HERE / "questions.py")]
    done = subprocess.run(
        without_network([*command, str(out), *map(str, paths.values())]),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    found = {
        name: pickle.loads((out / f"{number}.pickle").read_bytes())
        for number, name in enumerate(paths)
    }
    return json.loads((out / "figures.json").read_text()), found


def test_the_engine_is_the_same_package_on_the_inline_runtime(node: Any) -> None:
    figures, _ = node
    assert figures["platform"] == "emscripten"
    assert figures["runtime"] == "inline"
    assert figures["threads"] == "refused"
    assert figures["foreign"] == []


def test_what_cannot_exist_there_says_so(node: Any) -> None:
    assert "forebay[server]" in node[0]["serve"]


@pytest.mark.parametrize("name", [*RECORDINGS, "cut", "broken"])
def test_every_answer_is_the_same(name: str, paths: dict[str, Path], node: Any) -> None:
    ours = answers(str(paths[name]))
    theirs = node[1][name]
    # The path of the file is in the error's text, and differs.
    for found, path in ((ours, str(paths[name])), (theirs, "/recording.rrd")):
        for key, value in found.items():
            if value[:1] in {b"{", b'"'}:
                found[key] = value.replace(path.encode(), b"FILE")
    assert_same_answers(theirs, ours)
    if name in {"cut", "broken"}:
        assert ours["error"] != b"null"
