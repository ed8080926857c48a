"""Content expressions mean what they mean to Rerun; faults are shown where they are."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forebay.errors import ExpressionError
from forebay.model import ContentFilter, EntityPath
from tests.chunks import make_chunk
from tests.model.test_paths import PIECES
from tests.store.dataframe import handmade

ENTITIES = (
    "/",
    "/a",
    "/a/b",
    "/a/b/c",
    "/ab",
    "/world/roads",
    "/world/roads/main",
    r"/we\ ird/ä\:b",
    r"/a\+b",
    "/__properties",
    "/__properties/x",
)

EXPRESSIONS = (
    None,
    "/**",
    "a",
    "/a",
    "a/**",
    "/a/**",
    "+/a/** -/a/b",
    "+ /a/**\n- /a/b/**\n+ /a/b/c",
    "+ /a/b/c\n- /a/b/**\n+ /a/**",
    "- /a\n+ /a",
    "+ /a\n- /a",
    ["/**", "- /world/roads/**", "/world/roads/main"],
    [],
    "",
    r"/we\ ird/**",
    r"/we\ ird/ä\:b",
    "/we ird/**",
    "/__properties",
    "/__properties/**",
    "/** /__properties/x",
    "/** - /__properties/**",
    r"/a\+b",
    "/a+b",
    "   /a\t\t-   /a/b   /a/b/**  ",
    "/a//b/",
    r"/w\u{0065}\ ird/**",
    r"/w\u{65}\ ird/**",
    r"/w\u{000065}\ ird/**",
)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_selects_what_rerun_selects(expression: str | list[str] | None) -> None:
    chunks = [make_chunk(path, None, {"S:x": [[1.0]]}) for path in ENTITIES]
    theirs, _ = handmade.both(chunks)
    schema = theirs.reader(None, contents=expression).schema()
    selected = {field.metadata[b"rerun:entity_path"].decode() for field in schema}
    rules = ContentFilter.parse(expression)
    assert set(rules.select(map(EntityPath, ENTITIES))) == selected


@pytest.mark.parametrize(
    ("expression", "position", "hint"),
    [
        ("/world/*", 8, "trailing"),
        ("/a /b/**/c", 7, "trailing"),
        ("$origin/a", 1, "is not supported"),
        ("+ ", 1, "needs an entity path"),
        ("/a -", 4, "needs an entity path"),
        ("-\n/a", 1, "needs an entity path"),
        ("/a\\", 3, "escapes nothing"),
        (r"/a\q", 3, "not an escape"),
        (r"/a\u{}", 3, "hexadecimal"),
        (r"/a\u{0001F642}", 3, "hexadecimal"),
        (r"/a\u1F642", 3, "hexadecimal"),
        (r"/a\u{110000}", 3, "no Unicode character"),
        (r"/a \u{DC00}", 4, "no Unicode character"),
    ],
)
def test_shows_where_the_fault_is(expression: str, position: int, hint: str) -> None:
    with pytest.raises(ExpressionError, match=hint) as caught:
        ContentFilter.parse(expression)
    assert f"position {position}:" in str(caught.value)
    assert repr(expression) in str(caught.value)


def test_escapes_stand_for_themselves() -> None:
    rules = ContentFilter.parse(r"/a\*b /\$x")
    assert rules.select([EntityPath("/a*b"), EntityPath("/$x"), EntityPath("/ab")]) == [
        r"/a\*b",
        r"/\$x",
    ]


@given(st.lists(st.sampled_from(PIECES) | st.characters(), max_size=12).map("".join))
@example("🙂")
@example("a\\/b")
@example("/ **/$x +- \n\u2028")
@example("\ud800\\u{\udfff}")
def test_a_path_as_printed_selects_its_entity_alone(text: str) -> None:
    path = EntityPath(text)
    assert EntityPath(str(path)) == path
    others = [path.parent or EntityPath("/x"), EntityPath.from_parts(*path.parts, "child")]
    for expression in (str(path), f"+ {path}", [str(path)], f"/nowhere {path}\n- /other"):
        assert ContentFilter.parse(expression).select([path, *others]) == [path]
    root = "/" if path == "/" else f"{path}/"
    assert ContentFilter.parse(f"{root}**").select([path, *others[1:]]) == [path, *others[1:]]


def test_rerun_reads_what_our_paths_print() -> None:
    rng = random.Random(11)
    texts = {"".join(rng.choices(PIECES, k=rng.randint(1, 8))) for _ in range(150)}
    paths = sorted({EntityPath(text) for text in texts} - {EntityPath("/")})
    # Rerun cuts an escaped space off the end of an expression: docs/differences.md.
    paths = [path for path in paths if not (path.is_reserved or path.endswith("\\ "))]
    theirs, _ = handmade.both([make_chunk(path, None, {"S:x": [[1.0]]}) for path in paths])
    for path in paths:
        schema = theirs.reader(None, contents=str(path)).schema()
        selected = [field.metadata[b"rerun:entity_path"].decode() for field in schema]
        assert selected == ContentFilter.parse(str(path)).select(paths) == [path]


def test_takes_only_text() -> None:
    with pytest.raises(ExpressionError, match="not 3"):
        ContentFilter.parse(["/a", 3])  # type: ignore[list-item]
    with pytest.raises(ExpressionError, match="not 3"):
        ContentFilter.parse(3)  # type: ignore[arg-type]


def test_prints_its_rules_in_order_of_precedence() -> None:
    rules = ContentFilter.parse("- /a/b\n/a/** ")
    assert str(rules) == "+ /a/**\n- /__properties/**\n- /a/b"
    assert ContentFilter.parse(rules) == rules
