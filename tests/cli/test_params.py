"""Sizes and policies as they are written on the command line."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.cli.params import byte_size, policy_named
from forebay.ingest import policy_from


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("512B", 512),
        ("4GB", 4 * 10**9),
        ("4 gb", 4 * 10**9),
        ("1.5GiB", 3 << 29),
        ("75MiB", 75 << 20),
        ("2TB", 2 * 10**12),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert byte_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "1e3", "4G", "GB", "0.1B", "1 000", "٣MB", "75%"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no size; write 500MB"):
        byte_size(text)


@given(st.integers(1, 10**15))
def test_a_number_is_bytes(size: int) -> None:
    assert byte_size(str(size)) == size


def test_policies() -> None:
    assert policy_named("deadline(20)") == policy_from("deadline(20)")
    with pytest.raises(click.BadParameter, match="there are: block, "):
        policy_named("drop")
