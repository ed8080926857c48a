r"""Entity paths in Rerun's syntax: `/world/points`, escaped as in `/we\ ird/ä\:b/x.y`.

The rules are those of `re_log_types::path` (forgiving parse, canonical escaping, natural order).
"""

from __future__ import annotations

import functools
import re
import string
from typing import TYPE_CHECKING, Final, Self, TypeVar

from forebay.limits import PATH_CACHED_CHARS_MAX, PATHS_CACHED_MAX
from forebay.model.alphabetic import is_alphanumeric

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

RESERVED_PREFIX: Final = "__"
PROPERTIES: Final = "__properties"

_ESCAPED: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_UNESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t"}
_PLAIN: Final = frozenset("_-.")
_PUNCTUATION: Final = frozenset(string.punctuation + " ")
_CODE_POINT: Final = re.compile(r"\{\+?([0-9A-Fa-f]+)\}")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
"""Half of a character, which only Python strings can hold alone; it cannot be written as text."""
_ZERO: Final = ord("0")
_ONE: Final = ord("1")
_DIGITS: Final = re.compile(r"(\d+)", re.ASCII)


class EntityPath(str):
    r"""An entity path in canonical form: a leading slash, and every part escaped.

    It is a `str`, so it can be used wherever the contract takes or gives a string; the
    constructor normalises, forgiving as Rerun's SDK is (`we ird//x/` becomes `/we\ ird/x`).
    """

    __slots__ = ("_parts",)

    _parts: tuple[str, ...]

    def __new__(cls, path: str = "/") -> Self:
        """Parse and normalise `path`; anything is accepted."""
        if isinstance(path, cls):
            return path
        return cls._from_parts(_parse(path))

    @classmethod
    def _from_parts(cls, parts: tuple[str, ...]) -> Self:
        if not all(map(str.isascii, parts)):
            parts = tuple([_SURROGATE.sub("\ufffd", part) for part in parts])
        escaped = [*map(_escape, parts)]
        for index, part in enumerate(parts[:-1]):
            if part.endswith("\\"):
                escaped[index] = _before_slash(escaped[index])
        return cls._of("/" + "/".join(escaped), parts)

    @classmethod
    def _of(cls, text: str, parts: tuple[str, ...]) -> Self:
        """A path of which both forms are known."""
        path = super().__new__(cls, text)
        path._parts = parts
        return path

    @classmethod
    def from_parts(cls, *parts: str) -> Self:
        """From unescaped parts; the root has none."""
        return cls._from_parts(parts)

    @property
    def parts(self) -> tuple[str, ...]:
        """The unescaped parts."""
        return self._parts

    @property
    def parent(self) -> EntityPath | None:
        """The path above; `None` for the root."""
        parts = self.parts
        return EntityPath._from_parts(parts[:-1]) if parts else None

    def ancestors(self) -> tuple[EntityPath, ...]:
        """Every path above this one, nearest first, the root last.

        Together they have as many characters as the path times half of its parts.
        """
        found: list[EntityPath] = []
        above, begun = "/", ""  # by itself, and as it stands before a slash
        for number, part in enumerate(self.parts):
            found.append(EntityPath._of(above, self.parts[:number]))
            escaped = _escape(part)
            above = f"{begun}/{escaped}"
            begun += "/" + (_before_slash(escaped) if part.endswith("\\") else escaped)
        return tuple(reversed(found))

    def is_descendant_of(self, other: EntityPath) -> bool:
        """Whether `other` is a proper ancestor of this path."""
        mine, theirs = self.parts, other.parts
        return len(mine) > len(theirs) and mine[: len(theirs)] == theirs

    @property
    def is_reserved(self) -> bool:
        """Whether the path lies in Rerun's own namespace (`/__properties`, …)."""
        parts = self.parts
        return bool(parts) and parts[0].startswith(RESERVED_PREFIX)

    @property
    def sort_key(self) -> tuple[object, ...]:
        """Rerun's order: by part, numbers by value, reserved names last."""
        return tuple(map(_part_key, self.parts))


