"""Values that are given on the command line: sizes in bytes, policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from forebay.ingest import policy_from
from forebay.model.sizes import to_bytes

if TYPE_CHECKING:
    from forebay.ingest import Policy


class ByteSize(click.ParamType[int]):
    """A size in bytes: `500MB`, `1.5GiB`, or a number; anything else is refused at once.

    Args:
        least: The smallest that is taken, in bytes.
        most: The largest, if there is one.
    """

    name = "size"

    def __init__(self, least: int = 1, most: int | None = None) -> None:
        self._least = least
        self._most = most

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """The number of bytes."""
        try:
            return to_bytes(value, least=self._least, most=self._most)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def policy_named(text: str) -> Policy:
    """What a full queue does, by name.

    Raises:
        click.BadParameter: There is no policy of that name.
    """
    try:
        return policy_from(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
