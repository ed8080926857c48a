"""Values that are given on the command line: sizes in bytes, policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from forebay.ingest import policy_from
from forebay.model.sizes import to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from forebay.ingest import Policy
    from forebay.model.sizes import Size


def byte_size(least: int = 1, most: int | None = None) -> Callable[[Size], int]:
    """Reads a size in bytes: `500MB`, `1.5GiB`, or a number; anything else is refused at once.

    Args:
        least: The smallest that is taken, in bytes.
        most: The largest, if there is one.
    """

    def size(text: Size) -> int:
        try:
            return to_bytes(text, least=least, most=most)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return size


def policy_named(text: str) -> Policy:
    """What a full queue does, by name.

    Raises:
        click.BadParameter: There is no policy of that name.
    """
    try:
        return policy_from(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
