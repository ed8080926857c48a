from __future__ import annotations

import logging

import pytest

from forebay.hub import EntityDb, StoreHub
from forebay.model import (
    SetStoreInfo,
    StoreId,
    StoreInfo,
)
from forebay.runtime import InlineRuntime, NativeRuntime
from tests.hub.conftest import (
    APP,
    PATIENCE_S,
    Gate,
    activate,
    announce,
    blueprint_id,
    broken,
    message,
    numbers,
    recording_id,
)


class TestStores:
    def test_any_message_makes_its_store(self, hub: StoreHub) -> None:
        hub.receive_log_msg(message(1, recording_id("a")), "first")
        hub.receive_log_msg(announce(recording_id("b")), "second")
        hub.receive_log_msg(announce(recording_id("a")), "third")
        hub.flush(PATIENCE_S)
        assert [db.store_id.recording_id for db in hub.recordings()] == ["a", "b"]
        assert hub.recording("a").data_source == "first", "the first source wins"
        assert hub.recording("a").info == StoreInfo(recording_id("a"))
        assert numbers(hub[recording_id("a")]) == [1.0]
        assert recording_id("a") in hub
        assert len(hub) == 2

    def test_what_is_no_message_is_refused(self, hub: StoreHub) -> None:
        with pytest.raises(TypeError, match="read_messages"):
            hub.receive_log_msg(b"RRF2")  # type: ignore[arg-type]

    def test_store_info_overwrites_and_yields_no_event(self, hub: StoreHub) -> None:
        events: list[object] = []
        hub.subscribe(events.append)
        hub.receive_log_msg(announce(recording_id()))
        hub.receive_log_msg(SetStoreInfo(StoreInfo(recording_id(), crate_version_bits=7)))
        info = hub.recording("rec").info
        assert info is not None
        assert info.crate_version_bits == 7
        assert events == []

    def test_a_dataframe_has_the_rows_of_all_that_share_an_id(self, hub: StoreHub) -> None:
        for number, app in enumerate(("one", "two")):
            hub.receive_log_msg(message(number, StoreId.recording(app, "same")))
        hub.flush(PATIENCE_S)
        assert hub.dataframe("frame")["frame"].to_pylist() == [0, 1]

    def test_removing_a_busy_store_ends_its_thread(self, gate: Gate, native: NativeRuntime) -> None:
        hub = StoreHub(runtime=native, decoder_factory=gate)
        gate.held.add(recording_id())
        hub.receive_log_msg(message(1))
        assert gate.arrived.wait(PATIENCE_S)
        hub.remove(recording_id())
        gate.open.set()
        assert native.join(PATIENCE_S)


