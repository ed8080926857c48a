from __future__ import annotations

from collections.abc import Iterator

import pytest

from forebay.runtime import NativeRuntime
from tests.stress.hammer import PATIENCE_S, ROUNDS


@pytest.fixture(params=range(ROUNDS), autouse=True)
def stress_round(request: pytest.FixtureRequest) -> int:
    """Each test as many times as the environment asks for."""
    found: int = request.param
    return found


@pytest.fixture
def native() -> Iterator[NativeRuntime]:
    runtime = NativeRuntime()
    yield runtime
    assert runtime.join(PATIENCE_S), "a thread is left behind"
