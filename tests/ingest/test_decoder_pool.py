from __future__ import annotations

from forebay.hub import StoreHub
from forebay.ingest import DecoderPool, chunk_decoder
from forebay.limits import DECODERS_FREE_MAX
from forebay.model import StoreId
from forebay.runtime import NativeRuntime, Runtime
from tests.hub.conftest import message, numbers
from tests.ingest.support import TIMEOUT_S


def test_decoders_are_used_again_and_the_free_ones_are_bounded(runtime: Runtime) -> None:
    pool = DecoderPool(chunk_decoder, runtime)
    decoders = [pool() for _ in range(DECODERS_FREE_MAX + 3)]
    assert len({id(decode.__self__) for decode in decoders}) == len(decoders)  # type: ignore[attr-defined]
    for decode in decoders:
        pool.give_back(decode)
    again = [pool() for _ in decoders]
    assert sum(decode in decoders for decode in again) == DECODERS_FREE_MAX


def test_quiet_stores_hold_no_decoder_and_learn_nothing_twice(runtime: Runtime) -> None:
    hub = StoreHub(runtime=runtime)
    for number in range(30):
        db = hub.entity_db(StoreId.recording("app", f"r{number}"))
        for frame in range(3):
            db.submit_arrow_msg(message(frame, db.store_id))
        db.flush(TIMEOUT_S)
        assert numbers(db) == [0.0, 1.0, 2.0]
    if isinstance(runtime, NativeRuntime):
        assert runtime.join(TIMEOUT_S)
    assert not any(db._pipeline.worker._turns._decoder.num_free for db in hub)
    layouts = {
        id(leaf.chunk.layout)
        for db in hub
        for entity in db.snapshot()._entities.values()
        for leaf in entity.leaves()
    }
    assert len(layouts) <= DECODERS_FREE_MAX, "each store parsed the schema anew"