class TestBlueprints:
    def test_activation_waits_for_all_earlier_chunks(
        self, gate: Gate, native: NativeRuntime
    ) -> None:
        hub = StoreHub(runtime=native, decoder_factory=gate)
        gate.held.add(blueprint_id())
        hub.receive_log_msg(announce(blueprint_id()))
        for number in range(100):
            hub.receive_log_msg(message(number, blueprint_id()))
        hub.receive_log_msg(activate(blueprint_id(), make_active=True, make_default=True))
        hub.receive_log_msg(message(100, blueprint_id()))
        assert hub.active_blueprint(APP) is None
        assert hub.default_blueprint(APP) is None
        gate.open.set()
        hub.flush(PATIENCE_S)
        active = hub.active_blueprint(APP)
        assert active is not None
        assert numbers(active) == list(range(100)), "all before the command, and nothing after"
        assert hub.default_blueprint(APP) is hub[blueprint_id()]

    def test_a_blueprint_is_activated_as_a_clone_and_the_one_before_is_dropped(
        self, hub: StoreHub
    ) -> None:
        hub.receive_log_msg(announce(blueprint_id()))
        hub.receive_log_msg(message(0, blueprint_id()))
        hub.receive_log_msg(activate(blueprint_id()))
        hub.flush(PATIENCE_S)
        first = hub.active_blueprint(APP)
        hub.receive_log_msg(message(1, blueprint_id()))
        hub.receive_log_msg(activate(blueprint_id()))
        hub.flush(PATIENCE_S)
        second = hub.active_blueprint(APP)
        assert first is not None
        assert second is not None
        assert len({first.store_id, second.store_id, blueprint_id()}) == 3
        assert first.store_id not in hub
        assert (numbers(first), numbers(second)) == ([0.0], [0.0, 1.0])
        assert {db.store_id for db in hub.blueprints()} == {second.store_id, blueprint_id()}

    def test_activating_the_active_clone_keeps_it(self, hub: StoreHub) -> None:
        hub.receive_log_msg(announce(blueprint_id()))
        first = hub.set_cloned_blueprint_active(blueprint_id())
        second = hub.set_cloned_blueprint_active(first.store_id)
        assert first.store_id in hub
        assert hub.active_blueprint(APP) is second

    def test_default_alone_activates_nothing(self, hub: StoreHub) -> None:
        hub.receive_log_msg(announce(blueprint_id()))
        hub.receive_log_msg(activate(blueprint_id(), make_default=True))
        assert hub.default_blueprint(APP) is hub[blueprint_id()]
        assert hub.active_blueprint(APP) is None

    def test_a_default_keeps_blueprints_of_other_applications(self, hub: StoreHub) -> None:
        other = StoreId.blueprint("other", "bp")
        for store_id in (blueprint_id(), other):
            hub.receive_log_msg(announce(store_id))
            hub.receive_log_msg(activate(store_id, make_default=True, make_active=True))
        for app in (APP, "other"):
            default, active = hub.default_blueprint(app), hub.active_blueprint(app)
            assert default is not None
            assert active is not None
            assert default.store_id.application_id == active.store_id.application_id == app

    @pytest.mark.parametrize(
        ("store_id", "announced", "says"),
        [
            (recording_id(), True, "ignored a blueprint activation for the recording"),
            (blueprint_id(), False, "nothing has announced it"),
        ],
    )
    def test_a_command_that_makes_no_sense_is_reported_and_ignored(
        self,
        hub: StoreHub,
        caplog: pytest.LogCaptureFixture,
        store_id: StoreId,
        announced: bool,
        says: str,
    ) -> None:
        if announced:
            hub.receive_log_msg(announce(store_id))
        with caplog.at_level(logging.WARNING, "forebay"):
            hub.receive_log_msg(activate(store_id))
        assert says in caplog.text
        assert hub.active_blueprint(APP) is None
        assert store_id in hub

    def test_a_blueprint_removed_before_its_activation_stays_away(
        self, gate: Gate, native: NativeRuntime
    ) -> None:
        hub = StoreHub(runtime=native, decoder_factory=gate)
        gate.held.add(blueprint_id())
        hub.receive_log_msg(announce(blueprint_id()))
        hub.receive_log_msg(message(0, blueprint_id()))
        hub.receive_log_msg(activate(blueprint_id()))
        blueprint = hub[blueprint_id()]
        hub.remove(blueprint_id())
        gate.open.set()
        blueprint.flush(PATIENCE_S)
        assert hub.active_blueprint(APP) is None


