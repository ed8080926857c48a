r"""Entity paths in Rerun's syntax: `/world/points`, escaped as in `/we\ ird/ä\:b/x.y`.

The rules are those of `re_log_types::path`: forgiving parse, canonical escaping, natural order.
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
"""Surrogate code points: a Python string can contain one alone, but cannot encode it as text."""
_ZERO: Final = ord("0")
_ONE: Final = ord("1")
_DIGITS: Final = re.compile(r"(\d+)", re.ASCII)


class EntityPath(str):
    r"""An entity path in canonical form: a leading slash, each part escaped.

    It is a `str`, so it works wherever the API takes or returns a string. The constructor
    normalizes its argument as forgivingly as Rerun's SDK: `we ird//x/` becomes `/we\ ird/x`.
    """

    __slots__ = ("_parts",)

    _parts: tuple[str, ...]

    def __new__(cls, path: str = "/") -> Self:
        """Parse and normalize `path`.

        Args:
            path: Any text; no text is rejected. The default is the root.
        """
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
        """Make a path from unescaped parts; no parts give the root."""
        return cls._from_parts(parts)

    @property
    def parts(self) -> tuple[str, ...]:
        """The unescaped parts; empty for the root."""
        return self._parts

    @property
    def parent(self) -> EntityPath | None:
        """The path one level up; `None` for the root."""
        parts = self.parts
        return EntityPath._from_parts(parts[:-1]) if parts else None

    def ancestors(self) -> tuple[EntityPath, ...]:
        """All paths above this one: the parent first, the root last.

        Their total length in characters is the length of the path times half the number of its
        parts.
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
        """Return whether `other` is a proper ancestor of this path."""
        mine, theirs = self.parts, other.parts
        return len(mine) > len(theirs) and mine[: len(theirs)] == theirs

    @property
    def is_reserved(self) -> bool:
        """Whether the path is in Rerun's reserved namespace (`/__properties`, …)."""
        parts = self.parts
        return bool(parts) and parts[0].startswith(RESERVED_PREFIX)

    @property
    def sort_key(self) -> tuple[object, ...]:
        """The key for Rerun's order: part by part, numbers by value, reserved names last."""
        return tuple(map(_part_key, self.parts))


def _remembered(function: Callable[[str], T]) -> Callable[[str], T]:
    """Cache results for short texts: queries and recordings repeat the same few."""
    remembered = functools.lru_cache(maxsize=PATHS_CACHED_MAX)(function)

    @functools.wraps(function)
    def answer(text: str) -> T:
        return remembered(text) if len(text) <= PATH_CACHED_CHARS_MAX else function(text)

    return answer


@_remembered
def _parse(path: str) -> tuple[str, ...]:
    return tuple(_unescape(token) for token in _tokens(path))


def _tokens(path: str) -> list[str]:
    """Split a path at unescaped slashes; empty parts are removed.

    A character after a backslash is never a separator, even if that backslash is itself escaped.
    Rerun reads paths in this way, and a path must mean the same in both programs.
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
            # At most eight bytes of it are read, and so at most eight characters.
            taken, text = _unicode_escape(token[index : index + 8])
            index += taken
            out.append(text)
        else:
            out.append(_UNESCAPED.get(char, char))
    return "".join(out)


def _unicode_escape(rest: str) -> tuple[int, str]:
    r"""Read `{262E}` after `\u`: return the number of characters read, and their meaning.

    An invalid escape is kept literally, up to the point where Rerun stops reading: a closing brace,
    or the limit of eight bytes (`{10FFFF}` has eight bytes).
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
    """Return whether a number is a Unicode scalar value (a code point that is not a surrogate)."""
    return code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF


@_remembered
def _escape(part: str) -> str:
    return "".join(map(_escape_char, part))


def _before_slash(escaped: str) -> str:
    """Return an escaped part that ends with a backslash in the form needed before a slash.

    After an escaped backslash, a slash would be read as part of the name (`_tokens`).
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
    """Return the natural-order key: `a < B < b`, `image2 < image10`, `a-b < a1 < a_`.

    The comparison ignores case first. A number sorts at the position of its first digit among the
    characters.
    """
    natural: list[tuple[object, ...]] = []
    for piece in filter(None, _DIGITS.split(part)):
        if piece[0] == "0":
            # Digits after a leading zero compare like a decimal fraction: 1.02 after 1.010.
            natural.append((_ZERO, piece))
        elif piece[0] in string.digits:
            natural.append((_ONE, len(piece), piece))
        else:
            natural.extend(
                (ord(char.lower() if char.isascii() else char), ord(char)) for char in piece
            )
    return (part.startswith(RESERVED_PREFIX), tuple(natural))
