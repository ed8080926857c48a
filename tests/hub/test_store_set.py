"""Stores by their ids: made, found, forgotten."""

from __future__ import annotations

import pytest

from forebay.errors import UnknownStoreError
from forebay.hub import StoreHub
from forebay.model import StoreId
from tests.hub.conftest import APP, activate, announce, blueprint_id, recording_id


def test_an_unknown_store_is_named_with_those_there_are(hub: StoreHub) -> None:
    hub.receive_log_msg(announce(recording_id("there")))
    with pytest.raises(KeyError, match=r"no recording 'x'; there are: 'there'"):
        hub.recording("x")
    with pytest.raises(UnknownStoreError, match="'there'"):
        hub[recording_id("x")]


def test_one_recording_id_in_two_applications_needs_the_application(hub: StoreHub) -> None:
    for app in ("one", "two"):
        hub.receive_log_msg(announce(StoreId.recording(app, "same")))
    with pytest.raises(UnknownStoreError, match="'one', 'two'"):
        hub.recording("same")
    assert hub.recording("same", "two").store_id.application_id == "two"


def test_the_last_recording_takes_its_application_with_it(hub: StoreHub) -> None:
    other = StoreId.recording("other", "x")
    for store_id in (recording_id("a"), recording_id("b"), blueprint_id(), other):
        hub.receive_log_msg(announce(store_id))
    hub.receive_log_msg(activate(blueprint_id(), make_default=True))
    hub.remove(recording_id("a"))
    assert blueprint_id() in hub
    hub.remove(recording_id("b"))
    assert [db.store_id for db in hub] == [other]
    assert hub.default_blueprint(APP) is None


def test_the_active_recording_is_the_first_until_another_is_chosen(hub: StoreHub) -> None:
    assert hub.active_recording is None
    for name in "ab":
        hub.receive_log_msg(announce(recording_id(name)))
    assert hub.active_recording is hub.recording("a")
    hub.active_recording = recording_id("b")
    assert hub.active_recording is hub.recording("b")
    hub.remove(recording_id("b"))
    assert hub.active_recording is hub.recording("a")
