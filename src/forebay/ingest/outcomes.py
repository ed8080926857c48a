"""What becomes of a message: a chunk, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from forebay.errors import ForebayError, InvalidChunkError, LimitError, lighten
from forebay.limits import LZ4_RATIO_MAX, MESSAGE_COST_BYTES_MIN, REJECTED_COLUMNS_TOLD_MAX
from forebay.model import Compression

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forebay.chunk import Chunk, ConvertedChunk
    from forebay.model import ArrowMsg, ChunkId, StoreId


class ProcessedChunk(NamedTuple):
    """A message that became a chunk.

    A named tuple where the house makes frozen dataclasses: there is one for every message, and
    making it costs a third.

    Attributes:
        seq: Its place among all messages that the worker accepted, from 0.
        chunk: The chunk, sorted by row id.
        source: What its submitter named as the source.
        size_bytes: What it counts for against the byte budget.
    """

    seq: int
    chunk: Chunk
    source: object
    size_bytes: int

    def refused(self, store_id: StoreId, error: ForebayError) -> RejectedMsg:
        """The outcome that this becomes when the store refuses the chunk."""
        return RejectedMsg(self.seq, store_id, self.chunk.id, error, self.source, self.size_bytes)


NOT_SUBMITTED: Final = -1
"""The sequence number of a rejection that never was in a worker's queue."""


@dataclass(frozen=True, slots=True)
class RejectedMsg:
    """A message that did not become part of a store, and why.

    Attributes:
        seq: Its place among all messages that the worker accepted, from 0.
        store_id: The store it was meant for.
        chunk_id: The chunk's id, if the sender gave it outside the payload.
        error: Why. What the decoder raised is its `__cause__`, if it was no error of ours. It is
            kept for as long as the store is, so it holds no traceback, payload or long text.
        source: What its submitter named as the source.
        size_bytes: What it counts for against the byte budget.
    """

    seq: int
    store_id: StoreId
    chunk_id: ChunkId | None
    error: ForebayError
    source: object = None
    size_bytes: int = 0

    def __post_init__(self) -> None:
        """Let go of what the error holds beyond its text: it outlives the message."""
        lighten(self.error)

    @property
    def reason(self) -> str:
        """A short name to count by: the limit that was met, or the kind of error at the root."""
        if isinstance(self.error, LimitError):
            return self.error.limit
        return type(self.error.__cause__ or self.error).__name__


@dataclass(frozen=True, slots=True)
class RejectedColumn:
    """A column that did not become part of a store, of a message that did.

    It is no outcome: the message is committed, and counts as that. It stands among the rejections
    of its store, and `IngestionStats.columns_rejected` counts it.

    Attributes:
        seq: The place of its message among all messages that the worker accepted, from 0.
        store_id: The store.
        chunk_id: The chunk that lacks it.
        component: Its identifier, cut to a bounded length.
        error: Why.
        source: What the submitter of the message named as the source.
        count: How many columns it stands for: of very many the last one told of stands for the
            rest (`limits.REJECTED_COLUMNS_TOLD_MAX`).
    """

    seq: int
    store_id: StoreId
    chunk_id: ChunkId
    component: str
    error: ForebayError
    source: object = None
    count: int = 1

    def __post_init__(self) -> None:
        """Let go of what the error holds beyond its text: it outlives the message."""
        lighten(self.error)

    @property
    def reason(self) -> str:
        """A short name to count by: the kind of error."""
        return type(self.error).__name__


Rejection: TypeAlias = RejectedMsg | RejectedColumn
"""What a store did not take in: a whole message, or a column of one."""


class ConvertedMsg(NamedTuple):
    """What is to be noted of a message whose columns had to be made.

    Attributes:
        seq: Its place among all messages that the worker accepted, from 0.
        extra_bytes: What its chunk counts for beyond what the message counted for.
        columns: The columns that the chunk lacks.
    """

    seq: int
    extra_bytes: int
    columns: tuple[RejectedColumn, ...]


def converted_msg(
    seq: int, msg: ArrowMsg, source: object, cost: int, chunk: ConvertedChunk
) -> ConvertedMsg:
    """What is to be noted of a message that became such a chunk."""
    return ConvertedMsg(
        seq,
        max(0, chunk.byte_size - cost),
        rejected_columns(seq, msg, source, chunk) if chunk.unread else (),
    )


