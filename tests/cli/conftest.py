from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.recordings import KINDS


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file of every kind."""
    folder = tmp_path_factory.mktemp("recordings")
    paths = {}
    for name, make in KINDS.items():
        paths[name] = folder / f"{name}.rrd"
        make(paths[name])
    return paths