class TestManyStores:
    def test_interleaved_stores_keep_their_own_order(self, hub: StoreHub) -> None:
        order: dict[StoreId, list[float]] = {}
        for number in range(250):
            for name in "ab":
                hub.receive_log_msg(message(number, recording_id(name)))
        hub.flush(PATIENCE_S)
        for db in hub:
            order[db.store_id] = numbers(db)
        assert order == {recording_id(name): list(range(250)) for name in "ab"}

    def test_many_messages_at_once_keep_each_stores_order(self, hub: StoreHub) -> None:
        hub.receive_log_msg(announce(blueprint_id()))
        msgs = [
            message(number, store_id)
            for number in range(300)
            for store_id in (recording_id("a"), blueprint_id(), recording_id("b"))
        ]
        msgs.insert(450, activate(blueprint_id()))
        hub.receive_log_msgs(msgs)
        hub.flush(PATIENCE_S)
        for name in "ab":
            assert numbers(hub.recording(name)) == list(range(300))
        active = hub.active_blueprint(APP)
        assert active is not None
        assert numbers(active) == list(range(150))

    def test_a_store_held_back_delays_no_other(self, gate: Gate, native: NativeRuntime) -> None:
        hub = StoreHub(runtime=native, decoder_factory=gate, capacity=20)
        stuck = recording_id("stuck")
        gate.held.add(stuck)
        while hub.entity_db(stuck).try_submit_arrow_msg(message(0, stuck)):
            pass  # until its queue is full
        assert gate.arrived.wait(PATIENCE_S)
        for number in range(100):
            for name in "abc":
                hub.receive_log_msg(message(number, recording_id(name)))
        for name in "abc":
            hub.recording(name).flush(PATIENCE_S)
            assert numbers(hub.recording(name)) == list(range(100))
        assert hub[stuck].num_rows == 0
        assert hub[stuck].ingestion_stats().in_flight == 20

    def test_a_store_that_holds_the_hub_budget_delays_no_other(
        self, gate: Gate, native: NativeRuntime
    ) -> None:
        size = message(0).size_bytes
        hub = StoreHub(runtime=native, decoder_factory=gate, hub_budget=10 * size)
        stuck = recording_id("stuck")
        gate.held.add(stuck)
        while hub.entity_db(stuck).try_submit_arrow_msg(message(0, stuck)):
            pass
        for number in range(100):
            hub.receive_log_msg(message(number, recording_id("free")))
        hub.recording("free").flush(PATIENCE_S)
        assert numbers(hub.recording("free")) == list(range(100))

    def test_a_broken_store_delays_no_other(self, hub: StoreHub) -> None:
        for number in range(50):
            hub.receive_log_msg(broken(recording_id("bad")))
            hub.receive_log_msg(message(number, recording_id("good")))
        hub.flush(PATIENCE_S)
        assert numbers(hub.recording("good")) == list(range(50))
        assert hub.recording("bad").ingestion_stats().rejected == 50

    def test_native_and_inline_give_identical_stores(self) -> None:
        def filled(hub: StoreHub) -> dict[StoreId, tuple[object, ...]]:
            for msg in messages:
                hub.receive_log_msg(msg)
            hub.close(PATIENCE_S)
            return {
                db.store_id: (
                    numbers(db),
                    db.num_chunks,
                    db.num_rows,
                    [(type(r.error), r.seq) for r in db.rejections()],
                )
                for db in hub
            }

        messages = []
        for number in range(200):
            store_id = recording_id("abc"[number % 3])
            messages.append(broken(store_id) if number % 50 == 49 else message(number, store_id))
        native = filled(StoreHub(runtime=NativeRuntime()))
        assert native == filled(StoreHub(runtime=InlineRuntime()))
        assert sum(len(rejections) for *_, rejections in native.values()) == 4

    def test_10_000_quiet_stores_hold_no_threads(self, native: NativeRuntime) -> None:
        hub = StoreHub(runtime=native)
        chunk = message(0)
        for number in range(10_000):
            hub.receive_log_msg(chunk.with_store_id(recording_id(str(number))))
        hub.flush(PATIENCE_S)
        assert native.join(PATIENCE_S)
        assert native.num_threads == 0
        assert len(hub) == 10_000
        assert all(db.num_rows == 1 for db in hub)


def test_a_hub_in_use_says_what_it_is(hub: StoreHub) -> None:
    hub.receive_log_msg(announce(recording_id()))
    assert repr(hub) == "StoreHub(1 recordings, 0 blueprints)"
    assert isinstance(hub.entity_db(recording_id()), EntityDb)


@pytest.mark.parametrize("name", ["hub_budget", "memory_limit", "store_memory_limit"])
def test_sizes_are_numbers_or_text(name: str) -> None:
    StoreHub(**{name: "1.5GiB"})
    for wrong in ("4G", "lots", 0, 1.5):
        with pytest.raises(ValueError, match=r"500MB|give at least 1"):
            StoreHub(**{name: wrong})
