"""What becomes of a message that finds no room: policies, as values.

A policy acts only when there is no room, and only on temporal data of recordings: static data,
blueprints and their activation wait for room under every policy. Order is kept by all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeAlias, assert_never

from forebay.limits import SPILL_BYTES_MAX
from forebay.model import ContentFilter

if TYPE_CHECKING:
    from forebay.model import Contents, EntityPath


@dataclass(frozen=True, slots=True)
class Block:
    """The submitter waits until there is room. Nothing is lost."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """The submitter waits so long at most; then its message is dropped."""

    ms: float

    def __post_init__(self) -> None:
        if not self.ms >= 0:
            msg = f"a deadline of {self.ms} ms is none; give 0 or more"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class DropNewest:
    """The message that comes is dropped."""


@dataclass(frozen=True, slots=True)
class DropOldest:
    """The oldest queued messages under this policy make room; if there are none, as `DropNewest`.

    What is being decoded or decoded already stays.
    """


@dataclass(frozen=True, slots=True)
class LatestWins:
    """As `DropOldest`, but queued messages that have a later one of their entity go first.

    For entities whose messages replace one another; partial updates would lose what only the
    earlier message had.
    """


@dataclass(frozen=True, slots=True)
class Spill:
    """Messages go to files, and come back in order once there is room. Nothing is lost.

    A disk that is full, or `bytes_max` reached, makes the submitter wait.

    Attributes:
        directory: Where; the system's temporary directory if not given. The files are removed
            as they are read back, and with the store.
        bytes_max: Bytes on disk per store.
    """

    directory: str | Path | None = None
    bytes_max: int = SPILL_BYTES_MAX


Policy: TypeAlias = Block | Deadline | DropNewest | DropOldest | LatestWins | Spill
"""What a store does with a message that finds no room."""

_BY_NAME: Final[dict[str, Policy]] = {
    "block": Block(),
    "drop_newest": DropNewest(),
    "drop_oldest": DropOldest(),
    "latest_wins": LatestWins(),
    "spill": Spill(),
}


def policy_from(policy: Policy | str) -> Policy:
    """A policy, or the one of that name: `drop_oldest`, or `deadline(20)` in milliseconds.

    Raises:
        ValueError: There is none of that name; the message names those there are.
    """
    if not isinstance(policy, str):
        return policy
    if policy in _BY_NAME:
        return _BY_NAME[policy]
    if policy.startswith("deadline(") and policy.endswith(")"):
        try:
            return Deadline(float(policy[len("deadline(") : -1]))
        except ValueError as error:
            msg = f"{policy!r}: a deadline is a number of milliseconds, as in deadline(20)"
            raise ValueError(msg) from error
    names = ", ".join([*_BY_NAME, "deadline(ms)"])
    msg = f"there is no policy {policy!r}; there are: {names}"
    raise ValueError(msg)


def reason_of(policy: Policy) -> str:
    """The name that what a policy drops is counted under."""
    match policy:
        case Block():
            return "block"
        case Deadline():
            return "deadline"
        case DropNewest():
            return "drop_newest"
        case DropOldest():
            return "drop_oldest"
        case LatestWins():
            return "latest_wins"
        case Spill():
            return "spill"
        case _:
            assert_never(policy)


@dataclass(frozen=True, slots=True)
class PolicyRules:
    """The policies of one store: one for all entities, and exceptions by content expression.

    Attributes:
        default: For every entity that no exception names.
        exceptions: Later ones come before earlier ones.
    """

    default: Policy = Block()
    exceptions: tuple[tuple[ContentFilter, Policy], ...] = ()

    def with_policy(self, policy: Policy | str, contents: Contents = None) -> Self:
        """The same, with this policy for these entities, or for all that are not excepted.

        Raises:
            ExpressionError: `contents` is not valid.
            ValueError: There is no such policy.
        """
        chosen = policy_from(policy)
        if contents is None:
            return replace(self, default=chosen)
        exception = (ContentFilter.parse(contents), chosen)
        return replace(self, exceptions=(*self.exceptions, exception))

    def policy_for(self, entity: EntityPath | None) -> Policy:
        """The policy of an entity; of an unknown one, the one for all."""
        if entity is not None:
            for contents, policy in reversed(self.exceptions):
                if contents.matches(entity):
                    return policy
        return self.default

    @property
    def is_blocking(self) -> bool:
        """Whether all messages wait for room, so that nothing has to be looked at."""
        return isinstance(self.default, Block) and not self.exceptions

    @property
    def needs_entity(self) -> bool:
        """Whether the entity of a message must be known before there is need to drop it."""
        return bool(self.exceptions) or isinstance(self.default, LatestWins)
