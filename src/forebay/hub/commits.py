"""`Commits`: a worker's output moves into the store, in order, and nothing of it twice."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final, assert_never

from forebay.chunk import PackedChunk
from forebay.errors import ForebayError, MessageDroppedError
from forebay.hub.reports import WorkerOutput
from forebay.ingest import DroppedMsg, ProcessedChunk, RejectedMsg
from forebay.limits import (
    CHUNK_COST_BYTES,
    COLUMN_COST_BYTES,
    COMMIT_BYTES_MAX,
    COMMIT_CHUNKS_MAX,
    COMMIT_ROWS_MAX,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forebay.chunk import Chunk
    from forebay.hub.guarded_store import GuardedStore
    from forebay.hub.memory import MemoryLimit
    from forebay.hub.reports import Reports
    from forebay.ingest import IngestionWorker, Outcome
    from forebay.model import StoreId


_PACKED_BYTES: Final = 4096
"""About what a packed row takes at the most, as it is small."""

_CHUNK_BYTES: Final = CHUNK_COST_BYTES + 2 * COLUMN_COST_BYTES
"""About what a chunk takes in a store beyond its message."""


class Commits:
    """What is committed of one worker's output, and what waits for a place in that order.

    The caller of every method holds the store's order lock.
    """

    __slots__ = (
        "_actions",
        "_is_limited",
        "_next_place",
        "_refused",
        "_run_bytes_max",
        "_store",
        "_store_id",
    )

    def __init__(self, store: GuardedStore) -> None:
        """Nothing is committed yet."""
        self._store = store
        self._store_id = store.store_id
        self._refused: dict[int, RejectedMsg] = {}
        self._actions: deque[tuple[int, Callable[[], None]]] = deque()
        self._next_place = 0
        self._is_limited = False
        self._run_bytes_max: float = float("inf")

    def call_at(self, place: int, action: Callable[[], None]) -> None:
        """Call `action` once all that comes before that place is in, and nothing later."""
        if self._next_place < place:
            self._actions.append((place, action))
        else:
            action()

    def commit(
        self, worker: IngestionWorker, reports: Reports | None, turns_max: int | None = None
    ) -> bool:
        """Move finished output into the store.

        It ends early where a memory limit wants garbage to be collected before more comes in,
        which has to be done without the order lock. What a limit has no room for is refused.

        The worker gives what is not acknowledged again: after a Ctrl-C in the middle, the next
        commit goes on where this one stopped. What was inserted, but not counted yet, is inserted
        once more, and the store knows it.

        Args:
            worker: Whose output.
            reports: Where each outcome is reported; `None` for no reports.
            turns_max: The output of so many turns at the most.

        Returns:
            Whether it is done; if not, call `GuardedStore.settle`, then this again (with 0 turns
            more, if they are bounded).
        """
        try:
            taken = deque(worker.take_output(turns_max))
            if taken:
                self._skip_committed(taken, worker.settled_place)
                self._is_limited = self._store.has_limits
                if self._is_limited:
                    self._run_bytes_max = self._store.run_bytes_max
                if not self._commit_all(taken, reports):
                    return False
                worker.acknowledge(tuple(self._refused.values()))
                self._refused = {}
        finally:
            worker.let_go()
        return True

    def _skip_committed(self, taken: deque[Outcome], place: int) -> None:
        while taken and place < self._next_place:
            place += _num_places(taken.popleft())

    def _commit_all(self, taken: deque[Outcome], reports: Reports | None) -> bool:
        """Commit all of it, or as much as fits before garbage has to be collected."""
        is_limited = self._is_limited
        while taken:
            limit = self._store.full_limit if is_limited else None
            if limit is not None or reports is not None or not self._commit_unheard(taken):
                outcome = taken[0]
                self._call_due()
                report = self._commit_one(outcome, limit)
                if reports is not None:
                    reports.keep(report, 0 if report.chunk is None else outcome.size_bytes)
                self._next_place += _num_places(outcome)
                taken.popleft()
            if is_limited and taken and self._store.is_collection_due:
                return False
        self._call_due()
        return True

    def _commit_unheard(self, taken: deque[Outcome]) -> bool:
        """Commit chunks that need no report and no event.

        It ends at whatever else has to be seen to, also at a chunk that the store refuses.

        Returns:
            Whether there was anything to be committed so.
        """
        before = len(taken)
        while len(rows := self._rows_of(taken)) > 1 and self._store.insert_rows_unheard(rows):
            self._next_place += len(rows)
            for _ in rows:
                taken.popleft()
        try:
            self._store.insert_unheard(self._chunks_of(taken))
        except ForebayError as error:
            outcome = taken.popleft()
            assert isinstance(outcome, ProcessedChunk)  # noqa: S101, RUF100 - see `_chunks_of`
            error.chunk_id = outcome.chunk.id
            self._refused[outcome.seq] = outcome.refused(self._store_id, error)
            self._next_place += 1
        return len(taken) < before

    def _rows_of(self, taken: deque[Outcome]) -> list[PackedChunk]:
        """The packed rows that come first, up to whatever has to be seen to between them."""
        rows: list[PackedChunk] = []
        count = COMMIT_ROWS_MAX
        if self._actions:
            count = min(count, self._actions[0][0] - self._next_place)
        if self._is_limited:
            count = min(count, 1 + int(self._run_bytes_max) // _PACKED_BYTES)
        for outcome in islice(taken, max(0, count)):
            chunk = outcome.chunk if type(outcome) is ProcessedChunk else None
            if type(chunk) is not PackedChunk:
                break
            rows.append(chunk)
        return rows

    def _chunks_of(self, taken: deque[Outcome]) -> Iterator[Chunk]:
        due = self._actions[0][0] if self._actions else None
        bytes_left = self._run_bytes_max
        for number in range(COMMIT_CHUNKS_MAX):
            if not taken or self._next_place == due:
                return
            outcome = taken[0]
            if type(outcome) is not ProcessedChunk:
                return
            chunk = outcome.chunk
            if number and type(chunk) is PackedChunk:
                return  # There may be more of them, which cost less together.
            yield chunk
            self._next_place += 1
            taken.popleft()
            bytes_left -= outcome.size_bytes + _CHUNK_BYTES
            if outcome.size_bytes > COMMIT_BYTES_MAX or bytes_left < 0:
                return

    def _commit_one(self, outcome: Outcome, limit: MemoryLimit | None) -> WorkerOutput:
        match outcome:
            case RejectedMsg():
                return WorkerOutput(None, self._next_place == 0, outcome.error)
            case DroppedMsg():
                error = _dropped(self._store_id, outcome.count, outcome.reason)
                return WorkerOutput(None, self._next_place == 0, error)
            case ProcessedChunk() if limit is not None:
                refused = outcome.refused(self._store_id, limit.refusal)
                self._refused[outcome.seq] = refused
                # Without the chunk: what there is no room for must not live on in a report.
                return WorkerOutput(None, self._next_place == 0, refused.error)
            case ProcessedChunk():
                try:
                    was_empty, events = self._store.insert(outcome.chunk)
                except ForebayError as refusal:
                    self._refused[outcome.seq] = outcome.refused(self._store_id, refusal)
                    return WorkerOutput(outcome.chunk, self._next_place == 0, refusal)
                return WorkerOutput(outcome.chunk, was_empty, events)
            case _:
                assert_never(outcome)

    def _call_due(self) -> None:
        waiting = self._actions
        while waiting and waiting[0][0] <= self._next_place:
            try:
                waiting[0][1]()
            except Exception:
                waiting.popleft()
                raise
            waiting.popleft()  # not before: a Ctrl-C must not lose an activation


def _num_places(outcome: Outcome) -> int:
    return outcome.count if type(outcome) is DroppedMsg else 1


def _dropped(store_id: StoreId, count: int, reason: str) -> MessageDroppedError:
    text = f"{count} messages of {store_id} were dropped ({reason}); gaps() tells which"
    return MessageDroppedError(text, count=count, store_id=store_id)
