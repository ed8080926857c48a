"""Output moves into the store in order, at its place, and in steps that let others in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import pytest

from forebay.chunk import Chunk
from forebay.errors import MessageDroppedError, StoreError
from forebay.hub import commits as commits_module
from forebay.hub.commits import Commits
from forebay.hub.guarded_store import GuardedStore
from forebay.hub.reports import Reports
from forebay.ingest import DroppedMsg, Outcome, ProcessedChunk, RejectedMsg
from forebay.runtime import InlineRuntime
from forebay.store import ChunkStore
from tests.chunks import make_chunk
from tests.hub.conftest import recording_id


class Steps(GuardedStore):
    """Notes how many chunks each insertion under one lock was of."""

    def __init__(self) -> None:
        super().__init__(ChunkStore(recording_id()), InlineRuntime(), None)
        self.steps: list[int] = []

    def insert_unheard(self, chunks: Iterable[Chunk]) -> None:
        before = self._store.num_rows
        super().insert_unheard(chunks)
        self.steps.append(self._store.num_rows - before)


class Finished:
    """A worker that has decoded everything."""

    def __init__(self, *outcomes: Outcome, settled_place: int = 0) -> None:
        self.outcomes = list(outcomes)
        self.settled_place = settled_place
        self.refused: tuple[RejectedMsg, ...] = ()
        self.is_let_go = False

    def take_output(self, turns_max: int | None = None) -> list[Outcome]:
        del turns_max
        return self.outcomes

    def acknowledge(self, refused: tuple[RejectedMsg, ...]) -> None:
        self.refused += refused
        self.outcomes = []

    def let_go(self) -> None:
        self.is_let_go = True


def chunk(number: int) -> Chunk:
    return make_chunk("/a", {"frame": [number]}, {"S:x": [[float(number)]]}, [number], number)


def processed(number: int, size_bytes: int = 100) -> ProcessedChunk:
    return ProcessedChunk(number, chunk(number), "", size_bytes)


def dropped(seq: int, count: int) -> DroppedMsg:
    return DroppedMsg(seq, seq + count - 1, count, 100, (("drop_oldest", count),))


def frames(store: GuardedStore) -> list[int]:
    snapshot = store.snapshot()
    if not snapshot.num_rows:
        return []
    column = snapshot.range("frame", -100, 100, "/a")["frame"]
    return [int(one.as_py()) for one in column]


def test_after_a_large_chunk_others_get_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits_module, "COMMIT_BYTES_MAX", 1000)
    store = Steps()
    worker: Any = Finished(processed(1), processed(2, 2000), processed(3, 2000), processed(4))
    Commits(store).commit(worker, None)
    assert store.steps == [2, 1, 1]
    assert worker.is_let_go


@pytest.mark.parametrize("is_told", [True, False])
def test_an_action_comes_at_its_place_behind_dropped_messages(is_told: bool) -> None:
    store = Steps()
    commits = Commits(store)
    acted: list[list[int]] = []
    commits.call_at(4, lambda: acted.append(frames(store)))
    commits.call_at(5, lambda: acted.append(frames(store)))
    worker: Any = Finished(dropped(0, 3), processed(3), processed(4), processed(5))
    commits.commit(worker, Reports(recording_id(), 1000) if is_told else None)
    assert acted == [[3], [3, 4]]
    commits.call_at(6, lambda: acted.append(frames(store)))
    assert acted[2:] == [[3, 4, 5]], "all before it is in: at once"


def test_dropped_messages_are_told_of_with_their_number() -> None:
    commits, reports = Commits(Steps()), Reports(recording_id(), 1000)
    worker: Any = Finished(dropped(0, 3))
    commits.commit(worker, reports)
    [report] = reports.take()
    assert isinstance(report.result, MessageDroppedError)
    assert report.result.count == 3


@pytest.mark.parametrize("is_told", [True, False])
def test_what_comes_again_is_not_committed_again(is_told: bool) -> None:
    store = Steps()
    commits = Commits(store)
    reports = Reports(recording_id(), 1000) if is_told else None
    first: Any = Finished(dropped(0, 2), processed(2), processed(3))
    commits.commit(first, reports)
    store._store.drop_entity("/a")  # so that it would show
    again: Any = Finished(dropped(0, 2), processed(2), processed(3), processed(4))
    commits.commit(again, reports)
    assert frames(store) == [4]


def test_an_action_that_raises_is_not_called_again() -> None:
    commits = Commits(Steps())
    calls: list[int] = []

    def failing() -> None:
        calls.append(1)
        raise ValueError

    commits.call_at(1, failing)
    worker: Any = Finished(processed(0))
    with pytest.raises(ValueError):  # noqa: PT011
        commits.commit(worker, None)
    assert worker.is_let_go
    commits.commit(worker, None)
    assert (calls, list(commits._actions)) == ([1], [])


@pytest.mark.parametrize("is_told", [True, False])
def test_a_refused_chunk_keeps_its_place(monkeypatch: pytest.MonkeyPatch, is_told: bool) -> None:
    store = Steps()
    insert = store._store._insert

    def picky(one: Chunk, *rest: Any, **options: Any) -> bool:
        if one.times("frame")[0] == 1:
            msg = "not this one"
            raise ValueError(msg)
        return insert(one, *rest, **options)

    monkeypatch.setattr(store._store, "_insert", picky)
    commits = Commits(store)
    acted: list[list[int]] = []
    commits.call_at(3, lambda: acted.append(frames(store)))
    worker: Any = Finished(*map(processed, range(5)))
    commits.commit(worker, Reports(recording_id(), 1000) if is_told else None)
    assert acted == [[0, 2]]
    assert frames(store) == [0, 2, 3, 4]
    [refused] = worker.refused
    assert (refused.seq, refused.chunk_id) == (1, chunk(1).id)
    assert isinstance(refused.error, StoreError)
    worker.outcomes = [processed(5)]
    worker.settled_place = 5
    commits.commit(worker, None)
    assert len(worker.refused) == 1, "told once"


def test_outcomes_are_left_alone_until_they_are_in() -> None:
    taken: deque[Outcome] = deque([processed(0), processed(1)])
    commits = Commits(Steps())
    commits._skip_committed(taken, 0)
    assert len(taken) == 2
