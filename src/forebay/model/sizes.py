"""Sizes in bytes in the notation that people use: `500MB`, `1.5GiB`, or a number."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias

from forebay.printable import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

Size: TypeAlias = "int | str"
"""A number of bytes, or text with a unit; see `to_bytes`."""

_UNITS: Final[Mapping[str, int]] = {
    "": 1,
    "b": 1,
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgt", 1)},
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", 1)},
}
_SIZE: Final = re.compile(r"(\d{1,20}(?:\.\d{1,20})?)\s*([a-z]*)", re.IGNORECASE | re.ASCII)


def to_bytes(size: Size, *, least: int = 1, most: int | None = None) -> int:
    """Return the number of bytes that `size` denotes.

    Args:
        size: An `int` in bytes, or text: a number with a decimal unit (`kB`, `MB`, `GB`, `TB`), a
            binary unit (`KiB`, `MiB`, `GiB`, `TiB`) or no unit. Case does not matter. The units are
            Rerun's.
        least: The smallest size allowed, in bytes.
        most: The largest size allowed, in bytes; `None` means no limit.

    Raises:
        ValueError: The value is not a size, or is outside the bounds. The message says what is
            allowed.
    """
    number = _number(size)
    if number is None:
        msg = f"{_shown(size)} is not a size; write 500MB, 1.5GiB or a number of bytes"
        raise ValueError(msg)
    if number < least or (most is not None and number > most):
        upper = "" if most is None else f" and at most {most:,}"
        msg = f"{_shown(size)} is out of bounds; give at least {least:,} bytes{upper}"
        raise ValueError(msg)
    return number


def _number(size: Size) -> int | None:
    if type(size) is int:
        return size
    match = _SIZE.fullmatch(size.strip()) if isinstance(size, str) else None
    if match is None or match[2].lower() not in _UNITS:
        return None
    return int(Decimal(match[1]) * _UNITS[match[2].lower()])


def _shown(size: object) -> str:
    return quoted(size) if isinstance(size, str) else repr(size)
