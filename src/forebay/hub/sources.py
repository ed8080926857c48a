"""Where messages come from and go to on this machine: `.rrd` and `.rbl` files, and bytes."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from forebay.codec import StreamDecoder, StreamEncoder
from forebay.errors import CodecError, LoadError
from forebay.limits import FILE_BLOCKS_KEPT_MAX, FILE_READ_BYTES, FILE_READ_BYTES_MIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from forebay.model import LogMsg

PathLike: TypeAlias = str | os.PathLike[str]


def read_messages(path_or_bytes: PathLike | bytes | bytearray | memoryview) -> Iterator[LogMsg]:
    """Yield the messages of a file or of bytes, in order; each `ArrowMsg` is still encoded.

    Several streams one after another (`cat a.rrd b.rrd`) are read through.

    Raises:
        LoadError: The file cannot be opened.
        CodecError: The bytes are damaged. Every whole message before the damage was yielded.
    """
    if isinstance(path_or_bytes, bytes | bytearray | memoryview):
        decoder = StreamDecoder()
        yield from decoder.feed(memoryview(path_or_bytes))
        decoder.finish()
        return
    with open_file(path_or_bytes) as file:
        for messages in read_blocks(file, StreamDecoder()):
            yield from messages


def read_blocks(
    file: BinaryIO, decoder: StreamDecoder, first_bytes: int = FILE_READ_BYTES_MIN
) -> Iterator[list[LogMsg]]:
    """Yield the messages of an open file, a block's worth at a time; see `read_messages`.

    Memory that was never touched is dear: blocks are read into memory that is used again as soon
    as no message refers to it any more. The first block has `first_bytes`.
    """
    memory = _BlockMemory()
    size_min = first_bytes
    while decoder.error is None:
        held = decoder.take_back()
        begun = sum(map(len, held))
        is_bulky = begun + decoder.num_missing > FILE_READ_BYTES_MIN // 4
        size = FILE_READ_BYTES if is_bulky else size_min
        size_min = FILE_READ_BYTES_MIN
        while size < 2 * begun:
            size *= 2
        block = memory.take(size)
        view = memoryview(block)
        at = 0
        for piece in held:
            view[at : at + len(piece)] = piece
            at += len(piece)
        count = file.readinto(view[at:])  # type: ignore[attr-defined]
        messages = decoder.feed(view[: at + (count or 0)])
        del held, view
        if not count:
            break
        yield messages
        del messages
    decoder.finish()


class _BlockMemory:
    """A few pieces of memory that are used in turns."""

    def __init__(self) -> None:
        self._blocks: list[bytearray] = []

    def take(self, size: int) -> bytearray:
        """`size` bytes without another owner; their content is undefined."""
        for block in self._blocks:
            if len(block) == size and _is_free(block):
                return block
        block = bytearray(size)
        of_this_size = [one for one in self._blocks if len(one) == size]
        self._blocks = [*of_this_size, block][-FILE_BLOCKS_KEPT_MAX:]
        return block


def _is_free(block: bytearray) -> bool:
    """Whether no view of it is left: only then does Python let its size change."""
    try:
        block.append(block.pop())
    except BufferError:
        return False
    return True


def open_file(path: PathLike) -> BinaryIO:
    """Open a recording for reading.

    Raises:
        LoadError: It is not there, is a folder, or may not be read.
    """
    try:
        return open(path, "rb", buffering=0)  # noqa: PTH123 - read in large blocks
    except OSError as error:
        msg = f"{os.fspath(path)}: cannot be opened: {error.strerror or error}"
        raise LoadError(msg, path=os.fspath(path)) from error


def write_messages(path: PathLike, messages: Iterable[LogMsg]) -> None:
    """Write messages to an `.rrd` or `.rbl` file that Rerun opens; inverse of `read_messages`.

    The file appears under its name only when it is complete.

    Raises:
        LoadError: The file cannot be written.
    """
    target = Path(path)
    try:
        with replacing(target) as file:
            encoder = StreamEncoder()
            file.write(encoder.header())
            for message in messages:
                file.write(encoder.encode(message))
            file.write(encoder.finish())
    except OSError as error:
        msg = f"{target}: cannot be written: {error.strerror or error}"
        raise LoadError(msg, path=str(target)) from error


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """A new file beside `target` that takes its name on success and vanishes on failure.

    A link stays one: the file that it names is replaced. What is no file but a pipe or a device
    cannot be replaced, and is written as it goes.
    """
    if target.exists() and not target.is_file():
        with target.open("wb") as stream:
            yield stream
        return
    target = Path(os.path.realpath(target))
    # Not `mkstemp`: only the owner may read its files, and to learn the umask one has to change
    # it, for all threads.
    name = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        file = open(name, "xb")  # noqa: PTH123, SIM115
    except OSError as error:
        # Name the file that was asked for, not the temporary one.
        raise type(error)(error.errno, error.strerror, str(target)) from None
    try:
        with file:
            yield file
        name.replace(target)
    except BaseException:
        name.unlink(missing_ok=True)
        raise


def load_error(path: PathLike, error: CodecError) -> LoadError:
    """The same damage, told with the name of the file."""
    return LoadError(
        f"{os.fspath(path)}: {error}",
        path=os.fspath(path),
        store_id=error.store_id,
        chunk_id=error.chunk_id,
        byte_offset=error.byte_offset,
    )
