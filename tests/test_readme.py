"""What the README shows, run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import rerun as rr

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_the_examples_run(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with rr.RecordingStream("readme", recording_id=name) as rec:
            rec.save(tmp_path / f"{name}.rrd")
            rec.log("x", rr.Scalars(1.0), static=True)
    script = tmp_path / "readme.py"
    script.write_text("\n".join(BLOCKS))
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "4.2" in done.stdout, "the latest value at frame 42"
    assert "\n11\n" in done.stdout, "rows of the range"
    assert "\n100\n" in done.stdout, "rows of the dataframe"


def test_the_readme_names_every_command() -> None:
    from forebay.cli import cli

    named = set(re.findall(r"`forebay (\w+)", README.read_text()))
    there = set(cli.list_commands(None))
    assert named <= there
    assert there - named <= {"bench", "web"}
