"""Fast extraction of many `ArrowMsg`s from a block of a file.

Messages of one store usually follow each other in the one form that SDKs write: constant bytes up
to two sizes, a payload, and a tail of constant length. So NumPy reads the sizes and tails of all of
them together. Messages of any other form are left to `wire`.
"""

from __future__ import annotations

import functools
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forebay.codec.wire import scan_arrow_msg
from forebay.errors import CorruptError
from forebay.limits import SCAN_MSGS_MIN
from forebay.model import ArrowMsg, ChunkId, Compression, Encoding

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from forebay.model import StoreId

    Bytes = npt.NDArray[np.uint8]
    Numbers = npt.NDArray[np.int64]

_LZ4: Final = b"\x10\x02\x18"
"""The bytes after the store id: LZ4, and the tag of the uncompressed size."""
_ARROW_IPC: Final = np.uint64(0x2A_01_20)
"""The bytes between the sizes, lowest byte first: the encoding, and the tag of the payload."""
_WORD: Final = np.dtype("<u8")
_VARINT_BYTES: Final = 5
"""The length of the longest size that is read here."""
_TAIL: Final = np.dtype(
    [
        ("tag", "V3"),
        ("time_ns", "<u8"),
        ("tag_2", "u1"),
        ("inc", "<u8"),
        ("tag_3", "u1"),
        ("is_static", "u1"),
    ]
)
"""The fields after the payload: a chunk's id, and whether it is static."""
_TAIL_TAG: Final = np.array(b"\x32\x12\x09", "V3")
_chunk_id: Final[Callable[[bytes], ChunkId]] = functools.partial(bytes.__new__, ChunkId)
"""`ChunkId` of bytes that are known to be 16."""
_arrow_msg: Final[Callable[[tuple[Any, ...]], ArrowMsg]] = functools.partial(
    tuple.__new__, ArrowMsg
)


class ArrowMsgScanner:
    """Reads the `ArrowMsg`s of a block: one by one until their store is known, then together.

    Not thread-safe.
    """

    def __init__(self) -> None:
        self._head: bytes | None = None
        self._store_id: StoreId | None = None

    def scan(self, view: memoryview, byte_offset: int) -> ArrowMsg | None:
        """Read one message; `None` if `decode_arrow_msg` has to decode or reject it.

        Args:
            view: The message without its header.
            byte_offset: The position of the message in the file.
        """
        try:
            msg = scan_arrow_msg(view, byte_offset)
        except CorruptError:
            return None
        if msg is not None and msg.compression == Compression.LZ4 and msg.store_id.application_id:
            self._store_id = msg.store_id
            self._head = view[: view[1] + 2].tobytes() + _LZ4
        return msg

    def scan_together(
        self, source: Any, begins: Sequence[int], ends: Sequence[int], byte_offsets: Sequence[int]
    ) -> list[ArrowMsg]:
        """Read messages up to the first one in another form or of another store.

        Args:
            source: The block; each payload gets a `memoryview` of its own.
            begins: The begin of each message in the block.
            ends: The end of each message in the block.
            byte_offsets: The position of each message in the file.
        """
        head = self._head
        if head is None or len(begins) < SCAN_MSGS_MIN:
            return []
        data = np.frombuffer(source, np.uint8)
        at, until = np.array(begins, np.int64), np.array(ends, np.int64)
        size = len(head)
        enough = size + 2 * _WORD.itemsize + _TAIL.itemsize
        count = _first_false(until - at >= enough)
        if not count:
            return []
        count = _num_equal(_windows(data, size, at[:count]), head)
        at = at[:count] + size
        words: npt.NDArray[np.uint64] = np.ndarray(
            (len(data) - _WORD.itemsize + 1,), _WORD, data, 0, (1,)
        )
        uncompressed_sizes, lengths = _varints(words[at])
        at += lengths
        between = words[at]
        sizes, lengths = _varints(between >> np.uint64(24))
        payloads = at + lengths + 3
        tails_at = payloads + sizes
        count = _first_false(
            ((between & np.uint64(0xFFFFFF)) == _ARROW_IPC)
            & (uncompressed_sizes >= 0)
            & (sizes >= 0)
            & (tails_at + _TAIL.itemsize == until[:count])
        )
        tails = _windows(data, _TAIL.itemsize, tails_at[:count]).view(_TAIL)[:, 0]
        count = _first_false(
            (tails["tag"] == _TAIL_TAG)
            & (tails["tag_2"] == 0x11)
            & (tails["tag_3"] == 0x38)
            & (tails["is_static"] < 2)
        )
        ids = np.empty((count, 2), ">u8")
        ids[:, 0], ids[:, 1] = tails["time_ns"][:count], tails["inc"][:count]
        packed_ids = ids.tobytes()
        return list(
            map(
                _arrow_msg,
                zip(
                    repeat(self._store_id),
                    [
                        memoryview(source)[begin:end]
                        for begin, end in zip(
                            payloads[:count].tolist(), tails_at[:count].tolist(), strict=True
                        )
                    ],
                    repeat(Compression.LZ4),
                    uncompressed_sizes[:count].tolist(),
                    [_chunk_id(packed_ids[id_ : id_ + 16]) for id_ in range(0, 16 * count, 16)],
                    (tails["is_static"][:count] == 1).tolist(),
                    repeat(Encoding.ARROW_IPC),
                    byte_offsets,
                    strict=False,
                ),
            )
        )


def _windows(data: Bytes, size: int, at: Numbers) -> Bytes:
    """Return `size` bytes from each position on, shape `(positions, size)`."""
    every: Bytes = np.ndarray((len(data) - size + 1, size), np.uint8, data, 0, (1, 1))
    return every[at]


def _num_equal(rows: Bytes, wanted: bytes) -> int:
    """Return the number of rows before the first one that differs from `wanted`."""
    if rows.tobytes() == wanted * len(rows):
        return len(rows)
    return _first_false((rows == np.frombuffer(wanted, np.uint8)).all(axis=1))


def _varints(words: npt.NDArray[np.uint64]) -> tuple[Numbers, Numbers]:
    """Return the varints at the begin of 8-byte words, and their lengths in bytes.

    A varint of more than five bytes is an impossible size and gives -1.
    """
    ends = ~words & np.uint64(0x80_8080_8080)
    ends &= ~ends + np.uint64(1)  # the lowest of them
    words = words & (ends - np.uint64(1))
    values = words & np.uint64(0x7F)
    for number in range(1, _VARINT_BYTES):
        values |= words >> np.uint64(number) & np.uint64(0x7F << 7 * number)
    lengths = np.ones(len(words), np.int64)
    for number in range(1, _VARINT_BYTES):
        lengths += ends > np.uint64(1 << 8 * number)
    found = values.astype(np.int64)
    found[ends == 0] = -1
    return found, lengths


def _first_false(flags: npt.NDArray[np.bool_]) -> int:
    return len(flags) if flags.all() else int(flags.argmin())
