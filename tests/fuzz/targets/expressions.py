"""Entity paths, content expressions and times: any text has a meaning or an error of ours."""

from __future__ import annotations

import random

from forebay.errors import ExpressionError
from forebay.model import EntityPath
from forebay.model.contents import ContentFilter
from tests.fuzz.mutators import change_bytes, one_of
from tests.fuzz.target import Target

PIECES = (
    "/", "//", "\\", "\\\\", "\\/", "*", "/**", "**", "+", "-", "+ ", "- ", " ", "\n", "\t", "\\n",
    "\\u{262E}", "\\u{1F642}", "\\u{0}", "\\u{110000}", "\\u{D800}", "\\u{", "}", "$origin", "$",
    "a", "b", "Z", "0", "10", "02", "__properties", "__x", ".", "..", "_", "ä", "☮", "🙂", "\0",
    "\x1b[31m", "\u202e", "\u0301", "²", "Ⅷ", "\ud7ff", "\uffff", "x" * 40, "/a/b/c", ":", "[", "{",
)  # fmt: skip


def run(data: bytes) -> str:
    """Read the text as a path, as parts of one, and as an expression."""
    text = data.decode(errors="replace")
    path = EntityPath(text)
    check(path)
    parts = tuple(part for part in text.split("/") if part)
    built = EntityPath.from_parts(*parts)
    assert built.parts == parts, "a path of parts has other parts"
    check(built)
    return expression(text, path)


def check(path: EntityPath) -> None:
    """The canonical form is read as what it was written from."""
    assert EntityPath(str(path)) == path
    assert EntityPath.from_parts(*path.parts) == path
    assert EntityPath(str(path)).parts == path.parts
    above = path.ancestors()
    assert len(above) == len(path.parts)
    for one in above[:2] + above[-1:]:
        assert path.is_descendant_of(one)
        assert not one.is_descendant_of(path)
    assert path.parent == (above[0] if above else None)
    assert EntityPath("/").sort_key <= path.sort_key
    # What is printed can be asked for, and means this entity alone.
    only = ContentFilter.parse([f"+ {path}"])
    assert only.matches(path)
    assert not any(only.matches(one) for one in above[:2])
    below = ContentFilter.parse(f"{'' if path == '/' else path}/**")
    assert below.matches(path) or path.parts[:1] == ("__properties",)
    assert below.matches(EntityPath.from_parts(*path.parts, "below"))


def expression(text: str, path: EntityPath) -> str:
    try:
        found = ContentFilter.parse(text)
    except ExpressionError as error:
        assert len(str(error)) < 2000 + 6 * len(text)
        return f"refused {str(error)[-30:]}"
    again = ContentFilter.parse(str(found))
    assert again.rules == found.rules
    assert again.matches(path) == found.matches(path)
    return f"{len(found.rules)} rules"


def insert_piece(data: bytes, rng: random.Random) -> bytes:
    """Put in a piece that means something, cut one out, or repeat."""
    text = data.decode(errors="replace")
    at = rng.randrange(len(text) + 1)
    match rng.randrange(5):
        case 0 if text:
            end = at + rng.randrange(1, 6)
            text = text[:at] + text[end:]
        case 1 if text:
            text = text[:at] + text[rng.randrange(len(text)) :][: rng.randrange(1, 9)] + text[at:]
        case _:
            text = text[:at] + rng.choice(PIECES) + text[at:]
    return text.encode(errors="surrogatepass")


def seeds() -> list[bytes]:
    texts = ("", "/", "/a/b", r"/we\ ird/ä\:b/x.y", "+ /a/** - /a/b\n/c", "/** - /__properties/**")
    return [text.encode() for text in texts]


TARGET = Target(run, seeds, one_of((5, insert_piece), (1, change_bytes)), bytes_max=512, weight=60)
