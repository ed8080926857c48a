"""The runtimes' conformance suite, and the hub's tests on these runtimes, inside Pyodide."""

from __future__ import annotations

import importlib
import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.wasm.test_node import TIMEOUT_S, without_network

HERE = Path(__file__).parent
TESTS = HERE.parent
PYTEST = ("_pytest", "iniconfig", "packaging", "pluggy", "py", "pygments", "pytest")
"""Pure Python all of them: what runs the tests here runs them there."""
CARRIED = (
    "__init__.py",
    "chunks.py",
    "hub/__init__.py",
    "hub/conftest.py",
    "hub/test_entity_db.py",
    "hub/test_pipeline.py",
    "hub/test_store_hub.py",
    "hub/test_store_set.py",
    "hub/test_subscribers.py",
    "runtime/__init__.py",
    "runtime/conformance.py",
    "runtime/test_inline.py",
    "runtime/test_web_worker.py",
)
WHAT = ("tests/runtime", "tests/hub", "-k", "inline or web_worker or web-worker")
PASSED_MIN = 100
"""A suite that skips itself shows nothing."""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("suite") / "suite.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in PYTEST:
            origin = importlib.import_module(name).__file__
            assert origin is not None
            module = Path(origin)
            is_package = module.name == "__init__.py"
            top = module.parent.parent if is_package else module.parent
            for file in module.parent.rglob("*.py") if is_package else [module]:
                archive.write(file, file.relative_to(top))
        for carried in CARRIED:
            archive.write(TESTS / carried, f"tests/{carried}")
    return path


def test_the_suite_passes_in_pyodide(site: Path, suite: Path) -> None:
    options = ["-q", "-ra", "--capture=sys", "-p", "no:cacheprovider", "-p", "no:faulthandler"]
    command = ["node", str(HERE / "node_pytest.mjs"), str(site), str(suite), *WHAT, *options]
    done = subprocess.run(
        without_network(command), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None, done.stdout
    assert int(passed.group(1)) >= PASSED_MIN, done.stdout[-2000:]
