from __future__ import annotations

import pytest

from forebay.errors import ServerError
from forebay.server.address import Address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:9876", "127.0.0.1", 9876),
        ("localhost:0", "localhost", 0),
        (":1234", "127.0.0.1", 1234),
        ("0.0.0.0", "0.0.0.0", 9876),
        ("[::1]:80", "::1", 80),
        ("[::1]", "::1", 9876),
        ("::1", "::1", 9876),
    ],
)
def test_parse(text: str, host: str, port: int) -> None:
    assert Address.parse(text) == Address(host, port)


@pytest.mark.parametrize(
    "text", ["h:x", "h:65536", "h:-1", "[::1", "[::1]x", "a b:1", "http://h:1"]
)
def test_malformed(text: str) -> None:
    with pytest.raises(ServerError, match="HOST:PORT"):
        Address.parse(text)


def test_loopback() -> None:
    assert Address("127.8.9.1", 1).is_loopback
    assert Address("::1", 1).is_loopback
    assert Address("localhost", 1).is_loopback
    assert not Address("0.0.0.0", 1).is_loopback
    assert not Address("robot.example", 1).is_loopback


def test_url_brackets_ipv6() -> None:
    assert Address("::1", 9876).url == "rerun+http://[::1]:9876/proxy"
