from __future__ import annotations

import copy
import gc
import weakref

import pytest

from forebay.hub import EntityDb
from forebay.model import SetStoreInfo, StoreInfo
from forebay.runtime import NativeRuntime, Runtime
from tests.hub.conftest import (
    PATIENCE_S,
    Gate,
    message,
    numbers,
    recording_id,
)


def test_no_thread_before_the_first_arrow_message(native: NativeRuntime) -> None:
    db = EntityDb(recording_id(), runtime=native)
    db.add_log_msg(SetStoreInfo(StoreInfo(db.store_id)))
    db.add_log_msg(message(1))
    assert native.num_threads == 0
    db.submit_arrow_msg(message(2))
    assert native.num_threads == 1
    db.flush(PATIENCE_S)
    assert native.join(PATIENCE_S), "the thread ends when there is no more work"


@pytest.mark.parametrize("copying", [copy.copy, copy.deepcopy])
def test_a_copy_has_the_data_and_no_worker(copying: object, gate: Gate) -> None:
    native = NativeRuntime()
    db = EntityDb(recording_id(), runtime=native, decoder_factory=gate)
    db.submit_arrow_msg(message(0))
    db.flush(PATIENCE_S)
    gate.held.add(db.store_id)
    db.submit_arrow_msg(message(1))
    assert gate.arrived.wait(PATIENCE_S)

    twin = copying(db)
    assert numbers(twin) == [0.0]
    assert twin.ingestion_stats().accepted == 0
    twin.flush(PATIENCE_S)  # there is nothing of its own to wait for
    gate.open.set()
    db.flush(PATIENCE_S)
    twin.add_log_msg(message(5))
    assert numbers(twin) == [0.0, 5.0]
    assert numbers(db) == [0.0, 1.0]


def test_a_clone_goes_by_its_new_name(db: EntityDb) -> None:
    db.set_store_info(StoreInfo(db.store_id), "file")
    db.add_log_msg(message(0))
    clone = db.clone_with_new_id(recording_id("other"))
    assert clone.store_id == recording_id("other")
    assert clone.info == StoreInfo(recording_id("other"))
    assert clone.data_source == "file"
    assert [e.store_id for e in clone.add_log_msg(message(1, clone.store_id))] == [clone.store_id]


def test_a_dropped_store_is_gone_at_once(runtime: Runtime) -> None:
    gc.collect()
    gc.disable()
    try:
        db = EntityDb(recording_id(), runtime=runtime, commits_itself=True)
        db.submit_arrow_msg(message(0))
        db.flush(PATIENCE_S)
        if isinstance(runtime, NativeRuntime):
            assert runtime.join(PATIENCE_S)
        gone = weakref.ref(db)
        del db
        assert gone() is None
    finally:
        gc.enable()


def test_queries_are_answered_while_a_commit_waits_for_its_turn(db: EntityDb) -> None:
    db.add_log_msg(message(0))
    with db._store.order_lock:
        assert db.latest_at("frame", 0, "/numbers")["Scalars:scalars"].value.to_pylist() == [0.0]
