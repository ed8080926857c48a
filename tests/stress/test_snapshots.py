"""One snapshot, or one chunk, read by many threads at once."""

from __future__ import annotations

from forebay.hub import StoreHub
from forebay.runtime import NativeRuntime
from forebay.store import Cell, StoreSnapshot
from tests.hub.conftest import message, recording_id
from tests.stress.hammer import hammer

THREADS = 4
ROWS = 200
ENTITIES = ("/a", "/a/b", "/c")


def snapshot_of(runtime: NativeRuntime) -> StoreSnapshot:
    hub = StoreHub(runtime=runtime)
    for number in range(ROWS):
        for entity in ENTITIES:
            hub.receive_log_msg(message(number, entity=entity))
    hub.flush()
    return hub[recording_id()].snapshot()


def test_latest_at(native: NativeRuntime) -> None:
    """The same cells for everybody, also where all ask for the first time."""
    snapshot = snapshot_of(native)
    answers: list[list[Cell]] = []

    def ask() -> None:
        answers.append(
            [
                snapshot.latest_at("frame", at, entity)["Scalars:scalars"]
                for _ in range(20)
                for entity in ENTITIES
                for at in range(ROWS)
            ]
        )

    hammer([ask] * THREADS)
    assert [cell.time for cell in answers[0][:ROWS]] == list(range(ROWS))
    assert len({cell.row_id for cell in answers[0]}) == ROWS * len(ENTITIES)
    for answer in answers[1:]:
        assert answer == answers[0]


def test_tables(native: NativeRuntime) -> None:
    """Ranges and dataframes, while others ask for single cells, sizes and bounds."""
    snapshot = snapshot_of(native)
    expected = {entity: snapshot.range("frame", 10, 90, entity) for entity in ENTITIES}
    frame = snapshot.dataframe("frame", fill_latest_at=True)
    fresh = snapshot_of(native)

    def ask() -> None:
        for _ in range(5):
            for entity, table in expected.items():
                found = fresh.range("frame", 10, 90, entity)
                assert found.drop_columns("row_id").equals(table.drop_columns("row_id"))
            found = fresh.dataframe("frame", fill_latest_at=True)
            assert found.equals(frame)
            assert fresh.time_range("frame") == (0, ROWS - 1)
            assert fresh.byte_size > 0
            assert fresh.entity_paths() == list(ENTITIES)

    hammer([ask] * THREADS)
