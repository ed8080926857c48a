from __future__ import annotations

from collections.abc import Iterator

import pytest

from forebay.runtime import InlineRuntime, NativeRuntime, Runtime
from tests.ingest.support import TIMEOUT_S


@pytest.fixture(params=["native", "inline"])
def runtime(request: pytest.FixtureRequest) -> Iterator[Runtime]:
    if request.param == "inline":
        yield InlineRuntime()
        return
    native = NativeRuntime()
    yield native
    assert native.join(TIMEOUT_S), "a thread is left behind"


@pytest.fixture
def native() -> Iterator[NativeRuntime]:
    runtime = NativeRuntime()
    yield runtime
    assert runtime.join(TIMEOUT_S), "a thread is left behind"
