"""Sequences of changes and questions of a store, against plain rows and loops."""

from __future__ import annotations

import random

from forebay.chunk import Chunk
from forebay.codec import ChunkDecoder, StreamDecoder, StreamEncoder, encode_chunk
from forebay.errors import InvalidChunkError
from forebay.model import ArrowMsg, ChunkId
from forebay.store import ChunkStore, StoreSnapshot
from tests.fuzz import samples
from tests.fuzz.arrow_fields import change_stream
from tests.fuzz.mutators import Recipe, change_bytes, one_of
from tests.fuzz.target import Target
from tests.fuzz.targets.spill_files import change_recipe
from tests.store import model
from tests.store.logs import FIRST, LAST
from tests.store.model import CLEAR, Row, Value
from tests.store.replay import Replay
from tests.store.rows import (
    STORE_ID,
    chunk_of,
    chunks_held,
    latest,
    narrow_nodes,
    ranged,
    row_id,
    rows_held,
)

ENTITIES = ("/", "/a", "/a/b", "/d")
TIMES = (-2, 0, 1, 2, 3, 5, FIRST, LAST)
LINES = ((), ("frame",), ("frame",), ("frame", "clock"), ("clock",))
HOSTILE = "/h"
STEPS_MAX = 16


def run(data: bytes) -> str:
    """Do what the bytes say, step by step, and look after each."""
    recipe = Recipe(data)
    with narrow_nodes((2, 3, 64)[recipe.below(3)]):
        world = World(recipe)
        for _ in range(STEPS_MAX):
            if recipe.is_over:
                break
            world.step()
        world.end()
    return f"{sorted(world.done)} {world.store.num_chunks.bit_length()}"