def rejected_columns(
    seq: int, msg: ArrowMsg, source: object, chunk: ConvertedChunk
) -> tuple[RejectedColumn, ...]:
    """The columns that a chunk lacks."""
    columns = []
    told = chunk.unread[:REJECTED_COLUMNS_TOLD_MAX]
    for number, (component, reason) in enumerate(told, 1):
        count = len(chunk.unread) - number + 1 if number == REJECTED_COLUMNS_TOLD_MAX else 1
        names = f"component {component!r}" + (f" and {count - 1:,} others" if count > 1 else "")
        text = f"{names} of {chunk.entity_path} in {chunk.id} not read: {reason}"
        error = InvalidChunkError(
            text, store_id=msg.store_id, chunk_id=chunk.id, byte_offset=msg.byte_offset
        )
        columns.append(RejectedColumn(seq, msg.store_id, chunk.id, component, error, source, count))
    return tuple(columns)


@dataclass(frozen=True, slots=True)
class DroppedMsg:
    """Messages in a row that a policy dropped, at their place among the outcomes.

    However many there are, they are one outcome, so that a flood of them stays small.

    Attributes:
        seq: The place of the first one among all messages that the worker accepted, from 0.
        last_seq: That of the last one; with lanes, not all between them need be dropped.
        count: How many.
        dropped_bytes: What they counted for.
        by_reason: How many were dropped by which policy.
        size_bytes: What they count for against the byte budget now: nothing.
    """

    seq: int
    last_seq: int
    count: int
    dropped_bytes: int
    by_reason: tuple[tuple[str, int], ...]
    size_bytes: int = 0

    @property
    def reason(self) -> str:
        """The policies that dropped them, by name."""
        return ", ".join(reason for reason, _ in self.by_reason)

    def merged(self, later: DroppedMsg) -> DroppedMsg:
        """This and the next ones, as one."""
        by_reason = dict(self.by_reason)
        for reason, count in later.by_reason:
            by_reason[reason] = by_reason.get(reason, 0) + count
        return DroppedMsg(
            self.seq,
            later.last_seq,
            self.count + later.count,
            self.dropped_bytes + later.dropped_bytes,
            tuple(by_reason.items()),
        )


def num_messages(outcomes: Iterable[Outcome]) -> int:
    """How many messages these outcomes are of."""
    return sum(out.count if type(out) is DroppedMsg else 1 for out in outcomes)


Outcome: TypeAlias = ProcessedChunk | RejectedMsg | DroppedMsg
"""Everything that `IngestionWorker.poll()` gives."""


def message_cost(msg: ArrowMsg) -> int:
    """Bytes that a message counts for, from its acceptance until its outcome is settled.

    That is the larger of what came and what it claims to become. A claim that LZ4 cannot keep is
    not believed: the message will be rejected, and until then it must not fill the budget.
    """
    size = len(msg.payload)
    claimed = msg.uncompressed_size
    if claimed > size and msg.compression == Compression.LZ4 and claimed <= size * LZ4_RATIO_MAX:
        size = claimed
    return size if size > MESSAGE_COST_BYTES_MIN else MESSAGE_COST_BYTES_MIN  # noqa: FURB136, RUF100


def rejection(
    seq: int, msg: ArrowMsg, source: object, cost: int, error: BaseException
) -> RejectedMsg:
    """The outcome of a message whose decoding raised `error`."""
    if isinstance(error, ForebayError):
        refusal = error
        refusal.store_id = refusal.store_id or msg.store_id
        refusal.chunk_id = refusal.chunk_id or msg.chunk_id
        if refusal.byte_offset is None:
            refusal.byte_offset = msg.byte_offset
    else:
        name = "a chunk" if msg.chunk_id is None else str(msg.chunk_id)
        text = f"{name} of {msg.store_id} cannot be decoded: {type(error).__name__}: {error}"
        refusal = InvalidChunkError(
            text, store_id=msg.store_id, chunk_id=msg.chunk_id, byte_offset=msg.byte_offset
        )
        refusal.__cause__ = error
    return RejectedMsg(seq, msg.store_id, refusal.chunk_id, refusal, source, cost)
