"""What every test can ask for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tests.corpus import RECORDINGS, recording

# How long an example takes says more of the machine than of the code: nothing here is timed.
settings.register_profile("forebay", deadline=None)
settings.load_profile("forebay")


@pytest.fixture(params=RECORDINGS)
def recording_path(request: pytest.FixtureRequest) -> Path:
    """Each recording of the corpus in turn."""
    return recording(request.param)
