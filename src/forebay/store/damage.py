"""Queries that open many chunks at once, and survive one that cannot be opened."""

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
    """A snapshot that can say which of its chunks are damaged."""

    def look_for_damage(self) -> int:
        """Put aside the chunks that cannot be opened; how many more they are."""


def despite_damage(
    query: Callable[Concatenate[_S, _P], _R],
) -> Callable[Concatenate[_S, _P], _R]:
    """A query of a snapshot that is asked once more if damaged chunks were the reason it failed.

    It costs nothing as long as queries succeed. Of an error that no chunk is to blame for,
    nothing changes.
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
