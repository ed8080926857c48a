"""Writes the static site: the page, the engine as Python source, and Pyodide to run it.

Everything comes from this installation and from a given Pyodide folder, so building a site needs no
network, and with such a folder using it needs none either.
"""

from __future__ import annotations

import html
import io
import json
import logging
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from forebay.errors import SiteError
from forebay.viewer.wheels import without_unused

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("forebay")

PYODIDE_URL: Final = "https://cdn.jsdelivr.net/pyodide/v314.0.7/full/"
"""The current release of Pyodide, which a site uses by default."""

PACKAGES: Final = ("numpy", "pyodide-unix-timezones", "pyarrow")
"""Packages of Pyodide that the engine needs, in the order of loading."""

SNAPSHOT: Final = "interpreter.snapshot"
"""The memory of a started interpreter, compressed. The suffix is deliberately unknown to web
servers, so that they do not declare an encoding."""

_PYODIDE_FILES: Final = (
    "pyodide.mjs",
    "pyodide.asm.js",
    "pyodide.asm.mjs",
    "pyodide.asm.wasm",
    "python_stdlib.zip",
    "pyodide-lock.json",
)
_NEVER_IN_A_BROWSER: Final = ("bench", "cli")
"""Subpackages that a page never uses; `server` is included to report that it is missing there."""

_PINNED: Final = (1980, 1, 1, 0, 0, 0)
"""Fixed date of every file in the archive, so that the same sources give the same bytes."""


@dataclass(frozen=True, slots=True)
class Site:
    """The files that were written.

    Attributes:
        folder: The folder of the site.
        sizes_bytes: Size of every file, by its path below the folder.
        pyodide: Where the page loads Pyodide from: a URL or a path below the folder.
        is_compiled: Whether the Python sources in it are compiled, which needs Node.js.
    """

    folder: Path
    sizes_bytes: dict[str, int]
    pyodide: str
    is_compiled: bool

    @property
    def size_bytes(self) -> int:
        """Size of all files together, in bytes."""
        return sum(self.sizes_bytes.values())


def build_site(out: Path, pyodide: str | Path | None = None) -> Site:
    """Write the site into a folder; files of an earlier site are replaced.

    Args:
        out: The folder; created if needed.
        pyodide: A folder with Pyodide's full release, of which the needed files are copied into the
            site, or the URL of one. By default the page refers to the current release by URL.

    Returns:
        What was written.

    Raises:
        SiteError: The given folder is not a Pyodide release with Arrow, or `out` cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        config: dict[str, Any] = {"python": "engine.zip", "packages": PACKAGES}
        if pyodide is None or _is_url(pyodide):
            base = str(pyodide or PYODIDE_URL)
            config["pyodide"] = base if base.endswith("/") else f"{base}/"
        else:
            config["pyodide"] = "pyodide/"
            config["wheels"] = _copy_pyodide(Path(pyodide), out / "pyodide")
            if _snapshot(out / "pyodide"):
                config["snapshot"] = f"pyodide/{SNAPSHOT}"
        (out / "engine.zip").write_bytes(_engine())
        is_compiled = "wheels" in config and _compile(out, ["engine.zip", *config["wheels"]])
        _copy_assets(out, config)
    except OSError as error:
        msg = f"{out}: the site cannot be written: {error.strerror or error}"
        raise SiteError(msg) from error
    files = [path for path in sorted(out.rglob("*")) if path.is_file()]
    sizes = {str(path.relative_to(out)): path.stat().st_size for path in files}
    return Site(out, sizes, config["pyodide"], is_compiled)


def _is_url(pyodide: str | Path) -> bool:
    return isinstance(pyodide, str) and urlsplit(pyodide).scheme in {"http", "https"}


def _copy_pyodide(source: Path, target: Path) -> list[str]:
    """Copy the files of Pyodide that a page loads; returns the addresses of its wheels."""
    try:
        packages = json.loads((source / "pyodide-lock.json").read_text())["packages"]
        names = [packages[name]["file_name"] for name in PACKAGES]
    except (OSError, ValueError, KeyError) as error:
        msg = (
            f"{source} is not a full Pyodide release with pyarrow ({error}): give the folder that "
            f"holds pyodide.mjs, pyodide-lock.json and the wheels, or a URL"
        )
        raise SiteError(msg) from error
    missing = [name for name in names if not (source / name).is_file()]
    if missing:
        msg = f"{source} lacks {', '.join(missing)}: it is not Pyodide's full release"
        raise SiteError(msg)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for name in _PYODIDE_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    for name in names:
        (target / name).write_bytes(without_unused((source / name).read_bytes()))
    return [f"pyodide/{name}" for name in names]


def _snapshot(pyodide: Path) -> bool:
    """Save the memory of a started interpreter for pages to resume, if Pyodide and Node.js can."""
    node = shutil.which("node")
    if node is None:
        return False
    script = str(resources.files("forebay.viewer").joinpath("snapshot.mjs"))
    command = [node, script, f"{pyodide.resolve()}/", str((pyodide / SNAPSHOT).resolve())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        logger.warning("the site starts without a snapshot: %s", done.stderr[-500:].strip())
    return done.returncode == 0


def _compile(out: Path, archives: list[str]) -> bool:
    """Compile the Python sources in the archives with the Pyodide that will run them.

    A page that has to compile sources takes a sixth longer to start. Only the same interpreter can
    compile for itself, and only Node.js can run it here; without Node.js the sources stay.
    """
    node = shutil.which("node")
    if node is None:
        return False
    script = str(resources.files("forebay.viewer").joinpath("compile.mjs"))
    folder = f"{(out / 'pyodide').resolve()}/"
    command = [node, script, folder, *(str(out / name) for name in archives)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        msg = f"Node could not run the Pyodide given: {(done.stderr or done.stdout)[-500:].strip()}"
        raise SiteError(msg)
    return True


def _copy_assets(out: Path, config: dict[str, Any]) -> None:
    for asset in resources.files("forebay.viewer").joinpath("assets").iterdir():
        content = asset.read_bytes()
        if asset.name == "index.html":
            page = content.decode()
            page = page.replace("{{policy}}", html.escape(_policy(config["pyodide"])))
            # Inside a script element, only `</` could end the element early.
            page = page.replace("{{config}}", json.dumps(config).replace("</", "<\\/"))
            content = page.encode()
        (out / asset.name).write_bytes(content)


def _policy(pyodide: str) -> str:
    """Return the content security policy: only the page's own and Pyodide's origins are allowed."""
    parts = urlsplit(pyodide)
    origins = "'self'" if not parts.scheme else f"'self' {parts.scheme}://{parts.netloc}"
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {origins} 'wasm-unsafe-eval' blob:",
            "worker-src blob:",
            f"connect-src {origins}",
            "style-src 'self'",
            "img-src 'self'",
            "frame-src 'self'",
            "form-action 'none'",
            "base-uri 'none'",
        ]
    )


def _engine() -> bytes:
    """Return Forebay and protobuf's pure Python package as one archive of sources."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as into:
        for name, content in sorted([*_sources("forebay"), *_sources("google.protobuf")]):
            into.writestr(zipfile.ZipInfo(name, _PINNED), content, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def _sources(package: str) -> Iterator[tuple[str, bytes]]:
    root = Path(str(resources.files(package)))
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).parts
        if package == "forebay" and parts[0] in _NEVER_IN_A_BROWSER:
            continue
        yield "/".join([*package.split("."), *parts]), path.read_bytes()
