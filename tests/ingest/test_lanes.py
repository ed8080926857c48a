"""Lanes: urgent stores before others, static data before the rest, and nothing starves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from forebay.ingest import ByteBudget, IngestionWorker
from forebay.ingest.core import IngestCore
from forebay.limits import LANE_BYPASS_MAX
from forebay.model import StoreId
from forebay.runtime import Event, InlineRuntime, NativeRuntime
from tests.ingest.support import SIZE, TIMEOUT_S, OneAtATime, decode_number, decodes, numbered


def taken(core: IngestCore, msgs_max: int = 1) -> list[int]:
    seqs: list[int] = []
    while (batch := core.take(msgs_max, 10**9, 0.0)) is not None:
        seqs += [entry.seq for entry in batch.entries]
    return seqs


def filled(kinds: str, *, has_lanes: bool = True) -> IngestCore:
    """`s` is static, `t` temporal, `|` a barrier."""
    core = IngestCore(10_000, 10**9, has_lanes=has_lanes)
    for kind in kinds:
        if kind == "|":
            core.set_barrier()
        else:
            core.accept(numbered(0), "", SIZE, 0.0, is_first=kind == "s")
    return core


def test_static_data_goes_first() -> None:
    assert taken(filled("ttstst")) == [2, 4, 0, 1, 3, 5]
    assert taken(filled("ttstst"), 2) == [2, 4, 0, 1, 3, 5]


def test_without_lanes_the_order_is_that_of_submission() -> None:
    assert taken(filled("ttstst", has_lanes=False)) == [0, 1, 2, 3, 4, 5]


def test_nothing_passes_a_barrier() -> None:
    assert taken(filled("tts|tss|tst")) == [2, 0, 1, 4, 5, 3, 7, 6, 8]


def test_the_rest_is_passed_by_so_many_and_no_more() -> None:
    order = taken(filled("t" + "s" * (2 * LANE_BYPASS_MAX)))
    assert order.index(0) == LANE_BYPASS_MAX


@given(st.text("st|", max_size=60), st.integers(1, 5))
def test_lanes_keep_their_order_and_barriers(kinds: str, msgs_max: int) -> None:
    order = taken(filled(kinds), msgs_max)
    letters = kinds.replace("|", "")
    assert sorted(order) == list(range(len(letters)))
    for kind in "st":
        lane = [seq for seq in order if letters[seq] == kind]
        assert lane == sorted(lane)
    barrier = 0
    for part in kinds.split("|"):
        end = barrier + len(part)
        assert set(order[barrier:end]) == set(range(barrier, end))
        barrier = end


def test_flush_with_lanes_waits_for_what_was_passed_by() -> None:
    core = filled("tts")
    batch = core.take(1, 10**9, 0.0)
    assert batch is not None
    assert batch.entries[0].seq == 2
    core.finish(batch, [], 0.0, 0.0)
    assert not any(core.is_processed(seq) for seq in range(3))


def test_a_blueprint_is_decoded_before_many_waiting_stores() -> None:
    runtime = NativeRuntime(threads_max=1)
    hold, order = Event(), list[str]()

    def decode(msg: object) -> object:
        assert hold.wait(TIMEOUT_S)
        order.append(msg.store_id.recording_id)  # type: ignore[attr-defined]
        return decode_number(msg)  # type: ignore[arg-type]

    ids = [StoreId.recording("app", f"r{n}") for n in range(20)]
    ids.append(StoreId.blueprint("app", "bp"))
    workers = [
        IngestionWorker(store_id=one, runtime=runtime, decoder_factory=lambda: decode)  # type: ignore[arg-type, return-value]
        for one in ids
    ]
    for worker, one in zip(workers, ids, strict=True):
        worker.submit(numbered(0, store_id=one))
    hold.set()
    for worker in workers:
        worker.close(TIMEOUT_S)
    assert order.index("bp") <= 1, "only what was being decoded came before"
    assert runtime.join(TIMEOUT_S)


def test_a_part_of_the_budget_is_kept_for_blueprints() -> None:
    budget = ByteBudget(16_000, runtime=InlineRuntime())
    others = [budget.open_share() for _ in range(12)]
    urgent, late = budget.open_share(urgent=True), budget.open_share()
    for share in others:
        while share.try_charge(10):
            pass
    assert budget.used_bytes <= 15_000 + 10 * len(others)
    assert late.try_charge(10)
    assert not late.try_charge(100)
    assert urgent.try_charge(300)
    assert urgent.try_charge(100), "what is kept for blueprints"
    assert budget.num_busy == 14


def test_a_blueprint_is_woken_first() -> None:
    budget = ByteBudget(100, runtime=InlineRuntime())
    holder, other, urgent = budget.open_share(), budget.open_share(), budget.open_share(urgent=True)
    woken: list[str] = []
    assert holder.try_charge(60)
    assert other.try_charge(10)
    assert urgent.try_charge(10)
    assert not other.try_charge(30, lambda: woken.append("other"))
    assert not urgent.try_charge(20, lambda: woken.append("urgent"))
    for wake in holder.release(60):
        wake()
    assert woken == ["urgent", "other"]


def test_lanes_of_a_worker_end_to_end() -> None:
    held = Event()
    runtime = NativeRuntime(threads_max=1)

    def decode(msg: object) -> object:
        assert held.wait(TIMEOUT_S)
        return decode_number(msg)  # type: ignore[arg-type]

    for has_lanes in (False, True):
        held.clear()
        worker = OneAtATime(
            runtime=runtime,
            has_lanes=has_lanes,
            decoder_factory=decodes(decode),  # type: ignore[arg-type]
        )
        worker.submit(numbered(0))
        for number in range(1, 6):
            worker.submit(numbered(number)._replace(is_static=number in {3, 5}))
        held.set()
        worker.close(TIMEOUT_S)
        order = [int(out.chunk) for out in worker.poll()]  # type: ignore[union-attr, call-overload]
        if has_lanes:
            assert [n for n in order if n not in {3, 5}] == [0, 1, 2, 4]
            assert order.index(5) < order.index(2)
        else:
            assert order == [0, 1, 2, 3, 4, 5]
    assert runtime.join(TIMEOUT_S)
