"""Values that are given on the command line: sizes in bytes, policies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click

from forebay.ingest import policy_from

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forebay.ingest import Policy

_UNITS: Final[Mapping[str, int]] = {
    "": 1,
    "b": 1,
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgt", 1)},
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", 1)},
}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE | re.ASCII)


def byte_size(text: str) -> int:
    """A size in bytes: `500MB`, `1.5GiB`, or a number; decimal and binary units, as Rerun has them.

    Raises:
        click.BadParameter: It is none.
    """
    match = _SIZE.fullmatch(text.strip())
    unit = _UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None or (size := int(float(match[1]) * unit)) < 1:
        msg = f"{text!r} is no size; write 500MB, 1.5GiB or a number of bytes"
        raise click.BadParameter(msg)
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
