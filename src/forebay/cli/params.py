"""Parameter types of the command line: sizes in bytes, limits, policies."""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from typing import TYPE_CHECKING, Any, TypeVar

import click

from forebay.ingest import policy_from
from forebay.model.sizes import to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import DataclassInstance

    from forebay.ingest import Policy
    from forebay.model.sizes import Size

F = TypeVar("F", bound="Callable[..., Any]")
L = TypeVar("L", bound="DataclassInstance")


def byte_size(least: int = 1, most: int | None = None) -> Callable[[Size], int]:
    """Return a parser for a size in bytes: `500MB`, `1.5GiB`, or a number.

    Args:
        least: Smallest accepted size, in bytes.
        most: Largest accepted size, in bytes. None for no limit.

    Returns:
        A function from text to bytes, which raises `click.BadParameter` for anything else.
    """

    def size(text: Size) -> int:
        try:
            return to_bytes(text, least=least, most=most)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return size


def limit_options(limits: type[Any]) -> Callable[[F], F]:
    """Return a decorator that adds one option for each field of a dataclass of limits.

    `streams_max` becomes `--streams-max N`; `info_bytes_max` becomes `--info-bytes-max SIZE`. The
    help text is that of the attribute in the docstring of the class. The command gets the values
    under the names of the fields; `limits_from` makes the dataclass.
    """
    words = _attributes(limits.__doc__ or "")

    def decorated(command: F) -> F:
        for field in reversed(dataclasses.fields(limits)):
            is_size = "bytes" in field.name.split("_")
            command = click.option(
                f"--{field.name.replace('_', '-')}",
                metavar="SIZE" if is_size else "N",
                type=byte_size() if is_size else click.IntRange(min=1),
                default=field.default,
                show_default=True,
                help=words.get(field.name),
            )(command)
        return command

    return decorated


def limits_from(limits: type[L], values: dict[str, Any]) -> L:
    """Make the dataclass of limits from the options of a command.

    The fields of the dataclass are removed from `values`.
    """
    return limits(**{field.name: values.pop(field.name) for field in dataclasses.fields(limits)})


def _attributes(docstring: str) -> dict[str, str]:
    """Return the text of each attribute of a docstring, on one line each."""
    _, _, section = inspect.cleandoc(docstring).partition("Attributes:\n")
    section = textwrap.dedent(section.partition("\n\n")[0])
    pieces = re.split(r"^(\w+): ", section, flags=re.MULTILINE)
    return {
        name: " ".join(text.split()) for name, text in zip(pieces[1::2], pieces[2::2], strict=True)
    }


def policy_named(text: str) -> Policy:
    """Return the policy for a full queue by its name.

    Raises:
        click.BadParameter: There is no policy of that name.
    """
    try:
        return policy_from(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
