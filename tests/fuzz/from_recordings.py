"""Inputs cut out of recordings of the real SDK: `python -m tests.fuzz.from_recordings`.

They are written next to a grown corpus; `python -m tests.fuzz TARGET --minimise` takes over what
reaches new code.
"""

from __future__ import annotations

import sys
from pathlib import Path

from forebay.codec.wire import encode_content, encode_write_request
from forebay.model import ArrowMsg, LogMsg
from tests.codec.support import decompressed, messages_of
from tests.corpus import RECORDINGS
from tests.fuzz import samples
from tests.fuzz.mutators import joined

PAYLOAD_BYTES_MAX = 4000
MESSAGES_MAX = 6


def main(work: Path) -> None:
    for name in RECORDINGS:
        small = [msg for msg in messages_of(name) if is_small(msg)][:MESSAGES_MAX]
        payloads = [decompressed(msg) for msg in small if isinstance(msg, ArrowMsg)]
        cuts = b"\5\7\11\1\2\3\4\5"
        found: dict[str, list[bytes]] = {
            "files": [cuts + samples.file(msgs=small[:3], manifest=n > 0) for n in range(2)],
            "messages": [encode_content(msg) for msg in small],
            "payloads": payloads,
            "chunks": payloads,
            "peeking": payloads,
            "fast_paths": [joined([one]) for one in payloads],
            "hubs": [joined([bytes([n, n]), *map(encode_write_request, small)]) for n in range(4)],
        }
        for target, inputs in found.items():
            folder = work / target / "corpus"
            folder.mkdir(parents=True, exist_ok=True)
            for number, data in enumerate(inputs):
                (folder / f"real-{name}-{number}").write_bytes(data)


def is_small(msg: LogMsg) -> bool:
    return not isinstance(msg, ArrowMsg) or msg.uncompressed_size <= PAYLOAD_BYTES_MAX


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/fuzz/work"))
