"""A directory with one `.rrd` file per store, to which received messages are appended at once."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from forebay.codec import StreamEncoder
from forebay.errors import CodecError, ServerError
from forebay.limits import RECORD_FILES_OPEN_MAX
from forebay.model import LogMsg, StoreId

if TYPE_CHECKING:
    from typing import BinaryIO

    from forebay.runtime import Runtime

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")
_DEVICE: Final = re.compile(r"(?:CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])", re.IGNORECASE)
_NAME_LENGTH_MAX: Final = 60
_DIGEST_DIGITS: Final = 16
"""64 bits: a second id with the same digest cannot be found by trying, so no sender can get a name
that belongs to another store."""


def file_stem(store_id: StoreId) -> str:
    """Return a file name for a store, without suffix: readable, unique and safe.

    Only ASCII letters, digits, `_`, `-` and dots added by Forebay can occur, whatever a sender put
    into the ids: a name cannot leave its directory, be hidden, or name a device. A digest of the
    ids distinguishes stores whose readable parts are equal.
    """
    parts = (store_id.application_id, store_id.recording_id)
    readable = [_readable(part) for part in parts]
    if _DEVICE.fullmatch(readable[0]):  # Windows looks at the part before the first dot
        readable[0] += "_"
    identity = "\0".join((store_id.kind.value, *parts)).encode("utf-8", "surrogatepass")
    return f"{readable[0]}.{readable[1]}.{hashlib.sha256(identity).hexdigest()[:_DIGEST_DIGITS]}"


def _readable(name: str) -> str:
    """Return the safe characters of a name; the middle of a long name is left out."""
    # Cut before and after: a name of many megabytes is not processed as a whole.
    if len(name) > 2 * _NAME_LENGTH_MAX:
        name = f"{name[:_NAME_LENGTH_MAX]}_{name[-_NAME_LENGTH_MAX:]}"
    safe = _UNSAFE.sub("_", name) or "_"
    if len(safe) <= _NAME_LENGTH_MAX:
        return safe
    half = (_NAME_LENGTH_MAX - 2) // 2
    return f"{safe[:half]}__{safe[-half:]}"


class StoreFile:
    """The file of one store. Not thread-safe.

    Each message is written by one system call, so a crash loses no message that was written. An
    existing file is never changed, because it may end in the middle of a message: a new one with a
    number in its name is created.
    """

    def __init__(self, directory: Path, store_id: StoreId, *, keep_open: bool) -> None:
        # No manifest: it would grow with the recording, and every chunk would have to be decoded
        # here. Files without a manifest are read from the beginning to the end; `rerun rrd
        # optimize` adds one.
        self._encoder = StreamEncoder(manifest=False)
        self._keep_open = keep_open
        self._file: BinaryIO | None = None
        suffix = ".rrd" if store_id.is_recording else ".rbl"
        stem = file_stem(store_id)
        self.path = directory / f"{stem}{suffix}"
        attempt = 0
        while True:
            try:
                # Open as long as the store exists; `close` closes it.
                file = self.path.open("xb", buffering=0)
            except FileExistsError:
                attempt += 1
                self.path = directory / f"{stem}.{attempt}{suffix}"
            else:
                break
        self._write_to(file, self._encoder.header())
        self._leave(file)

    def append(self, msg: LogMsg) -> None:
        """Append one message.

        Raises:
            OSError: The disk is full, or the file cannot be opened any more. The file may then end
                with an incomplete message.
        """
        self._append(self._encoder.encode(msg))

    def close(self) -> None:
        """Write the end of the stream and close the file."""
        self._append(self._encoder.finish())
        if self._file is not None:
            self._file.close()
            self._file = None

    def _append(self, data: bytes) -> None:
        file = self._file or self.path.open("ab", buffering=0)
        self._write_to(file, data)
        self._leave(file)

    def _leave(self, file: BinaryIO) -> None:
        if self._keep_open:
            self._file = file
        else:
            file.close()

    @staticmethod
    def _write_to(file: BinaryIO, data: bytes) -> None:
        rest = memoryview(data)
        while rest:  # a raw file may take less than it is given
            rest = rest[file.write(rest) :]


class RecordDirectory:
    """The files of all stores of a server. Thread-safe; stores do not block each other.

    Args:
        directory: Where the files are; created if needed.
        runtime: Provides the locks.

    Raises:
        ServerError: The directory cannot be created or written to.
    """

    def __init__(self, directory: Path, runtime: Runtime) -> None:
        self.directory = directory
        self._runtime = runtime
        self._lock = runtime.lock()
        self._stores: dict[StoreId, _GuardedFile] = {}
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"cannot write to {directory}: {error.strerror}; give another directory"
            raise ServerError(msg) from error

    def append(self, msg: LogMsg) -> None:
        """Append one message to the file of its store, which is created for the first message.

        Raises:
            ServerError: It could not be written. Nothing more is written to the file of that store.
        """
        store_id = msg.store_id
        with self._lock:
            guarded = self._stores.get(store_id)
            if guarded is None:
                guarded = self._stores[store_id] = _GuardedFile(self._runtime)
                guarded.keep_open = len(self._stores) <= RECORD_FILES_OPEN_MAX
        guarded.append(self.directory, msg)

    def paths(self) -> dict[StoreId, Path]:
        """Return the file of each store that has one."""
        with self._lock:
            stores = list(self._stores.items())
        return {store_id: g.file.path for store_id, g in stores if g.file is not None}

    def errors(self) -> dict[StoreId, str]:
        """Return the stores whose files are incomplete, with the reason."""
        with self._lock:
            stores = list(self._stores.items())
        return {store_id: g.failure for store_id, g in stores if g.failure is not None}

    def close(self) -> None:
        """Write the end of every file and close it. No message may be appended afterwards."""
        with self._lock:
            stores = list(self._stores.values())
        for guarded in stores:
            guarded.close()


class _GuardedFile:
    """The file of a store with its lock, and the error that ended it, if any."""

    def __init__(self, runtime: Runtime) -> None:
        self._lock = runtime.lock()
        self.keep_open = True
        self.file: StoreFile | None = None
        self.failure: str | None = None

    def append(self, directory: Path, msg: LogMsg) -> None:
        with self._lock:
            if self.failure is not None:
                return
            try:
                if self.file is None:
                    self.file = StoreFile(directory, msg.store_id, keep_open=self.keep_open)
                self.file.append(msg)
            except (OSError, CodecError) as error:
                # An incomplete message must be the last one: what follows it could not be read.
                self.failure = getattr(error, "strerror", None) or str(error)
                text = f"{msg.store_id}: no longer written to {directory}: {self.failure}"
                raise ServerError(text, store_id=msg.store_id) from error

    def close(self) -> None:
        with self._lock:
            if self.file is not None and self.failure is None:
                try:
                    self.file.close()
                except OSError as error:
                    self.failure = error.strerror or str(error)
