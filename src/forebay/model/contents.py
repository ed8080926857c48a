"""Content expressions: the selection of entities for a query.

The rules are those of Rerun's entity path filters (`re_log_types::path::entity_path_filter`). Every
expression is a rule: `+ /world/**` includes, `- /world/secret/**` excludes, and a missing sign
means `+`. A trailing `/**` means the entity and all its descendants. The most specific matching
rule decides; of equally specific rules, the last one. Entities that match no rule are excluded, and
so is `/__properties/**` unless a rule names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self, TypeAlias

from forebay.errors import ExpressionError
from forebay.model.paths import PROPERTIES, EntityPath, is_scalar_value

SUBTREE: Final = "/**"
EVERYTHING: Final = "/**"

Contents: TypeAlias = "str | Sequence[str] | ContentFilter | None"
"""One or several expressions, a parsed filter, or `None` for all entities except properties."""

_SPACE: Final = frozenset(" \t\r\f\v\n")
_HEX: Final = re.compile(r"\{([0-9A-Fa-f]{1,6})\}")
_ESCAPABLE_LETTERS: Final = frozenset("nrt")


@dataclass(frozen=True, slots=True)
class ContentRule:
    """One rule that includes or excludes entities."""

    path: EntityPath
    subtree: bool
    include: bool

    def matches(self, parts: tuple[str, ...]) -> bool:
        """Return whether the rule applies to an entity.

        Args:
            parts: The unescaped parts of the entity's path.
        """
        mine = self.path.parts
        return parts[: len(mine)] == mine if self.subtree else parts == mine

    def __str__(self) -> str:
        path = str(self.path)
        if self.subtree:
            path = SUBTREE if path == "/" else path + SUBTREE
        return f"{'+' if self.include else '-'} {path}"


@dataclass(frozen=True, slots=True)
class ContentFilter:
    """Rules in ascending order of precedence: the last one that matches decides."""

    rules: tuple[ContentRule, ...]

    @classmethod
    def parse(cls, contents: Contents) -> Self:
        """Parse content expressions.

        Args:
            contents: One expression or several. One string may contain several, separated by white
                space.

        Raises:
            ExpressionError: An expression is invalid. The message quotes it and gives the position
                of the error, counted from 1.
        """
        if isinstance(contents, ContentFilter):
            return cls(contents.rules)
        if contents is None:
            contents = (EVERYTHING,)
        is_one = isinstance(contents, str) or not isinstance(contents, Iterable)
        expressions = (contents,) if is_one else tuple(contents)
        rules: dict[tuple[tuple[str, ...], bool], ContentRule] = {}
        for expression in expressions:
            for rule in _parse(expression):
                rules[rule.path.parts, rule.subtree] = rule
        properties = EntityPath.from_parts(PROPERTIES)
        rules.setdefault(
            (properties.parts, True), ContentRule(properties, subtree=True, include=False)
        )
        return cls(tuple(sorted(rules.values(), key=_specificity)))

    def matches(self, entity_path: EntityPath) -> bool:
        """Return whether the filter includes an entity.

        Args:
            entity_path: The entity.
        """
        parts = entity_path.parts
        for rule in reversed(self.rules):
            if rule.matches(parts):
                return rule.include
        return False

    def select(self, entity_paths: Iterable[EntityPath]) -> list[EntityPath]:
        """Return the included entities, in the given order.

        Args:
            entity_paths: The entities to choose from.
        """
        return [path for path in entity_paths if self.matches(path)]

    def __str__(self) -> str:
        return "\n".join(map(str, self.rules))


def _specificity(rule: ContentRule) -> tuple[int, bool]:
    # Only rules that match the same entity compete. Their paths are prefixes of its path, so the
    # longer path is more specific; for equal paths, the exact rule is.
    return len(rule.path.parts), not rule.subtree


def _parse(expression: object) -> list[ContentRule]:
    if not isinstance(expression, str):
        msg = f"a content expression is a str, not {expression!r} ({type(expression).__name__})"
        raise ExpressionError(msg)
    return [_rule(expression, start, end) for start, end in _tokens(expression)]


def _tokens(expression: str) -> list[tuple[int, int]]:
    """Return begin and end of each rule in an expression.

    Rules are separated by white space that is not escaped and does not follow a rule's sign. A
    newline always separates.
    """
    tokens: list[tuple[int, int]] = []
    position, length = 0, len(expression)
    while position < length:
        if expression[position] in _SPACE:
            position += 1
            continue
        start = position
        if expression[position] in "+-":
            position += 1
            while position < length and expression[position] in _SPACE - {"\n"}:
                position += 1
        while position < length and expression[position] not in _SPACE:
            position += 2 if expression[position] == "\\" else 1
        position = min(position, length)
        tokens.append((start, position))
    return tokens


def _rule(expression: str, start: int, end: int) -> ContentRule:
    token = expression[start:end]
    include = token[0] != "-"
    body = token[1:].lstrip() if token[0] in "+-" else token
    offset = end - len(body)
    if not body:
        msg = f"{token!r} needs an entity path after it, such as `{token[0]} /world/**`"
        raise _fault(expression, start, msg)
    subtree = body.endswith(SUBTREE)
    path = body.removesuffix(SUBTREE) if subtree else body
    _check(expression, path, offset)
    return ContentRule(EntityPath(path), subtree, include)


def _check(expression: str, path: str, offset: int) -> None:
    """Reject what Rerun reads literally but a user most likely meant as syntax."""
    index = 0
    while index < len(path):
        char = path[index]
        if char == "\\":
            following = path[index + 1 : index + 2]
            if not following:
                raise _fault(expression, offset + index, "a backslash escapes nothing")
            if following == "u":
                code = _HEX.match(path, index + 2)
                if code is None:
                    msg = r"a unicode escape has one to six hexadecimal digits, as in `\u{262E}`"
                    raise _fault(expression, offset + index, msg)
                if not is_scalar_value(int(code[1], 16)):
                    msg = f"there is no Unicode character with the number {code[1]}"
                    raise _fault(expression, offset + index, msg)
            elif following.isalnum() and following not in _ESCAPABLE_LETTERS:
                msg = f"`\\{following}` is not an escape; write `{following}`"
                raise _fault(expression, offset + index, msg)
            index += 2
            continue
        if char == "*":
            msg = "`*` is understood only in a trailing `/**`; a literal one is written `\\*`"
            raise _fault(expression, offset + index, msg)
        if char == "$":
            msg = "`$…` is not supported; a literal dollar sign is written `\\$`"
            raise _fault(expression, offset + index, msg)
        index += 1


def _fault(expression: str, position: int, reason: str) -> ExpressionError:
    msg = f"content expression {expression!r}, position {position + 1}: {reason}"
    return ExpressionError(msg)