def _remembered(function: Callable[[str], T]) -> Callable[[str], T]:
    """Remember the answers for short texts: queries and recordings name the same few again."""
    remembered = functools.lru_cache(maxsize=PATHS_CACHED_MAX)(function)

    @functools.wraps(function)
    def answer(text: str) -> T:
        return remembered(text) if len(text) <= PATH_CACHED_CHARS_MAX else function(text)

    return answer


@_remembered
def _parse(path: str) -> tuple[str, ...]:
    return tuple(_unescape(token) for token in _tokens(path))


def _tokens(path: str) -> list[str]:
    """Split at unescaped slashes; empty parts vanish.

    A character after a backslash is never a separator, not even when that backslash is itself
    escaped: Rerun reads paths so, and a path must mean the same to both.
    """
    tokens: list[str] = []
    start = 0
    for index, char in enumerate(path):
        if char == "/" and not (index > start and path[index - 1] == "\\"):
            tokens.append(path[start:index])
            start = index + 1
    tokens.append(path[start:])
    return [token for token in tokens if token]


def _unescape(token: str) -> str:
    if "\\" not in token:
        return token
    out: list[str] = []
    index = 0
    while index < len(token):
        char = token[index]
        index += 1
        if char != "\\" or index == len(token):
            out.append(char)
            continue
        char = token[index]
        index += 1
        if char == "u":
            # Eight bytes are read of it at most, and so eight characters.
            taken, text = _unicode_escape(token[index : index + 8])
            index += taken
            out.append(text)
        else:
            out.append(_UNESCAPED.get(char, char))
    return "".join(out)


def _unicode_escape(rest: str) -> tuple[int, str]:
    """Read `{262E}`: how many characters it takes, and what it means.

    An invalid escape stands for itself, as far as Rerun has then read: to a closing brace, or
    until there would be no room for one (`{10FFFF}` has eight bytes).
    """
    taken = num_bytes = 0
    for char in rest:
        taken += 1
        num_bytes += len(char.encode(errors="surrogatepass"))
        if char == "}" or num_bytes >= 8:
            break
    match = _CODE_POINT.fullmatch(rest, 0, taken)
    if match:
        code = int(match[1], 16)
        if is_scalar_value(code):
            return taken, chr(code)
    return taken, "\\u" + rest[:taken]


def is_scalar_value(code: int) -> bool:
    """Whether a number is that of a character (Unicode's scalar values)."""
    return code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF


@_remembered
def _escape(part: str) -> str:
    return "".join(map(_escape_char, part))


def _before_slash(escaped: str) -> str:
    """A part that ends with a backslash, as it is written in front of a slash.

    Behind an escaped backslash, a slash would be read as part of the name (`_tokens`).
    """
    return escaped[:-2] + "\\u{5C}"


def _escape_char(char: str) -> str:
    if is_alphanumeric(char) or char in _PLAIN:
        return char
    if char in _ESCAPED:
        return _ESCAPED[char]
    if char in _PUNCTUATION:
        return "\\" + char
    return f"\\u{{{ord(char):04X}}}"


@_remembered
def _part_key(part: str) -> tuple[object, ...]:
    """Natural order, case-insensitive first: `a < B < b`, `image2 < image10`, `a-b < a1 < a_`.

    A number stands where its first digit stands among the characters.
    """
    natural: list[tuple[object, ...]] = []
    for piece in filter(None, _DIGITS.split(part)):
        if piece[0] == "0":
            # Digits after a leading zero compare as a fraction does: 1.02 after 1.010.
            natural.append((_ZERO, piece))
        elif piece[0] in string.digits:
            natural.append((_ONE, len(piece), piece))
        else:
            natural.extend(
                (ord(char.lower() if char.isascii() else char), ord(char)) for char in piece
            )
    return (part.startswith(RESERVED_PREFIX), tuple(natural))
