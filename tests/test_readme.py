"""The code examples of README and guide, run as they stand, and what the README names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import rerun as rr

ROOT = Path(__file__).parent.parent


def run_examples(page: Path, folder: Path) -> str:
    """Run all Python blocks of a page in one process, in a folder; what they print."""
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    script = folder / f"{page.stem.lower()}.py"
    script.write_text("\n".join(blocks))
    done = subprocess.run(
        [sys.executable, script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_examples_of_the_readme_run(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with rr.RecordingStream("readme", recording_id=name) as rec:
            rec.save(tmp_path / f"{name}.rrd")
            rec.log("x", rr.Scalars(1.0), static=True)
    printed = run_examples(ROOT / "README.md", tmp_path)
    assert "4.2" in printed, "the latest value at frame 42"
    assert "\n11\n" in printed, "rows of the range"
    assert "\n100\n" in printed, "rows of the dataframe"


def test_the_examples_of_the_guide_run(tmp_path: Path) -> None:
    printed = run_examples(ROOT / "docs" / "guide.md", tmp_path)
    assert "(0, 99)" in printed, "the time range of the recording"
    assert "rows while the server runs" in printed


def test_the_readme_names_every_command() -> None:
    from forebay.cli import cli

    named = set(re.findall(r"`forebay (\w+)", (ROOT / "README.md").read_text()))
    there = set(cli.list_commands(None))
    assert named <= there
    assert there - named <= {"bench", "web"}
