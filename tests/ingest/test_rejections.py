"""The first rejections and the last are kept, each once."""

from __future__ import annotations

import pytest

from forebay.errors import InvalidChunkError
from forebay.ingest import RejectedMsg, rejections
from forebay.ingest.rejections import RejectionLog
from tests.ingest.support import STORE


def rejected(seq: int) -> RejectedMsg:
    return RejectedMsg(seq, STORE, None, InvalidChunkError("no"))


def test_what_comes_again_after_a_ctrl_c_is_noted_once() -> None:
    log = RejectionLog()
    some = [rejected(seq) for seq in range(3)]
    log.extend(some[:2])
    log.extend(some)
    assert [one.seq for one in log] == [0, 1, 2]


def test_those_in_the_middle_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejections, "REJECTIONS_KEPT_MAX", 4)
    log = RejectionLog()
    for seq in range(10):
        log.extend([rejected(seq)])
    assert [one.seq for one in log] == [0, 1, 8, 9]
    assert len(log) == 4
