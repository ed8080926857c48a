"""The gRPC server that Rerun SDKs log to and viewers read from."""

from forebay.errors import MissingExtraError

try:
    import grpc as _grpc  # noqa: F401
except ImportError as _error:
    _msg = "the server needs gRPC: pip install 'forebay[server]'"
    raise MissingExtraError(_msg) from _error

from forebay.server.address import Address
from forebay.server.proxy import LogSink, ServerStats
from forebay.server.server import Server, serve

__all__ = ["Address", "LogSink", "Server", "ServerStats", "serve"]
