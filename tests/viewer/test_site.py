"""The site that is written, without running it (`tests/wasm` does)."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from forebay.cli.web import web
from forebay.errors import SiteError
from forebay.viewer.site import PACKAGES, PYODIDE_URL, build_site
from forebay.viewer.wheels import without_unused


def config(folder: Path) -> dict[str, object]:
    page = (folder / "index.html").read_text()
    found = re.search(r'id="config">(.*?)</script>', page)
    assert found
    return dict(json.loads(found[1]))


def policy(folder: Path) -> str:
    page = (folder / "index.html").read_text()
    found = re.search(r'Content-Security-Policy" content="(.*?)"', page)
    assert found
    return found[1].replace("&#x27;", "'")


def test_without_a_pyodide_the_page_names_the_current_release(tmp_path: Path) -> None:
    site = build_site(tmp_path / "site")
    assert config(site.folder)["pyodide"] == PYODIDE_URL
    assert "connect-src 'self' https://cdn.jsdelivr.net;" in policy(site.folder)
    assert site.size_bytes < 2_000_000


def test_a_page_may_connect_to_nothing_else(tmp_path: Path) -> None:
    site = build_site(tmp_path / "site", "https://example.org/pyodide")
    assert config(site.folder)["pyodide"] == "https://example.org/pyodide/"
    rules = dict(rule.split(" ", 1) for rule in policy(site.folder).split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "'self' https://example.org"
    assert "unsafe-eval" not in rules["script-src"].replace("wasm-unsafe-eval", "")
    assert "unsafe-inline" not in policy(site.folder)


def test_the_engine_has_all_that_a_page_imports_and_no_command_line(tmp_path: Path) -> None:
    site = build_site(tmp_path / "site")
    with zipfile.ZipFile(site.folder / "engine.zip") as archive:
        names = set(archive.namelist())
    assert {
        "forebay/__init__.py",
        "forebay/viewer/session.py",
        "google/protobuf/message.py",
    } < names
    assert not any(name.startswith(("forebay/cli/", "forebay/bench/")) for name in names)


def test_the_same_sources_make_the_same_site(tmp_path: Path) -> None:
    first, second = (build_site(tmp_path / name).folder for name in "ab")
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes(), path.name


def test_a_folder_that_is_no_pyodide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SiteError, match="full Pyodide release"):
        build_site(tmp_path / "site", tmp_path)
    (tmp_path / "pyodide-lock.json").write_text(
        json.dumps({"packages": {name: {"file_name": f"{name}.whl"} for name in PACKAGES}})
    )
    with pytest.raises(SiteError, match=r"lacks numpy\.whl"):
        build_site(tmp_path / "site", tmp_path)


def test_a_wheel_loses_what_a_page_never_loads() -> None:
    kept = {"pyarrow/lib.so", "pyarrow/types.py", "pyarrow/new_thing.cpython-312.so"}
    unused = {"pyarrow/_flight.cpython-312.so", "pyarrow/include/arrow/api.h"}
    unused |= {"pyarrow/tests/test_array.py", "pyarrow/lib.pyx"}
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in sorted(kept | unused):
            archive.writestr(name, b"content")
    with zipfile.ZipFile(io.BytesIO(without_unused(wheel.getvalue()))) as archive:
        assert set(archive.namelist()) == kept


def test_the_command_says_what_it_wrote(tmp_path: Path) -> None:
    done = CliRunner().invoke(web, ["--out", str(tmp_path / "site")])
    assert done.exit_code == 0
    assert PYODIDE_URL in done.output
    assert (tmp_path / "site" / "index.html").is_file()
