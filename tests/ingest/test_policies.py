"""What each policy does with a message that finds no room, and what is told of it."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from forebay.codec import encode_chunk
from forebay.errors import ExpressionError, QueueFullError, WorkerClosedError
from forebay.hub import EntityDb, StoreHub
from forebay.ingest import (
    Block,
    Deadline,
    DropNewest,
    DropOldest,
    IngestionWorker,
    LatestWins,
    PolicyRules,
    ProcessedChunk,
    Spill,
    policy_from,
)
from forebay.ingest.outcomes import DroppedMsg
from forebay.model import ArrowMsg, EntityPath, StoreId
from forebay.runtime import NativeRuntime, Runtime, SimulatedRuntime, WebWorkerRuntime
from tests.chunks import make_chunk
from tests.ingest.full import Held, dropped, frames, message, static
from tests.ingest.support import (
    STORE,
    TIMEOUT_S,
    OneAtATime,
    decode_number,
    numbered,
)


def test_names_and_values() -> None:
    assert policy_from("deadline(20)") == Deadline(20)
    names = ("block", "drop_newest", "drop_oldest", "latest_wins", "spill")
    expected = [Block(), DropNewest(), DropOldest(), LatestWins(), Spill()]
    assert [policy_from(name) for name in names] == expected
    with pytest.raises(ValueError, match=r"there are: block.*deadline\(ms\)"):
        policy_from("drop_all")
    with pytest.raises(ValueError, match="milliseconds"):
        policy_from("deadline(soon)")
    with pytest.raises(ValueError, match="give 0 or more"):
        Deadline(-1)
    with pytest.raises(ExpressionError):
        PolicyRules().with_policy("block", "no/slash/**/x{")


def test_rules_by_contents() -> None:
    rules = PolicyRules().with_policy("drop_newest", "/camera/**").with_policy("spill", "/camera/a")
    assert rules.policy_for(EntityPath("/camera/b")) == DropNewest()
    assert rules.policy_for(EntityPath("/camera/a")) == Spill()
    assert rules.policy_for(EntityPath("/imu")) == Block()
    assert rules.policy_for(None) == Block()


def test_drop_newest(native: NativeRuntime) -> None:
    held = Held(native, DropNewest())
    for frame in range(1, 10):
        assert held.worker.submit(message(frame)) == frame
    outcomes = held.finish()
    assert frames(outcomes) == [0, 1, 2, 3]
    assert isinstance(outcomes[-1], DroppedMsg)
    assert (outcomes[-1].seq, outcomes[-1].last_seq, outcomes[-1].reason) == (4, 9, "drop_newest")
    [gap] = held.worker.gaps()
    assert (gap.entity, gap.reason, gap.count) == ("/a", "drop_newest", 6)
    assert (gap.first_seq, gap.last_seq) == (4, 9)
    assert gap.time_ranges == {"frame": (4, 9)}


def test_drop_oldest(native: NativeRuntime) -> None:
    held = Held(native, "drop_oldest")
    for frame in range(1, 10):
        held.worker.submit(message(frame))
    outcomes = held.finish()
    assert frames(outcomes) == [0, 7, 8, 9]
    assert [type(out) for out in outcomes[:2]] == [ProcessedChunk, DroppedMsg]
    assert held.worker.stats().dropped_by_reason == {"drop_oldest": 6}
    assert held.worker.gaps()[0].time_ranges == {"frame": (1, 6)}


def test_latest_wins_per_entity(native: NativeRuntime) -> None:
    held = Held(native, "latest_wins")
    for frame, entity in enumerate(["/a", "/b", "/c", "/b", "/b", "/a", "/b"], 1):
        held.worker.submit(message(frame, entity))
    assert frames(held.finish()) == [0, 3, 6, 7], "the latest of /a, /b and /c"
    gaps = {gap.entity: gap.count for gap in held.worker.gaps()}
    assert gaps == {"/a": 1, "/b": 3}


def test_latest_wins_with_more_entities_than_room(native: NativeRuntime) -> None:
    held = Held(native, "latest_wins")
    for frame in range(1, 10):
        held.worker.submit(message(frame, f"/e{frame}"))
    assert frames(held.finish()) == [0, 7, 8, 9]


def test_deadline(native: NativeRuntime) -> None:
    held = Held(native, "deadline(1)")
    for frame in range(1, 6):
        held.worker.submit(message(frame))
    assert frames(held.finish()) == [0, 1, 2, 3]
    assert held.worker.stats().dropped_by_reason == {"deadline": 2}


def test_a_shorter_timeout_of_the_caller_comes_first(native: NativeRuntime) -> None:
    held = Held(native, "deadline(60000)")
    for frame in range(1, 4):
        held.worker.submit(message(frame))
    with pytest.raises(QueueFullError):
        held.worker.submit(message(4), timeout=0.001)
    held.finish()
    assert held.worker.stats().dropped == 0


@pytest.mark.parametrize("policy", ["drop_oldest", "latest_wins"])
def test_static_data_is_never_dropped(native: NativeRuntime, policy: str) -> None:
    held = Held(native, policy)
    held.worker.submit(static())
    held.worker.submit(static()._replace(is_static=None))
    for frame in range(1, 20):
        held.worker.submit(message(frame))
    assert frames(held.finish()) == [0, -1, -1, 19]


def test_a_static_message_waits_where_temporal_ones_are_dropped(native: NativeRuntime) -> None:
    held = Held(native, "drop_newest")
    for frame in range(1, 6):
        held.worker.submit(message(frame))
    for one in (static(), static()._replace(is_static=None)):
        assert not held.worker.try_submit(one)
        with pytest.raises(QueueFullError):
            held.worker.submit(one, timeout=0.001)
    assert frames(held.finish()) == [0, 1, 2, 3]


def test_blueprints_are_never_dropped(runtime: Runtime) -> None:
    blueprint = StoreId.blueprint("app", "bp")
    db = EntityDb(blueprint, capacity=1, policy="drop_newest", runtime=runtime, commits_itself=True)
    for frame in range(50):
        db.submit_arrow_msg(message(frame, store_id=blueprint))
    db.flush(TIMEOUT_S)
    assert db.ingestion_stats().dropped == 0
    assert db.num_rows == 50


def test_exceptions_by_entity(native: NativeRuntime) -> None:
    rules = PolicyRules().with_policy("drop_oldest", "/camera/**")
    held = Held(native, "block", rules=rules)
    for frame, entity in enumerate(["/camera/a", "/imu", "/camera/a"], 1):
        held.worker.submit(message(frame, entity))
    held.worker.submit(message(4, "/camera/b"))
    assert not held.worker.try_submit(message(5, "/imu")), "it waits: cameras make room for cameras"
    held.worker.submit(message(5, "/camera/b"))
    assert frames(held.finish()) == [0, 2, 4, 5]


def test_a_full_queue_warns_once_until_it_drained(
    native: NativeRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    held = Held(native, "drop_newest")
    with caplog.at_level(logging.WARNING):
        for frame in range(1, 50):
            held.worker.submit(message(frame))
        [record] = caplog.records
        assert "queue of recording 'run' of 'app' is full (4 of 4 messages" in record.message
        assert "drop_newest" in record.message
        assert "messages/s come in" in record.message
        held.gate.go.set()
        held.worker.wait_processed(timeout=TIMEOUT_S)
        held.worker.poll()
        held.worker.submit(message(50))
        held.worker.wait_processed(timeout=TIMEOUT_S)
        assert len(caplog.records) == 1
        assert held.worker.stats().full_episodes == 1
        held.gate.go.clear()
        for frame in range(50, 60):
            held.worker.submit(message(frame))
        assert len(caplog.records) == 2, "after it drained, it is news again"
    held.gate.go.set()
    held.worker.close(TIMEOUT_S)
    assert [gap.first_seq for gap in held.worker.gaps()] == [4, 55]


def test_dropped_output_stays_one_outcome(native: NativeRuntime) -> None:
    worker = IngestionWorker(
        byte_budget=1000,
        runtime=native,
        store_id=STORE,
        policies=PolicyRules().with_policy("drop_newest"),
    )
    worker.submit(message(0))
    assert worker.wait_processed(timeout=TIMEOUT_S)
    for frame in range(1, 200):
        worker.submit(message(frame))
        assert worker.wait_processed(timeout=TIMEOUT_S)
    outcomes = worker.poll()
    assert frames(outcomes) == [0]
    assert len(outcomes) == 2
    assert dropped(outcomes) == 199


def test_gaps_are_bounded_and_complete(native: NativeRuntime) -> None:
    held = Held(native, "drop_newest")
    held.worker._queue.gaps._gaps_max = 10
    for frame in range(1, 100):
        held.worker.submit(message(frame, f"/e{frame}"))
    held.finish()
    gaps = held.worker.gaps()
    assert len(gaps) == 11
    assert gaps[0].entity is None


def test_policies_that_drop_nothing_give_the_same_store(runtime: Runtime, tmp_path: Path) -> None:
    contents = []
    for policy in (Block(), Deadline(60_000), Spill(tmp_path)):
        hub = StoreHub(capacity=3, policy=policy, runtime=runtime)
        for frame in range(300):
            hub.receive_log_msg(message(frame, f"/e{frame % 7}"))
        hub.flush(TIMEOUT_S)
        stats = hub.ingestion_stats().total
        assert (stats.committed, stats.dropped, stats.in_flight) == (300, 0, 0)
        contents.append(hub.recording("run").dataframe("frame"))
    assert contents[0].equals(contents[1])
    assert contents[0].equals(contents[2])


def test_the_hub_tells_every_store_old_and_new(runtime: Runtime) -> None:
    hub = StoreHub(runtime=runtime)
    old = hub.entity_db(StoreId.recording("app", "old"))
    hub.set_policy("drop_oldest", "/camera/**")
    new = hub.entity_db(StoreId.recording("app", "new"))
    hub.set_policy("drop_newest", store_id=new.store_id)
    camera = EntityPath("/camera/a")
    assert old._pipeline.policies.policy_for(camera) == DropOldest()
    assert new._pipeline.policies.policy_for(camera) == DropOldest()
    assert old._pipeline.policies.default == Block()
    assert new._pipeline.policies.default == DropNewest()


def test_a_deadline_is_told_in_milliseconds() -> None:
    # Time passes only when nobody can go on.
    runtime = SimulatedRuntime(workers=1, choose=lambda ways: ways - 1)
    took_s: list[float] = []

    def slow(msg: ArrowMsg) -> object:
        runtime.sleep(10.0)
        return decode_number(msg)

    worker = IngestionWorker(
        1,
        runtime=runtime,
        policies=PolicyRules().with_policy("deadline(20)"),
        decoder_factory=lambda: slow,  # type: ignore[arg-type, return-value]
    )

    def submit() -> None:
        worker.submit(numbered(0))
        began_s = runtime.monotonic_s()
        worker.submit(numbered(1))
        took_s.append(runtime.monotonic_s() - began_s)
        worker.close()

    runtime.spawn("submitter", submit)
    runtime.run()
    assert took_s == [pytest.approx(0.02, abs=0.001)]


def test_nothing_is_dropped_where_that_makes_no_room(native: NativeRuntime) -> None:
    held = Held(native, "drop_oldest", byte_budget=100_000)
    for frame in range(1, 3):
        held.worker.submit(message(frame))
    values = np.random.default_rng(0).bytes(100_000)
    cells = pa.array([list(values)], pa.list_(pa.uint8()))
    large = encode_chunk(STORE, make_chunk("/a", {"frame": [3]}, {"S:s": cells}))
    assert not held.worker.try_submit(large)
    held.worker.submit(large)
    assert frames(held.finish()) == [0, 1, 2]
    assert held.worker.stats().dropped == 1, "itself"


def test_a_store_that_closes_meanwhile_drops_nothing(native: NativeRuntime) -> None:
    held = Held(native, DropNewest())
    full_queue = held.worker._full_queue
    assert full_queue is not None
    submission = full_queue.submission(message(1), None)
    held.gate.go.set()
    held.worker.close(TIMEOUT_S)
    with pytest.raises(WorkerClosedError):
        full_queue.drop(submission)
    held.finish()
    assert (held.worker.stats().accepted, held.worker.gaps()) == (1, [])


def test_it_is_one_episode_until_three_quarters_are_free() -> None:
    runtime = WebWorkerRuntime(can_wait=False)
    worker = OneAtATime(
        8,
        runtime=runtime,
        policies=PolicyRules().with_policy("drop_newest"),
        decoder_factory=lambda: decode_number,
    )

    def fill() -> int:
        for number in range(9):
            worker.submit(numbered(number))
        return worker.stats().full_episodes

    assert fill() == 1
    for turns, episodes in ((1, 1), (5, 1), (6, 2)):
        for _ in range(turns):
            runtime.run_turn()
        worker.poll()
        assert fill() == episodes, turns
