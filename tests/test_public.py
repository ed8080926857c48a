"""The public names: what `import forebay` offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import forebay


@pytest.mark.parametrize("name", forebay.__all__)
def test_every_public_name_is_there_and_listed(name: str) -> None:
    assert getattr(forebay, name) is not None
    assert name in dir(forebay)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'stroe_hub'"):
        getattr(forebay, "stroe_hub")  # noqa: B009 - the name is wrong on purpose


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "statement",
    [
        "import forebay",
        "from forebay.cli import run; run(['--version'])",
        "from forebay.cli import run; run(['--help'])",
    ],
)
def test_what_needs_no_arrow_does_not_import_it(statement: str) -> None:
    assert not modules_after(statement) & {"pyarrow", "numpy", "grpc", "rich", "google.protobuf"}


def test_public_names_need_arrow_and_numpy_but_no_server() -> None:
    loaded = modules_after("import forebay; forebay.load")
    assert not loaded & {"grpc", "rich", "click", "matplotlib"}
