"""Sizes in bytes as people write them, in Python and on the command line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.model.sizes import to_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        (17, 17),
        ("512B", 512),
        ("4GB", 4 * 10**9),
        ("4 gb", 4 * 10**9),
        ("1.5GiB", 3 << 29),
        ("75MiB", 75 << 20),
        ("2TB", 2 * 10**12),
        ("0.3kB", 300),
    ],
)
def test_sizes(text: str | int, size: int) -> None:
    assert to_bytes(text) == size


@pytest.mark.parametrize(
    "size", ["", "-1", "1e3", "4G", "GB", "1 000", "٣MB", "75%", "9" * 5000, 1.5, None, True]
)
def test_what_is_no_size(size: Any) -> None:
    with pytest.raises(ValueError, match="is not a size; write 500MB") as error:
        to_bytes(size)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("size", ["0", "0.1B", 0, -1, "101", 101, "1TB"])
def test_what_is_out_of_bounds(size: str | int) -> None:
    with pytest.raises(ValueError, match="give at least 1 bytes and at most 100"):
        to_bytes(size, most=100)


@given(st.integers(1, 10**15))
def test_a_number_is_bytes(size: int) -> None:
    assert to_bytes(str(size)) == to_bytes(size) == size
