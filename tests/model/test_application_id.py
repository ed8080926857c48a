"""Application ids have the form that Rerun gives them."""

from __future__ import annotations

import warnings
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import forebay
from forebay.model import StoreId, canonical_application_id
from forebay.model.application_id import xxh64
from tests.codec.foreign import component, reader_of, write

TEXTS = st.text(
    st.one_of(st.sampled_from("aZ09_- []:./\\é\U0001f4a3\t\x7f"), st.characters(codec="utf-8")),
    min_size=1,
    max_size=260,
)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0xEF46DB3751D8E999),
        (b"a", 0xD24EC4F1A98C6E5B),
        (b"abc", 0x44BC2CF5AD770999),
        (b"Nobody inspects the spammish repetition", 0xFBCEA83C8A378BF1),
    ],
)
def test_the_checksum_is_that_of_xxhash(data: bytes, expected: int) -> None:
    assert xxh64(data) == expected


@pytest.mark.parametrize(
    ("given_id", "expected"),
    [
        ("my app/ä", "my app--c207"),
        ("app_01-v2 [test]:main", "app_01-v2 [test]:main"),
        ("", ""),
        ("a" * 180, "a" * 180),
    ],
)
def test_ids_are_rewritten_where_rerun_rewrites_them(given_id: str, expected: str) -> None:
    assert canonical_application_id(given_id) == expected
    assert StoreId.recording(given_id, "r").application_id == expected


@given(TEXTS)
def test_what_is_rewritten_stays_as_it_is(text: str) -> None:
    once = canonical_application_id(text)
    assert canonical_application_id(once) == once
    assert len(once) <= 180
    assert once.isascii()


def raw_store_id(application_id: str, recording_id: str) -> StoreId:
    """A store id as an older SDK writes it."""
    store_id = StoreId.recording("x", recording_id)
    object.__setattr__(store_id, "application_id", application_id)
    return store_id


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(TEXTS, min_size=5, max_size=5))
@example(["my app/ä", ".", "-", "a" * 181, "\U0001f4a3" * 200])
def test_ids_are_those_that_rerun_reads(tmp_path: Path, texts: list[str]) -> None:
    msgs = []
    for number, text in enumerate(texts):
        msg = component(pa.array([[number]]))
        msgs.append(msg.with_store_id(raw_store_id(text, str(number))))
    path = write(tmp_path / "ids.rrd", *msgs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = {
            entry.recording_id: entry.application_id for entry in reader_of(path).recordings()
        }
    ours = {
        msg.store_id.recording_id: msg.store_id.application_id
        for msg in forebay.read_messages(path)
    }
    assert ours == theirs


def test_recording_and_blueprint_meet_under_either_name() -> None:
    hub = forebay.StoreHub()
    recording = StoreId.recording("my app/ä", "r")
    assert hub.entity_db(recording).store_id.application_id == "my app--c207"
    assert hub.recording("r", "my app/ä") is hub.recording("r", "my app--c207")
    hub.entity_db(StoreId.blueprint("my app--c207", "b"))
    hub.set_default_blueprint(StoreId.blueprint("my app/ä", "b"))
    assert hub.default_blueprint("my app/ä") is hub.default_blueprint("my app--c207") is not None
    hub.close_application("my app/ä")
    assert not hub.entity_dbs()
