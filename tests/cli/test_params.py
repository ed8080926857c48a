"""Sizes and policies as they are written on the command line."""

from __future__ import annotations

from dataclasses import dataclass

import click
import pytest
from click.testing import CliRunner

from forebay.cli.params import byte_size, limit_options, limits_from, policy_named
from forebay.ingest import policy_from


def test_a_size_that_is_none_is_wrong_usage() -> None:
    assert byte_size()("4GB") == 4 * 10**9
    with pytest.raises(click.BadParameter, match="is not a size; write 500MB"):
        byte_size()("4G")
    with pytest.raises(click.BadParameter, match="give at least 1 bytes and at most 1,000"):
        byte_size(most=1000)("1kiB")


@dataclass(frozen=True)
class SomeLimits:
    """What there may be.

    More of it.

    Attributes:
        things_max: Things in
            the house.
        thing_bytes_max: Bytes of each.
    """

    things_max: int = 7
    thing_bytes_max: int = 4096


@click.command()
@limit_options(SomeLimits)
def some(**values: int) -> None:
    click.echo(limits_from(SomeLimits, values))
    assert not values


def test_limits_become_options() -> None:
    invoke = CliRunner().invoke
    assert invoke(some, []).output == f"{SomeLimits()}\n"
    given = ["--things-max", "8", "--thing-bytes-max", "2MiB"]
    assert invoke(some, given).output == f"{SomeLimits(8, 2 << 20)}\n"
    for wrong in (["--things-max", "0"], ["--things-max", "x"], ["--thing-bytes-max", "big"]):
        assert invoke(some, wrong).exit_code == 2
    text = " ".join(invoke(some, ["--help"]).output.split())
    assert "--things-max N Things in the house. [default: 7" in text
    assert "--thing-bytes-max SIZE Bytes of each. [default: 4096]" in text


def test_policies() -> None:
    assert policy_named("deadline(20)") == policy_from("deadline(20)")
    with pytest.raises(click.BadParameter, match="there are: block, "):
        policy_named("drop")
