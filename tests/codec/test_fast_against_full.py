"""A decoder that has learnt what messages are like against one that knows nothing.

Sound messages of several schemas are edited where it counts (`descriptors`): lengths, null counts,
places of buffers, offsets, ids. The warmed decoder is taught with the sound message and with an
edited one, then given that one edited once more. Whatever it accepts, on any of its ways, must be
what full decoding accepts, with the same rows; and whatever is accepted can be used for all that
chunks are used for.

`FOREBAY_FUZZ_EXAMPLES` asks for more examples than the suite takes.
"""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from forebay.chunk import Chunk, EncodedChunk, PackedChunk
from tests.codec.descriptors import EDITS
from tests.codec.lessons import CELLS, SHAPES, check

EXAMPLES = int(os.environ.get("FOREBAY_FUZZ_EXAMPLES", "30"))

choices = st.lists(st.integers(0, 2**12), max_size=9)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.sampled_from(SHAPES), choices, choices)
@example(("scalars", "frame", 5), [], [])
def test_what_is_learnt_accepts_what_full_decoding_accepts(
    shape: tuple[str, str, int], lesson: list[int], then: list[int]
) -> None:
    check(shape, lesson, then)


@pytest.mark.parametrize("cells", CELLS)
def test_every_single_edit_of_every_schema(cells: str) -> None:
    """Drawn from a seed, so that each schema and each kind of edit has its turn in every run."""
    generator = random.Random(cells)
    ways: Counter[str] = Counter()
    for kind in range(len(EDITS)):
        shape = generator.choice([shape for shape in SHAPES if shape[0] == cells])
        lesson = [kind, generator.randrange(2**12), generator.randrange(2**12)]
        then = [generator.randrange(2**12) for _ in range(3)]
        ways += check(shape, lesson, then)
    assert ways["refused"]


def test_all_ways_are_taken() -> None:
    """Else the comparison compares nothing."""
    ways = check(("scalars", "frame", 1), [], []) + check(("scalars", "frame", 5), [], [])
    ways += check(("texts", "frame", 5), [], [])
    assert {"alike", PackedChunk.__name__, EncodedChunk.__name__, Chunk.__name__} <= set(ways)
