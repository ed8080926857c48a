"""What every test can ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.corpus import RECORDINGS, recording


@pytest.fixture(params=RECORDINGS)
def recording_path(request: pytest.FixtureRequest) -> Path:
    """Each recording of the corpus in turn."""
    return recording(request.param)
