"""Recordings by the real SDK, one of each kind that a store must cope with.

They are made in one process of their own, once for each version of this file and of the SDK, and
kept below the system's temporary directory, where the workers of pytest-xdist share them.

    from tests.corpus import RECORDINGS, recording, recordings

    def test_something(recording_path: Path) -> None: ...   # once for each recording
    path = recording("clears")                              # or one by its name

Row ids, chunk ids and `log_time` differ from one making to the next; all else is fixed.

An interpreter that the SDK has no wheel for uses what another one made: `FOREBAY_CORPUS` is what
`python -m tests.corpus` printed there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

RECORDINGS = (
    "blueprint",
    "clears",
    "concatenated",
    "empty",
    "images",
    "indexes",
    "many_components",
    "one_row_chunks",
    "partial_updates",
    "several_stores",
    "send_columns",
    "static",
    "unsorted",
    "weird_names",
)
"""By name; `blueprint` is an `.rbl`, `empty` has no chunks of a user's."""

ONE_ROW = ("one_row_chunks",)
"""Made with a batcher that lets every row out on its own."""


def recording(name: str) -> Path:
    """The path of one recording; all are made when the first is asked for."""
    suffix = "rbl" if name == "blueprint" else "rrd"
    return directory() / f"{name}.{suffix}"


def recordings() -> dict[str, Path]:
    """Every recording by its name."""
    return {name: recording(name) for name in RECORDINGS}


def directory() -> Path:
    """Where the recordings are, made if need be."""
    if made := os.environ.get("FOREBAY_CORPUS"):
        return Path(made)
    made_by = Path(__file__).with_name("corpus_logging.py").read_bytes()
    key = hashlib.sha256(made_by + version("rerun-sdk").encode()).hexdigest()[:16]
    final = Path(tempfile.gettempdir()) / f"forebay-corpus-{os.getuid()}-{key}"
    if not final.is_dir():
        making = Path(tempfile.mkdtemp(prefix="forebay-corpus-"))
        try:
            _make(making)
            # Whoever renames first wins; all make the same.
            making.rename(final)
        except OSError:
            if not final.is_dir():
                raise
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return final


def _make(target: Path) -> None:
    for names, rows in ((ONE_ROW, "1"), (tuple(set(RECORDINGS) - set(ONE_ROW)), "1000000")):
        environment = {
            **os.environ,
            "RERUN_FLUSH_NUM_ROWS": rows,
            "RERUN_FLUSH_TICK_SECS": "3600",
            "RERUN_ANALYTICS": "0",
        }
        command = [sys.executable, "-m", "tests.corpus_logging", str(target), *sorted(names)]
        root = Path(__file__).resolve().parent.parent
        made = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, check=False
        )
        if made.returncode != 0:
            msg = f"the corpus could not be made:\n{made.stdout}\n{made.stderr}"
            raise RuntimeError(msg)


if __name__ == "__main__":
    sys.stdout.write(f"{directory()}\n")
