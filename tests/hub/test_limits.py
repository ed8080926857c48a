"""What is over a limit of a hub is refused, counted and told, and nothing else is held up."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from forebay.codec import encode_chunk
from forebay.errors import LimitError, LoadError
from forebay.hub import StoreHub, load, write_messages
from forebay.limits import ID_CHARS_KEPT_MAX, STORE_LIMITS
from forebay.model import (
    ArrowMsg,
    BlueprintActivationCommand,
    LogMsg,
    SetStoreInfo,
    StoreId,
    StoreInfo,
    StoreSource,
)
from tests.chunks import make_chunk

TWO = replace(STORE_LIMITS, hub_stores_max=2, id_bytes_max=8, info_bytes_max=20)
FIRST, SECOND, THIRD = (StoreId.recording("app", name) for name in ("1", "2", "3"))
LONG = StoreId.recording("app", "r" * 100_000)


def message(store_id: StoreId, entity: str = "/a") -> ArrowMsg:
    return encode_chunk(store_id, make_chunk(entity, {"t": [1]}, {"S:x": [[1.0]]}))


def info(store_id: StoreId, extra: bytes = b"") -> SetStoreInfo:
    return SetStoreInfo(StoreInfo(store_id, StoreSource(extra=extra)))


def test_one_store_too_many_is_refused_and_the_others_go_on() -> None:
    hub = StoreHub(limits=TWO)
    for store_id in (FIRST, SECOND, THIRD, FIRST, THIRD):
        hub.receive_log_msg(message(store_id), "src")
    hub.receive_log_msg(info(THIRD))
    hub.receive_log_msgs([message(one) for one in (SECOND, THIRD, THIRD)], "src")
    hub.flush()
    assert [db.num_rows for db in hub.recordings()] == [2, 2]
    assert hub.refused_by_limit() == {"hub_stores_max": 5}
    refusals = hub.refusals()
    assert [one.store_id for one in refusals] == [THIRD] * 5
    assert isinstance(refusals[0].error, LimitError)
    assert refusals[0].source == "src"
    assert "hub_stores_max is 2" in str(refusals[0].error)
    with pytest.raises(LimitError, match="hub_stores_max"):
        hub.entity_db(THIRD)
    hub.remove(FIRST)
    hub.receive_log_msg(message(THIRD))
    assert THIRD in hub, "there is room again"


@pytest.mark.parametrize("msg", [message(LONG), info(LONG), BlueprintActivationCommand(LONG)])
def test_a_long_id_is_refused_and_not_kept(msg: LogMsg) -> None:
    hub = StoreHub(limits=TWO)
    hub.receive_log_msg(msg)
    assert not len(hub)
    assert hub.refused_by_limit() == {"id_bytes_max": 1}
    (refused,) = hub.refusals()
    assert len(refused.store_id.recording_id) == ID_CHARS_KEPT_MAX
    assert len(str(refused.error)) < 300


def test_ids_are_measured_in_bytes() -> None:
    hub = StoreHub(limits=TWO)
    hub.receive_log_msg(info(StoreId.recording("ü" * 4, "r" * 8)))
    hub.receive_log_msg(info(StoreId.recording("ü" * 5, "r")))
    assert (len(hub), hub.refused_by_limit()) == (1, {"id_bytes_max": 1})


def test_an_info_that_says_too_much_is_refused() -> None:
    hub = StoreHub(limits=TWO)
    hub.receive_log_msg(info(FIRST, b"x" * 20))
    hub.receive_log_msg(info(FIRST, b"x" * 21))
    said = hub[FIRST].info
    assert said is not None
    assert said.source is not None
    assert len(said.source.extra) == 20
    assert hub.refused_by_limit() == {"info_bytes_max": 1}


def test_a_clone_of_a_blueprint_is_a_store_like_others() -> None:
    hub = StoreHub(limits=replace(STORE_LIMITS, hub_stores_max=2))
    blueprint, other = StoreId.blueprint("app", "b"), StoreId.blueprint("two", "b")
    hub.receive_log_msg(info(blueprint))
    for _ in range(3):
        hub.receive_log_msg(BlueprintActivationCommand(blueprint, make_active=True))
    assert len(hub) == 2
    assert not hub.refused_by_limit(), "each clone takes the place of the one before"
    hub = StoreHub(limits=replace(STORE_LIMITS, hub_stores_max=1))
    hub.receive_log_msg(info(other))
    hub.receive_log_msg(BlueprintActivationCommand(other, make_active=True, make_default=True))
    assert hub.refused_by_limit() == {"hub_stores_max": 1}
    assert hub.active_blueprint("two") is None
    assert hub.default_blueprint("two") is hub[other]


def test_the_log_says_it_once_for_each_limit(caplog: pytest.LogCaptureFixture) -> None:
    hub = StoreHub(limits=TWO)
    with caplog.at_level(logging.WARNING):
        for number in range(50):
            hub.receive_log_msg(info(StoreId.recording("app", str(number))))
        hub.receive_log_msg(info(LONG))
    assert len(caplog.records) == 2
    assert all(len(record.getMessage()) < 500 for record in caplog.records)


def test_limits_of_a_store_reject_in_that_store() -> None:
    limits = replace(STORE_LIMITS, store_entities_max=1, path_parts_max=3)
    hub = StoreHub(limits=limits)
    for entity in ("/a", "/b", "/a/b/c/d", "/a"):
        hub.receive_log_msg(message(FIRST, entity))
    hub.flush()
    db = hub[FIRST]
    stats = db.ingestion_stats()
    assert (stats.committed, stats.rejected, stats.in_flight) == (2, 2, 0)
    assert stats.rejected_by_reason == {"LimitError": 2}
    assert {one.error.limit for one in db.rejections()} == {  # type: ignore[attr-defined]
        "store_entities_max",
        "path_parts_max",
    }


def test_a_load_says_what_was_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.rrd"
    write_messages(path, [message(one) for one in (FIRST, SECOND, THIRD, THIRD)])
    hub = StoreHub(limits=TWO)
    with pytest.raises(LoadError, match=r"2 messages were refused.*hub_stores_max") as raised:
        load(path, hub=hub)
    assert raised.value.hub is hub
    assert len(hub) == 2
