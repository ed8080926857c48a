"""Each worker of a source keeps one of its recordings, and all of them together keep everything."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from forebay.limits import WEB_PARTS_MAX
from forebay.model import StoreId
from forebay.viewer import Session
from forebay.viewer.parts import Parts
from tests.corpus import recording

STORES = st.builds(
    lambda is_blueprint, number: (
        StoreId.blueprint("app", f"b{number}")
        if is_blueprint
        else StoreId.recording("app", f"r{number}")
    ),
    st.booleans(),
    st.integers(0, 2 * WEB_PARTS_MAX),
)


def overview(part: int | None) -> dict[str, Any]:
    session = Session("several_stores", part=part)
    session.feed(recording("several_stores").read_bytes())
    session.finish()
    found: dict[str, Any] = json.loads(session.overview())
    return found


def names(stores: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [
        # The blueprint in use is a clone under an id that is made up each time.
        (store["kind"], store["recording_id"] if store["kind"] == "recording" else "")
        for store in stores
    ]


@given(st.lists(STORES, max_size=60))
def test_every_message_is_kept_by_exactly_one_part(store_ids: list[StoreId]) -> None:
    parts = [Parts(number) for number in range(WEB_PARTS_MAX)]
    owners: dict[StoreId, int] = {}
    for store_id in store_ids:
        keeping = [number for number, part in enumerate(parts) if part.keeps(store_id)]
        assert len(keeping) == 1
        assert owners.setdefault(store_id, keeping[0]) == keeping[0]
        assert Parts().keeps(store_id)
    recordings = list(dict.fromkeys(each for each in store_ids if each.is_recording))
    for number, store_id in enumerate(recordings):
        assert owners[store_id] == min(number, WEB_PARTS_MAX - 1)
    told = [each.recording_id for each in recordings[:WEB_PARTS_MAX]]
    assert all(part.recording_ids == told for part in parts)
    assert {owners[each] for each in owners if each.is_blueprint} <= {0}


def test_the_parts_of_a_file_are_all_of_it() -> None:
    first, second = overview(0)["stores"], overview(1)["stores"]
    assert names(first) == [("recording", "several_0"), ("blueprint", ""), ("blueprint", "")]
    assert names(second) == [("recording", "several_1")]
    everything = overview(None)["stores"]
    assert sorted(names(everything)) == sorted(names(first) + names(second))
    by_id = {store["recording_id"]: store for store in everything}
    for store in (first[0], second[0]):
        assert store == by_id[store["recording_id"]]


def test_what_other_parts_keep_is_not_decoded() -> None:
    session = Session("several_stores", part=1)
    session.feed(recording("several_stores").read_bytes())
    session.finish()
    progress = json.loads(session.progress())
    assert progress["recordings"] == ["several_0", "several_1"]
    assert 0 < progress["accepted"] < progress["messages"] / 2
