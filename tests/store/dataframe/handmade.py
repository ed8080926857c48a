"""Chunks that no SDK logs, but that may come: nulls, any Arrow type, overlap, unsorted times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st
from rerun.chunk import Chunk as RerunChunk
from rerun.chunk import ChunkStore as RerunStore
from rerun.chunk import LazyChunkStream

from forebay.chunk import Chunk
from forebay.model import EntityPath, Timeline, TimeType
from tests.chunks import make_chunk

LINES = (
    Timeline("frame", TimeType.SEQUENCE),
    Timeline("long", TimeType.DURATION),
    Timeline("when", TimeType.TIMESTAMP),
)
TIMES = st.sampled_from((-(2**62), -5, 0, 1, 2, 3, 4, 7, 2**62))

_small = st.integers(-9, 9)
_floats = st.sampled_from((0.0, -1.5, 2.25))
_text = st.text("aä☃", max_size=3)

# By component: the type of one instance, and instances.
COMPONENTS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "Scalars:scalars": (pa.float64(), _floats),
    "byte": (pa.int8(), _small),
    "flag": (pa.bool_(), st.booleans()),
    "text": (pa.string(), _text),
    "blob": (pa.list_(pa.uint8()), st.lists(st.integers(0, 255), max_size=3)),
    "position": (pa.list_(pa.float32(), 3), st.lists(_floats, min_size=3, max_size=3)),
    "pair": (
        pa.struct([("x", pa.int16()), ("s", pa.string())]),
        st.fixed_dictionaries({"x": _small, "s": _text}),
    ),
    "nested": (pa.list_(pa.list_(pa.string())), st.lists(st.lists(_text, max_size=2), max_size=2)),
    "id": (pa.binary(4), st.binary(min_size=4, max_size=4)),
    "instant": (pa.timestamp("ns"), st.integers(0, 99).map(lambda i: 1000 * i)),
}


@st.composite
def _cells(draw: st.DrawFn, component: str, rows: int) -> pa.Array:
    kind, instances = COMPONENTS[component]
    lists = st.lists(st.none() | instances, max_size=3) | st.lists(
        instances, min_size=1, max_size=1
    )
    cells = draw(st.lists(st.none() | lists, min_size=rows, max_size=rows))
    return pa.array(cells, pa.list_(kind))


@st.composite
def chunks(draw: st.DrawFn) -> list[Chunk]:
    names = draw(st.lists(st.sampled_from(sorted(COMPONENTS)), min_size=1, max_size=3, unique=True))
    lines = draw(st.lists(st.sampled_from(LINES), min_size=1, max_size=3, unique=True))
    numbers = iter(draw(st.permutations(range(1, 60))))
    out = []
    for number in range(draw(st.integers(1, 6))):
        entity = draw(st.sampled_from(("/a", "/a/b", "/c")))
        static = draw(st.integers(0, 7)) == 0
        rows = 1 if static else draw(st.integers(1, 5))
        here = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
        on = [] if static else draw(st.lists(st.sampled_from(lines), min_size=1, unique=True))
        out.append(
            make_chunk(
                entity,
                {line: draw(st.lists(TIMES, min_size=rows, max_size=rows)) for line in on},
                {name: draw(_cells(name, rows)) for name in here},
                row_ids=sorted(next(numbers) for _ in range(rows)),
                id=1000 + number,
            )
        )
    return out


class AllChunks:
    """A snapshot of chunks as they were made: what a store that forgets nothing would give.

    Rerun's schema remembers static data that newer static data has replaced, our store does not
    (docs/differences.md); that is not the question here.
    """

    def __init__(self, made: Sequence[Chunk]) -> None:
        self._made = made

    def entity_paths(self) -> list[EntityPath]:
        return sorted({chunk.entity_path for chunk in self._made}, key=lambda path: path.sort_key)

    def timelines(self) -> dict[str, TimeType]:
        return {
            name: index.timeline.type
            for chunk in self._made
            for name, index in chunk.layout.indexes.items()
        }

    def timeline(self, name: str) -> Timeline:
        return Timeline(name, self.timelines()[name])

    def chunks(self, entity_path: EntityPath) -> list[Chunk]:
        return self._of(entity_path, static=False)

    def static_chunks(self, entity_path: EntityPath) -> list[Chunk]:
        return self._of(entity_path, static=True)

    def _of(self, path: EntityPath, *, static: bool) -> list[Chunk]:
        return [c for c in self._made if c.entity_path == path and c.is_static is static]


def both(made: list[Chunk]) -> tuple[RerunStore, AllChunks]:
    """The chunks in a store of Rerun's, and as they are."""
    stream = LazyChunkStream.from_iter(
        [one for chunk in made for one in RerunChunk.from_record_batch(chunk.batch)]
    )
    return stream.collect(), AllChunks(made)