class World:
    """A store, what it must hold, and copies of it that may not change."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.store = ChunkStore(STORE_ID)
        self.replay = Replay()
        self.num_rows = 0
        self.num_hostile = 0
        self.frozen: list[tuple[StoreSnapshot, int, str]] = []
        self.done: set[str] = set()

    def step(self) -> None:
        ways = (
            self.insert,
            self.insert,
            self.insert,
            self.insert_again,
            self.insert_hostile,
            self.insert_hostile,
            self.collect,
            self.drop_entity,
            self.drop_time_range,
            self.freeze,
            self.copy,
            self.save,
            self.ask,
            self.ask,
        )
        way = ways[self.recipe.below(len(ways))]
        self.done.add(way.__name__)
        way()
        assert self.store.num_chunks >= 0
        assert self.store.held_bytes >= self.store.byte_size >= 0

    def end(self) -> None:
        self.replay.assert_matches(self.store)
        for snapshot, num_rows, answers in self.frozen:
            assert snapshot.num_rows == num_rows, "a snapshot changed"
            assert answers_of(snapshot) == answers, "a snapshot answers otherwise than it did"
        held = rows_held(self.store.snapshot())
        for entity in ENTITIES:
            self.compare(held, entity, "frame", LAST)
        events = self.store.gc(protect_latest=0)
        self.replay.follow(events)
        assert all(row.is_static for row in rows_held(self.store.snapshot()))

    # Changes

    def insert(self) -> None:
        before = self.store.num_rows
        rows = self.rows()
        chunk = chunk_of(*rows)
        self.replay.follow(self.store.insert(chunk))
        if not chunk.is_static and chunk.layout.components:
            assert self.store.num_rows == before + len(rows)

    def insert_again(self) -> None:
        """A chunk that is there, or was merged into another, changes nothing."""
        chunks = sorted(self.replay.chunks.values(), key=lambda chunk: chunk.id)
        if chunks:
            again = chunks[self.recipe.below(len(chunks))]
            assert self.store.insert(again) == []

    def insert_hostile(self) -> None:
        """What a decoder lets pass, whatever it is."""
        chunk = hostile(self.recipe, self.num_hostile)
        if chunk is not None:
            self.num_hostile += 1
            self.replay.follow(self.store.insert(chunk))

    def collect(self) -> None:
        part = self.recipe.byte()
        protect = self.recipe.below(3)
        snapshot = self.store.snapshot()
        answers = self.latest_of_all(snapshot) if protect else {}
        if part < 128:
            events = self.store.gc(self.store.byte_size * part // 128, protect_latest=protect)
        else:
            left = self.store.held_bytes * (part - 128) // 128
            events = self.store.gc(held_bytes_max=left, protect_latest=protect)
        self.replay.follow(events)
        if protect:
            after = self.latest_of_all(self.store.snapshot())
            assert after == answers, "garbage collection took a latest value"

    def latest_of_all(self, snapshot: StoreSnapshot) -> dict[tuple[str, str], object]:
        return {
            (str(entity), line): latest(snapshot, line, LAST, entity)
            for entity in snapshot.entity_paths()
            for line in snapshot.timelines()
            if not entity.startswith(HOSTILE) and line in ("frame", "clock")
        }

    def drop_entity(self) -> None:
        entities = self.store.snapshot().entity_paths()
        if entities:
            entity = entities[self.recipe.below(len(entities))]
            self.replay.follow(self.store.drop_entity(entity))
            assert entity not in self.store.snapshot().entity_paths()

    def drop_time_range(self) -> None:
        lines = list(self.store.snapshot().timelines())
        if lines:
            line = lines[self.recipe.below(len(lines))]
            first = TIMES[self.recipe.below(len(TIMES))]
            last = TIMES[self.recipe.below(len(TIMES))]
            self.replay.follow(self.store.drop_time_range(line, first, last))
            left = [row for row in rows_held(self.store.snapshot()) if line in row.times]
            assert not any(first <= row.times[line] <= last for row in left)

    def freeze(self) -> None:
        snapshot = self.store.snapshot()
        self.frozen.append((snapshot, snapshot.num_rows, answers_of(snapshot)))

    def copy(self) -> None:
        """Change what is changed no more: a copy is independent."""
        kept = self.store.copy(STORE_ID)
        rows = kept.num_rows
        self.replay.follow(self.store.gc(self.store.byte_size // 2))
        assert kept.num_rows == rows
        kept.gc(protect_latest=0)

    def save(self) -> None:
        """Write all chunks to a file; what is read again are the same rows."""
        snapshot = self.store.snapshot()
        encoder = StreamEncoder()
        parts = [encoder.header()]
        parts += [
            encoder.encode(encode_chunk(STORE_ID, chunk), chunk) for chunk in chunks_held(snapshot)
        ]
        parts.append(encoder.finish())
        decoder, chunks = StreamDecoder(), ChunkDecoder()
        again = ChunkStore(STORE_ID)
        for msg in decoder.feed(b"".join(parts)):
            assert isinstance(msg, ArrowMsg)
            again.insert(chunks.decode(msg))
        decoder.finish()
        assert model.as_bag(rows_held(again.snapshot())) == model.as_bag(rows_held(snapshot))

    # Questions

    def ask(self) -> None:
        snapshot = self.store.snapshot()
        entities = snapshot.entity_paths()
        lines = list(snapshot.timelines())
        if not entities:
            return
        entity = entities[self.recipe.below(len(entities))]
        line = (*lines, None)[self.recipe.below(len(lines) + 1)]
        time = TIMES[self.recipe.below(len(TIMES))]
        if entity.startswith(HOSTILE) or line not in ("frame", "clock"):
            snapshot.latest_at(line, time, entity)
            snapshot.range(line, FIRST, LAST, entity).validate(full=True)
            snapshot.dataframe(line, f"{entity}").validate(full=True)
        else:
            self.compare(rows_held(snapshot), entity, line, time)

    def compare(self, held: list[Row], entity: str, line: str, time: int) -> None:
        snapshot = self.store.snapshot()
        if entity not in snapshot.entity_paths() or line not in snapshot.timelines():
            return
        assert latest(snapshot, line, time, entity) == model.latest_at(held, line, time, entity)
        expected = model.range_(held, line, FIRST, time, entity)
        assert ranged(snapshot, line, FIRST, time, entity) == expected

    # Rows

    def rows(self) -> list[Row]:
        recipe = self.recipe
        entity = ENTITIES[recipe.below(len(ENTITIES))]
        lines = LINES[recipe.below(len(LINES))]
        rows = []
        for _ in range(1 + recipe.below(3)):
            times = {line: TIMES[recipe.below(len(TIMES))] for line in lines}
            # Row ids of their own, mostly rising.
            number = self.num_rows + (64 if recipe.below(4) == 0 else 0)
            self.num_rows += 1
            rows.append(Row(entity, row_id(number * 128 + self.num_rows), times, self.cells()))
        return rows

    def cells(self) -> dict[str, Value | None]:
        recipe = self.recipe
        cells: dict[str, Value | None] = {}
        kinds = recipe.byte()
        if kinds & 1:
            cells["P:colors"] = (None, [], [1], [2, 3])[recipe.below(4)]
        if kinds & 2:
            cells["P:labels"] = (None, ["a"], [None], [])[recipe.below(4)]
        if kinds & 12 == 12:
            cells[CLEAR] = ([True], [False])[recipe.below(2)]
        return cells


def answers_of(snapshot: StoreSnapshot) -> str:
    """All that a snapshot says, as text."""
    held = sorted(map(repr, map(model.row_key, rows_held(snapshot))))
    return repr((held, snapshot.timelines(), snapshot.entity_paths()))


_PAYLOADS = samples.payloads()


def hostile(recipe: Recipe, number: int) -> Chunk | None:
    payload = _PAYLOADS[recipe.below(len(_PAYLOADS))]
    rng = random.Random(recipe.byte() << 8 | recipe.byte())
    for _ in range(recipe.below(4)):
        payload = change_stream(payload, rng)
    payload = payload.replace(b"/a/b", b"/h/b")
    fresh = str(ChunkId.from_parts(number + 1, 3)).encode()
    payload = payload.replace(str(ChunkId.from_parts(1, 1)).encode(), fresh)
    try:
        chunk = ChunkDecoder().decode(samples.message(payload, lz4=False))
    except InvalidChunkError:
        return None
    return chunk if chunk.entity_path.startswith(HOSTILE) else None


def seeds() -> list[bytes]:
    rng = random.Random(1)
    return [rng.randbytes(size) for size in (8, 16, 32, 48, 64, 64, 96, 96, 128, 128)]


TARGET = Target(run, seeds, one_of((2, change_recipe), (3, change_bytes)), bytes_max=192, weight=3)
