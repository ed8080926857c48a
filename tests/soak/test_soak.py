"""A short soak: what `make soak MINUTES=30` does for longer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SECONDS = float(os.environ.get("FOREBAY_SOAK_SECONDS", "15"))
PATIENCE_S = 120


def test_a_short_soak() -> None:
    """In a process of its own, whose memory is its own too."""
    root = Path(__file__).resolve().parent.parent.parent
    command = [sys.executable, "-m", "tests.soak.soak", "--minutes", str(SECONDS / 60)]
    done = subprocess.run(
        command,
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS + PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "0 threads left; nothing wrong" in done.stdout
