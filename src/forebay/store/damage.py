"""Queries that open many chunks and tolerate damaged ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar, runtime_checkable

from forebay.chunk.damage import DAMAGE, is_of_chunk
from forebay.errors import ForebayError

_P = ParamSpec("_P")
_R = TypeVar("_R")
_S = TypeVar("_S")


@runtime_checkable
class Searchable(Protocol):
    """A snapshot that can find its damaged chunks."""

    def look_for_damage(self) -> int:
        """Put aside the chunks that cannot be opened; return how many new ones were found."""


def despite_damage(
    query: Callable[Concatenate[_S, _P], _R],
) -> Callable[Concatenate[_S, _P], _R]:
    """Decorate a query of a snapshot: if damaged chunks make it fail, it is retried once.

    Before the retry the damaged chunks are put aside. There is no cost while queries succeed.
    Errors that are not caused by a chunk are raised unchanged.

    Args:
        query: A method of a snapshot.
    """

    @wraps(query)
    def answered(snapshot: _S, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return query(snapshot, *args, **kwargs)
        except ForebayError:
            raise
        except DAMAGE as error:
            if not is_of_chunk(error) or not isinstance(snapshot, Searchable):
                raise
            if not snapshot.look_for_damage():
                raise
        return query(snapshot, *args, **kwargs)

    return answered
