"""Which stores are in use, decided on ids alone."""

from __future__ import annotations

from forebay.hub.active import ActiveStores
from tests.hub.conftest import APP, blueprint_id, recording_id

A, B = recording_id("a"), recording_id("b")
ORIGINAL, FIRST, SECOND = map(blueprint_id, ("original", "first", "second"))


def test_the_first_recording_is_looked_at_until_it_goes() -> None:
    active = ActiveStores()
    for store_id in (ORIGINAL, A, B):
        active.note_added(store_id)
    assert active.recording == A
    active.forget({B}, lambda: A)
    assert active.recording == A
    active.forget({A}, lambda: B)
    assert active.recording == B
    active.forget({B}, lambda: None)
    assert active.recording is None


def test_a_clone_takes_the_place_of_the_one_before() -> None:
    active = ActiveStores()
    assert active.activate(FIRST, ORIGINAL) is None
    assert active.activate(SECOND, ORIGINAL) == FIRST, "nobody needs it any more"
    assert active.blueprint(APP) == SECOND
    assert active.blueprint("another") is None


def test_a_clone_of_what_is_in_use_lets_that_live() -> None:
    active = ActiveStores()
    active.activate(FIRST, ORIGINAL)
    assert active.activate(SECOND, FIRST) is None
    assert active.blueprint(APP) == SECOND


def test_what_is_forgotten_is_in_use_no_more() -> None:
    active = ActiveStores()
    active.activate(FIRST, ORIGINAL)
    active.set_default(ORIGINAL)
    active.forget({FIRST}, lambda: None)
    assert (active.blueprint(APP), active.default_blueprint(APP)) == (None, ORIGINAL)
    active.forget({ORIGINAL}, lambda: None)
    assert active.default_blueprint(APP) is None
