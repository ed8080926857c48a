"""The address on which a server listens."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Self

from forebay.errors import ServerError
from forebay.limits import GRPC_PORT


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port on which a server listens; with port 0 the system chooses a free one.

    Attributes:
        host: Name or IP address, without brackets.
        port: 0 to 65535.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `HOST:PORT`, `HOST`, `:PORT` or `[IPv6]:PORT`.

        The defaults are 127.0.0.1 and Rerun's port 9876 (`limits.GRPC_PORT`).

        Raises:
            ServerError: The text has none of these forms.
        """
        host, port = text, ""
        if text.startswith("["):
            host, bracket, rest = text[1:].partition("]")
            if not bracket or (rest and not rest.startswith(":")):
                raise _malformed(text)
            port = rest[1:]
        elif text.count(":") == 1:
            host, _, port = text.partition(":")
        if ":" in host and not _is_ip_address(host):
            raise _malformed(text)
        if port and not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
            raise _malformed(text)
        if any(c.isspace() or c == "/" for c in host):
            raise _malformed(text)
        return cls(host or "127.0.0.1", int(port) if port else GRPC_PORT)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        return _is_ip_address(self.host) and ipaddress.ip_address(self.host).is_loopback

    def resolves(self) -> bool:
        """Return whether the host is an IP address, or a name that resolves to one."""
        try:
            socket.getaddrinfo(self.host, self.port)
        except (OSError, UnicodeError):
            return False
        return True

    @property
    def url(self) -> str:
        """The URL for `rerun.connect_grpc`."""
        return f"rerun+http://{self}/proxy"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _malformed(text: str) -> ServerError:
    msg = f"{text!r} is no address to listen on; give HOST:PORT, such as 127.0.0.1:{GRPC_PORT}"
    return ServerError(msg)
