"""How much code one message passes through, from the server to the moment it can be queried.

    python benches/calls.py [--list]

One warm message of one row goes through the server's method, its store's queue, a turn and a
commit, all on this thread. Printed are the calls of Forebay's own functions, the files that these
are in, and how often the next call is in another file. `--list` prints the calls themselves.
"""

from __future__ import annotations

import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import forebay
from forebay.bench.recordings import recording
from forebay.codec import StreamEncoder
from forebay.limits import RELAY_BUDGET_BYTES, PeerLimits
from forebay.model import ArrowMsg
from forebay.runtime import InlineRuntime
from forebay.server.proxy import MessageProxy
from forebay.server.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

PACKAGE = str(Path(forebay.__file__).parent)
WARM_MSGS = 200


def requests(count: int) -> list[bytes]:
    """So many `WriteMessagesRequest`s, each with a chunk of one row."""
    encoder = StreamEncoder()
    msgs = forebay.read_messages(recording("tiny", 20_000))
    found = [encoder.encode(msg)[16:] for msg in msgs if isinstance(msg, ArrowMsg)]
    return [_as_request(body) for body in found[:count]]


def _as_request(body: bytes) -> bytes:
    """The `ArrowMsg` as field 2 of a `LogMsg`, and that as field 1 of a request."""
    for tag in (b"\x12", b"\x0a"):
        body = tag + _varint(len(body)) + body
    return body


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


class Trace:
    """The calls of Forebay's functions on this thread, in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(PACKAGE):
            self.calls.append((name[len(PACKAGE) + 1 :], frame.f_code.co_qualname))


def main() -> None:
    runtime = InlineRuntime()
    hub = forebay.StoreHub(runtime=runtime)
    relay = Relay(RELAY_BUDGET_BYTES, runtime)
    proxy = MessageProxy(hub, relay, None, runtime, PeerLimits())
    sent = requests(WARM_MSGS + 1)
    trace = Trace()
    rows: list[int] = []

    def stream() -> Iterator[bytes]:
        for data in sent[:-1]:
            yield data
            hub.flush()
        db = hub.recordings()[0]
        rows.append(db.num_rows)
        sys.setprofile(trace)
        yield sent[-1]
        db.flush()
        sys.setprofile(None)
        rows.append(db.num_rows)

    proxy._peers.admit("bench")  # noqa: SLF001
    proxy._take(stream(), "bench", "bench", None)  # type: ignore[arg-type]  # noqa: SLF001 - what the server's method calls
    assert rows[1] == rows[0] + 1, "the message cannot be queried"
    files = [name for name, _ in trace.calls]
    changes = sum(one != other for one, other in pairwise(files))
    print(f"{len(files)} calls in {len(set(files))} files, {changes} changes of file")
    layers = Counter(name.split("/")[0].removesuffix(".py") for name in files)
    print(", ".join(f"{layer} {count}" for layer, count in layers.most_common()))
    if "--list" in sys.argv:
        for name, function in trace.calls:
            print(f"{name:32} {function}")


if __name__ == "__main__":
    main()
