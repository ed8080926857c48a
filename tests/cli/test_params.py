"""Sizes and policies as they are written on the command line."""

from __future__ import annotations

import click
import pytest

from forebay.cli.params import ByteSize, policy_named
from forebay.ingest import policy_from


def test_a_size_that_is_none_is_wrong_usage() -> None:
    assert ByteSize().convert("4GB", None, None) == 4 * 10**9
    with pytest.raises(click.BadParameter, match="is no size; write 500MB"):
        ByteSize().convert("4G", None, None)
    with pytest.raises(click.BadParameter, match="give at least 1 bytes and at most 1,000"):
        ByteSize(most=1000).convert("1kiB", None, None)


def test_policies() -> None:
    assert policy_named("deadline(20)") == policy_from("deadline(20)")
    with pytest.raises(click.BadParameter, match="there are: block, "):
        policy_named("drop")
