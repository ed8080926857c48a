"""Messages on a disk that damages them: each comes back as it was, or as a rejection, in order."""

from __future__ import annotations

import atexit
import random
import shutil
import tempfile
import zlib
from itertools import count
from pathlib import Path

from forebay.codec import encode_log_msg
from forebay.errors import SpillError
from forebay.ingest import RejectedMsg, Spill
from forebay.ingest.queue import Entry
from forebay.ingest.spill_files import SpillFiles
from forebay.model import ArrowMsg
from forebay.runtime import InlineRuntime
from tests.fuzz import samples
from tests.fuzz.mutators import Recipe, change_bytes, one_of
from tests.fuzz.protobuf import change_message
from tests.fuzz.target import Target

_MEMORY = Path("/dev/shm")
_FOLDER = Path(tempfile.mkdtemp(prefix="forebay-fuzz-", dir=_MEMORY if _MEMORY.is_dir() else None))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
_MESSAGES = [samples.message(one) for one in samples.payloads()[:6]]
_MESSAGES += [msg._replace(byte_offset=number) for number, msg in enumerate(_MESSAGES)]
_HEAD = 28
_numbers = count()


def run(data: bytes) -> str:
    """Write messages, damage the files as the input says, and read them back."""
    recipe = Recipe(data)
    segment_bytes = (1, 2000, 1 << 20)[recipe.below(3)]
    spill = SpillFiles(Spill(_FOLDER), InlineRuntime(), segment_bytes)
    wanted = [_MESSAGES[recipe.below(len(_MESSAGES))] for _ in range(1 + recipe.below(5))]
    for seq, msg in enumerate(wanted):
        source = ("a", "b", None)[recipe.below(3)]
        assert spill.write(msg, source, 100 + seq, 0.5) is None
        spill.number(seq)
    paths = [segment.path for segment in spill._segments]
    damaged = False
    for _ in range(recipe.below(4)):
        damaged |= damage(paths[recipe.below(len(paths))], recipe)
    found = read_back(spill)
    assert [one.seq for one in found] == list(range(len(wanted))), "a message is not accounted for"
    assert spill.num_bytes == 0
    assert not any(path.exists() for path in paths), "a file stays"
    lost = 0
    for msg, one in zip(wanted, found, strict=True):
        if isinstance(one, RejectedMsg):
            assert isinstance(one.error, SpillError)
            assert str(one.error)
            lost += 1
        elif not damaged:
            assert one.msg == msg
        assert isinstance(one, RejectedMsg) or isinstance(one.msg, ArrowMsg)
    assert damaged or not lost, "lost without any damage"
    shutil.rmtree(paths[0].parent, ignore_errors=True)
    return f"{damaged} {[type(one).__name__ for one in found]} {reasons(found)}"


def reasons(found: list[Entry | RejectedMsg]) -> str:
    texts = {str(one.error)[-40:] for one in found if isinstance(one, RejectedMsg)}
    return "".join(char for text in sorted(texts) for char in text if not char.isdigit())


def read_back(spill: SpillFiles) -> list[Entry | RejectedMsg]:
    found = []
    while (spilled := spill.peek(samples.REC)) is not None:
        found.append(spilled.item)
        spill.pop()
    return found


def damage(path: Path, recipe: Recipe) -> bool:
    """Change a file; with its checksum put right if that is what the input says."""
    data = bytearray(path.read_bytes())
    at = (recipe.byte() << 8 | recipe.byte()) % (len(data) + 1)
    before = bytes(data)
    match recipe.below(6):
        case 0:
            del data[at:]
        case 1:
            data[at:at] = recipe.take(4)
        case 2:
            path.unlink()
            path.write_bytes(b"")
            return bool(before)
        case 3:  # sound by its checksum, but not what was written
            size = int.from_bytes(data[4:12], "little")
            rng = random.Random(recipe.byte() << 8 | recipe.byte())
            body = change_message(bytes(data[_HEAD : _HEAD + size]), rng)
            data[_HEAD : _HEAD + size] = body
            data[4:12] = len(body).to_bytes(8, "little")
            data[:4] = zlib.crc32(data[4 : _HEAD + len(body)]).to_bytes(4, "little")
        case _:
            if at < len(data):
                data[at] ^= 1 << recipe.below(8)
    path.write_bytes(data)
    return bytes(data) != before


def seeds() -> list[bytes]:
    assert all(len(encode_log_msg(msg)) > _HEAD for msg in _MESSAGES)
    tails = (b"\0", b"\1\0\0\5\3", b"\2\1\1\0\1\2\3\4\3", bytes(range(20)))
    return [
        bytes([segments, count, 1, 2, 3, 0, 1, 2, 2, *tail])
        for segments in range(3)
        for count in (0, 2, 4)
        for tail in tails
    ]


def change_recipe(data: bytes, rng: random.Random) -> bytes:
    """Other choices, or more of them."""
    out = bytearray(data or b"\0")
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(out))
        out[at] = rng.randrange(256)
    return bytes(out) + (rng.randbytes(3) if rng.random() < 0.1 else b"")


TARGET = Target(run, seeds, one_of((4, change_recipe), (1, change_bytes)), bytes_max=96, weight=8)
