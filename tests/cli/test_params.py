"""Sizes and policies as they are written on the command line."""

from __future__ import annotations

import click
import pytest

from forebay.cli.params import byte_size, policy_named
from forebay.ingest import policy_from


def test_a_size_that_is_none_is_wrong_usage() -> None:
    assert byte_size()("4GB") == 4 * 10**9
    with pytest.raises(click.BadParameter, match="is no size; write 500MB"):
        byte_size()("4G")
    with pytest.raises(click.BadParameter, match="give at least 1 bytes and at most 1,000"):
        byte_size(most=1000)("1kiB")


def test_policies() -> None:
    assert policy_named("deadline(20)") == policy_from("deadline(20)")
    with pytest.raises(click.BadParameter, match="there are: block, "):
        policy_named("drop")
