"""A worker whose queue is to be filled, and what came of its messages."""

from __future__ import annotations

from typing import Any

from forebay.codec import ChunkDecoder, encode_chunk
from forebay.ingest import (
    IngestionWorker,
    Outcome,
    Policy,
    PolicyRules,
    ProcessedChunk,
)
from forebay.ingest.outcomes import DroppedMsg
from forebay.model import ArrowMsg, StoreId
from forebay.runtime import Runtime
from tests.chunks import make_chunk
from tests.ingest.support import (
    STORE,
    TIMEOUT_S,
    HeldDecoder,
    numbered,
)

CAPACITY = 4


def message(frame: int, entity: str = "/a", store_id: StoreId = STORE) -> ArrowMsg:
    chunk = make_chunk(entity, {"frame": [frame]}, {"S:s": [[float(frame)]]})
    return encode_chunk(store_id, chunk)


def static(entity: str = "/a") -> ArrowMsg:
    return encode_chunk(STORE, make_chunk(entity, {}, {"S:s": [[0.5]]}))


def frames(outcomes: list[Outcome]) -> list[int]:
    return [
        -1 if out.chunk.is_static else int(out.chunk.times("frame")[0])
        for out in outcomes
        if isinstance(out, ProcessedChunk)
    ]


def dropped(outcomes: list[Outcome]) -> int:
    return sum(out.count for out in outcomes if isinstance(out, DroppedMsg))


class Held:
    """A worker whose first message is being decoded and whose queue is to be filled."""

    def __init__(self, runtime: Runtime, policy: Policy | str, **settings: object) -> None:
        self.gate = HeldDecoder()
        decode = ChunkDecoder().decode

        def held(msg: ArrowMsg) -> object:
            self.gate(numbered(0))
            return decode(msg)

        rules = settings.pop("rules", None) or PolicyRules().with_policy(policy)
        worker_type: Any = settings.pop("worker_type", IngestionWorker)
        self.worker: IngestionWorker = worker_type(
            CAPACITY,
            store_id=STORE,
            runtime=runtime,
            policies=rules,
            decoder_factory=lambda: held,
            **settings,
        )
        self.worker.submit(message(0))
        assert self.gate.began.wait(TIMEOUT_S)

    def finish(self) -> list[Outcome]:
        self.gate.go.set()
        self.worker.close(TIMEOUT_S)
        outcomes = self.worker.poll()
        self.worker.validate()
        stats = self.worker.stats()
        assert stats.in_flight == 0
        assert stats.accepted == stats.committed + stats.rejected + stats.dropped
        assert dropped(outcomes) == stats.dropped == sum(stats.dropped_by_reason.values())
        gaps = self.worker.gaps()
        assert sum(gap.count for gap in gaps) == stats.dropped
        assert sum(gap.size_bytes for gap in gaps) == stats.dropped_bytes
        return outcomes
