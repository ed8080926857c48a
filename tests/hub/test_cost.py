"""What a message or a change of a hub costs does not grow with what the hub holds."""

from __future__ import annotations

from forebay.codec import encode_chunk
from forebay.hub import StoreHub
from forebay.model import BlueprintActivationCommand, SetStoreInfo, StoreId, StoreInfo
from forebay.runtime import InlineRuntime
from tests.chunks import make_chunk
from tests.steps import calls_of, check_constant, check_proportion

BLUEPRINT = StoreId.blueprint("app", "b")
ACTIVATION = BlueprintActivationCommand(BLUEPRINT, make_active=True, make_default=True)


def hub_of(stores: int, app: str = "app") -> StoreHub:
    hub = StoreHub(runtime=InlineRuntime())
    for number in range(stores):
        hub.receive_log_msg(SetStoreInfo(StoreInfo(StoreId.recording(app, str(number)))))
    return hub


def with_blueprint(chunks: int, stores: int = 0) -> StoreHub:
    hub = hub_of(stores)
    hub.receive_log_msg(SetStoreInfo(StoreInfo(BLUEPRINT)))
    for number in range(chunks):
        chunk = make_chunk(f"/e{number}", {"t": [number]}, {"S:x": [[1.0]]})
        hub.receive_log_msg(encode_chunk(BLUEPRINT, chunk))
    hub.flush()
    hub.receive_log_msg(ACTIVATION)
    return hub


def test_activating_a_blueprint_takes_the_same_steps_of_many_chunks() -> None:
    def cost(chunks: int) -> int:
        hub = with_blueprint(chunks)
        return calls_of(lambda: hub.receive_log_msg(ACTIVATION))

    check_constant(cost, 50)


def test_activating_a_blueprint_takes_the_same_steps_among_many_stores() -> None:
    def cost(stores: int) -> int:
        hub = with_blueprint(1, stores)
        return calls_of(lambda: hub.receive_log_msg(ACTIVATION))

    check_constant(cost, 50)


def test_messages_between_activations_do_not_bring_the_copies_back() -> None:
    def cost(chunks: int) -> int:
        hub = with_blueprint(chunks)
        chunk = make_chunk("/e0", {"t": [7]}, {"S:x": [[1.0]]})

        def again() -> None:
            hub.receive_log_msg(encode_chunk(BLUEPRINT, chunk))
            hub.receive_log_msg(ACTIVATION)

        return calls_of(again)

    check_constant(cost, 50)


def test_the_active_clone_has_what_the_blueprint_had() -> None:
    hub = with_blueprint(5)
    clone = hub.active_blueprint("app")
    assert clone is not None
    assert clone.num_chunks == 5
    assert clone.store_id != BLUEPRINT
    assert len(hub.blueprints()) == 2


def test_a_new_store_takes_the_same_steps_among_many() -> None:
    def cost(stores: int) -> int:
        hub = hub_of(stores)
        new = StoreId.recording("app", "new")
        return calls_of(lambda: hub.entity_db(new))

    check_constant(cost, 50)


def test_forgetting_stores_takes_steps_for_each_of_them_alone() -> None:
    def one(stores: int) -> int:
        hub = hub_of(stores)
        return calls_of(lambda: hub.remove(StoreId.recording("app", "3")))

    def application(stores: int) -> int:
        hub = hub_of(stores)
        other = StoreId.recording("other", "1")
        hub.entity_db(other)
        return calls_of(lambda: hub.close_application("other"))

    def every(stores: int) -> int:
        hub = hub_of(stores)
        ids = [db.store_id for db in hub]
        return calls_of(lambda: [hub.remove(store_id) for store_id in ids])

    check_constant(one, 50)
    check_constant(application, 50)
    check_proportion(every, 50)


def test_the_last_recording_still_takes_its_application_with_it() -> None:
    hub = with_blueprint(1, 2)
    hub.remove(StoreId.recording("app", "0"))
    assert len(hub.blueprints()) == 2
    hub.remove(StoreId.recording("app", "1"))
    assert not len(hub)
    assert hub.active_recording is None
    assert hub.active_blueprint("app") is None
