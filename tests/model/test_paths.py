from __future__ import annotations

import random
import sys
import warnings
from pathlib import Path

import pytest
import rerun as rr
import rerun.chunk
from hypothesis import given
from hypothesis import strategies as st
from rerun_bindings import escape_entity_path_part

from forebay.codec import ChunkDecoder, StreamDecoder
from forebay.model import ArrowMsg, EntityPath, paths

# What a path may be made of, at the edges of every rule that there is.
PIECES = [*"ab01F/\\{}+ .-_:[]\n\t\0é☮हि😀ⅫⒶ", "\\u{", "\\u{262E}", "//", "\\n", "__"]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", "/"),
        ("/", "/"),
        ("//", "/"),
        ("world", "/world"),
        ("/world//points/", "/world/points"),
        ("we ird/ä:b/x.y", "/we\\ ird/ä\\:b/x.y"),
        ("/we\\ ird/ä\\:b", "/we\\ ird/ä\\:b"),
        ("a\\/b", "/a\\/b"),
        ("new\nline\ttab", "/new\\nline\\ttab"),
        ("\\u{262E}", "/\\u{262E}"),
        ("\\u{apa}", "/\\\\u\\{apa\\}"),
        ("😀", "/\\u{1F600}"),
        ("हिंदी/日本語", "/हिंदी/日本語"),
        ("हिन्दी", "/हिन\\u{094D}दी"),
        ("trailing\\", "/trailing\\\\"),
        ("\\u{FFFFFF}", "/\\\\u\\{FFFFFF\\}"),
    ],
)
def test_canonical_form(text: str, canonical: str) -> None:
    assert EntityPath(text) == canonical


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text())
def test_the_canonical_form_is_its_own(text: str) -> None:
    path = EntityPath(text)
    assert EntityPath(str(path)) == path
    assert EntityPath.from_parts(*path.parts) == path


@given(st.lists(st.text(min_size=1), max_size=4))
def test_parts_survive(parts: list[str]) -> None:
    assert EntityPath.from_parts(*parts).parts == tuple(parts)


def test_parents_and_ancestors() -> None:
    path = EntityPath("/a/b\\/c/d")
    assert path.parent == "/a/b\\/c"
    assert path.ancestors() == ("/a/b\\/c", "/a", "/")
    assert EntityPath("/").parent is None
    assert path.is_descendant_of(EntityPath("/a"))
    assert path.is_descendant_of(EntityPath("/"))
    assert not path.is_descendant_of(path)
    assert not EntityPath("/ab").is_descendant_of(EntityPath("/a"))


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_ancestors_are_the_paths_of_the_first_parts(text: str) -> None:
    path = EntityPath(text)
    parts = path.parts
    found = path.ancestors()
    assert found == tuple(EntityPath.from_parts(*parts[:n]) for n in reversed(range(len(parts))))
    assert [one.parts for one in found] == [parts[:n] for n in reversed(range(len(parts)))]


def test_each_part_is_escaped_once_for_all_paths_above(monkeypatch: pytest.MonkeyPatch) -> None:
    """A latest-at of a deep entity asks for them, so its cost would grow with the depth squared."""
    path = EntityPath("/a b" * 300)
    escaped: list[str] = []
    escape = paths._escape
    monkeypatch.setattr(paths, "_escape", lambda part: escaped.append(part) or escape(part))
    assert len(path.ancestors()) == 300
    assert len(escaped) == 300


def test_reserved_paths() -> None:
    assert EntityPath("/__properties/x").is_reserved
    assert not EntityPath("/a/__properties").is_reserved
    assert not EntityPath("/").is_reserved


@pytest.mark.parametrize(
    "ordered",
    [
        ["10", "a", "aa", "b", "c"],
        ["a", "a0", "a1", "a1a", "a1b", "a2", "a10", "a20"],
        ["1.001", "1.002", "1.010", "1.02", "1.1", "1.3"],
        ["a 2", "a2"],
        ["a-b", "a1", "a_", "ab"],
        ["A", "a", "B", "b", "c"],
        ["Aa", "Ab", "aa"],
        ["007", "07", "7", "70"],
        ["/", "/a", "/a/b", "/a2", "/z", "/__x"],
    ],
)
def test_natural_order(ordered: list[str]) -> None:
    paths = [EntityPath(each) for each in ordered]
    shuffled = random.Random(0).sample(paths, len(paths))
    assert sorted(shuffled, key=lambda path: path.sort_key) == paths


def test_every_character_is_escaped_as_rerun_escapes_it() -> None:
    for code in range(sys.maxunicode + 1):
        if not 0xD800 <= code <= 0xDFFF:
            char = chr(code)
            assert EntityPath.from_parts(char) == "/" + escape_entity_path_part(char), hex(code)


def test_paths_are_parsed_and_ordered_as_rerun_does(tmp_path: Path) -> None:
    """Log under 1,500 paths made of trouble; compare what the SDK and its reader made of them."""
    rng = random.Random(7)
    texts = ["".join(rng.choices(PIECES, k=rng.randint(1, 12))) for _ in range(1500)]
    recording = rr.RecordingStream("forebay_paths", recording_id="paths", send_properties=False)
    recording.save(tmp_path / "paths.rrd")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, text in enumerate(texts):
            recording.log(text, rr.Scalars(float(number)), static=True)
    recording.disconnect()

    decoder = ChunkDecoder()
    by_rerun = {}
    for message in StreamDecoder().feed((tmp_path / "paths.rrd").read_bytes()):
        if isinstance(message, ArrowMsg):
            chunk = decoder.decode(message)
            path = chunk.batch.schema.metadata[b"rerun:entity_path"].decode()
            assert chunk.entity_path == path
            for number in chunk.component("Scalars:scalars").flatten().to_pylist():
                by_rerun[int(number)] = path
    # Rerun keeps reserved paths for itself and logs nothing there.
    assert len(by_rerun) > 1000
    for number, path in by_rerun.items():
        assert EntityPath(texts[number]) == path, repr(texts[number])

    store = rerun.chunk.RrdReader(tmp_path / "paths.rrd").stream().collect()
    paths = [column.entity_path for column in store.schema().component_columns()]
    assert paths == sorted(paths, key=lambda path: EntityPath(path).sort_key)
