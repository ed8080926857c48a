"""Every error that Forebay raises, in one tree.

Each error has typed fields for programs and one bounded line of text for people.

```
ForebayError
├── CodecError                 bytes that are not valid
│   ├── NotAnRrdError          the bytes are not the start of a Rerun stream
│   ├── UnsupportedRrdError    a Rerun stream of a version or encoding that is not read
│   ├── TruncatedError         the stream ends inside a message
│   └── CorruptError           a header, length or message that contradicts itself
├── InvalidChunkError          a message that cannot become a chunk (cause of a rejection)
│   └── LimitError             a message over a limit; the error names the limit
├── StoreError                 a store refuses a change
├── QueryError                 a query that the store cannot answer
│   ├── UnknownTimelineError   (KeyError)
│   ├── UnknownEntityError     (KeyError)
│   ├── UnknownComponentError  (KeyError)
│   ├── TimeTypeError          (TypeError)
│   └── ExpressionError        (ValueError)
├── UnknownStoreError          (KeyError) no such recording or blueprint
├── IngestError
│   ├── WorkerClosedError      submitted after `close()`
│   ├── MessageDroppedError    dropped by the policy of its store
│   ├── SpillError             spilled messages cannot be read back from disk
│   ├── QueueFullError         (TimeoutError) no space in the queue in time
│   └── FlushTimeoutError      (TimeoutError) not everything was committed in time
├── LoadError                  a file that could not be loaded, or only in part
├── SiteError                  the static site cannot be written
├── ServerError                the server cannot start or continue
├── BenchError                 a benchmark that cannot run
└── MissingExtraError          (ImportError) an optional dependency is not installed
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from forebay.limits import (
    ERROR_TEXT_CHARS_MAX,
    NAME_CHARS_TOLD_MAX,
    NAMES_TOLD_MAX,
)
from forebay.printable import named, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forebay.model.ids import ChunkId, StoreId


_SHOWN_MAX: Final = 32
"""Bytes or characters of undecodable data that a stored error keeps."""

_ARGS_MAX: Final = 4
"""Arguments that are kept of an error from another library."""

_INT_BITS_MAX: Final = 1024
"""Larger integers are replaced by a text with their size."""


class ForebayError(Exception):
    """Base class of all errors that Forebay raises.

    The text is one line without control characters.

    Attributes:
        message: What happened and what to do, at most `limits.ERROR_TEXT_CHARS_MAX` characters. Of
            a longer text, the beginning and the end are kept.
        store_id: The store concerned. None if it is not known.
        chunk_id: The chunk concerned. None if it is not known.
        byte_offset: Position in the stream or file, counted from its first byte. None if it is not
            known.
    """

    def __init__(
        self,
        message: str,
        *,
        store_id: StoreId | None = None,
        chunk_id: ChunkId | None = None,
        byte_offset: int | None = None,
    ) -> None:
        # The text may contain names from a sender, and is shown in terminals, logs and pages. It is
        # cut before escaping and again after it, because escapes take more characters.
        message = cut(printable(cut(message, ERROR_TEXT_CHARS_MAX)), ERROR_TEXT_CHARS_MAX)
        super().__init__(message)
        self.message = message
        self.store_id = store_id
        self.chunk_id = chunk_id
        self.byte_offset = byte_offset

    def __reduce__(self) -> tuple[object, ...]:
        # Pickling does not know the keyword arguments, so the fields are restored by hand. A hub is
        # not pickled.
        fields = {name: value for name, value in vars(self).items() if name != "hub"}
        return _restored, (type(self), self.message, fields)

    def __str__(self) -> str:
        # KeyError would print the repr of the message; every Forebay error prints the message
        # itself.
        return self.message


class CodecError(ForebayError):
    """Bytes that are not valid for the format that was expected.

    In a stream or file, `byte_offset` tells where decoding ended; every whole message before that
    was delivered.
    """


class NotAnRrdError(CodecError):
    """The bytes are not the start of a Rerun stream, so the file is probably of another kind."""


class UnsupportedRrdError(CodecError):
    """A Rerun stream of a version, compression or serializer that Forebay does not read.

    For recordings of SDK 0.22 and earlier the message says how to convert them (`rerun rrd
    migrate`).
    """


class TruncatedError(CodecError):
    """The stream ends inside a header or a message.

    The usual cause is a program that was killed while it wrote, or a copy that is incomplete;
    `byte_offset` is the beginning of the incomplete part.
    """


class CorruptError(CodecError):
    """A header, a length or a message that contradicts itself.

    In a stream or file nothing after `byte_offset` is decoded, because the position of the next
    message is not known.
    """


class InvalidChunkError(ForebayError):
    """A message that cannot become a chunk.

    The worker does not raise it: it is the cause of a rejection, which is counted and named.
    """


class LimitError(InvalidChunkError):
    """A message that is over a limit, or that would take a hub or a store over one.

    Attributes:
        limit: Name of the limit, under which rejections are counted: a field of `StoreLimits`, or
            for example `memory_limit`.
        limit_max: Value of the limit.
        is_shared: Whether this one object is used for the rejections of many stores, so that a
            flood of rejections takes almost no memory. Then only the rejection names the store and
            the chunk.
    """

    def __init__(
        self,
        message: str,
        *,
        limit: str = "",
        limit_max: int = 0,
        is_shared: bool = False,
        store_id: StoreId | None = None,
        chunk_id: ChunkId | None = None,
        byte_offset: int | None = None,
    ) -> None:
        super().__init__(message, store_id=store_id, chunk_id=chunk_id, byte_offset=byte_offset)
        self.limit = limit
        self.limit_max = limit_max
        self.is_shared = is_shared

    @classmethod
    def over(cls, limit: str, limit_max: int, what: str) -> Self:
        """Return the error for a value that is too large.

        Args:
            limit: Name of the limit.
            limit_max: Value of the limit.
            what: What is too much, for example `"an entity path of 2,000 parts"`.
        """
        message = f"{what} is more than is taken here: the limit {limit} is {limit_max:,}"
        return cls(message, limit=limit, limit_max=limit_max)


class StoreError(ForebayError):
    """A store refuses a change.

    Also raised if inserting a chunk fails in an unexpected way; the cause is the original error.
    The next chunk is inserted as usual.
    """


class QueryError(ForebayError):
    """A query that the store cannot answer; the message lists the names that exist."""


class UnknownTimelineError(QueryError, KeyError):
    """No such timeline in this store; the message lists the existing ones.

    It is also a `KeyError`.
    """


class UnknownEntityError(QueryError, KeyError):
    """No such entity in this store; the message lists existing ones and suggests a similar name.

    It is also a `KeyError`.
    """


class UnknownComponentError(QueryError, KeyError):
    """No such component on this entity; the message lists the existing ones.

    It is also a `KeyError`.
    """


class TimeTypeError(QueryError, TypeError):
    """A time whose type does not fit the timeline, for example a date on a sequence timeline.

    It is also raised for times that 64 bits of nanoseconds cannot hold. It is also a `TypeError`.
    """


class ExpressionError(QueryError, ValueError):
    """An entity path, content expression or list of index values that is not valid.

    For an expression the message shows the position of the error. It is also a `ValueError`.
    """


class UnknownStoreError(ForebayError, KeyError):
    """No such recording or blueprint in this hub; the message lists the existing ones.

    It is also a `KeyError`.
    """


class IngestError(ForebayError):
    """A worker cannot accept or finish work.

    Base class of the errors of submitting and flushing, and of two outcomes of a submission:
    `MessageDroppedError` and `SpillError`.
    """


class WorkerClosedError(IngestError):
    """The worker is closed: it finishes the messages that it accepted and accepts no new ones."""


class MessageDroppedError(IngestError):
    """Messages that a store's policy dropped; the outcome of their submission.

    Attributes:
        count: Number of consecutive messages that were dropped.
    """

    def __init__(
        self,
        message: str,
        *,
        count: int = 1,
        store_id: StoreId | None = None,
        chunk_id: ChunkId | None = None,
        byte_offset: int | None = None,
    ) -> None:
        super().__init__(message, store_id=store_id, chunk_id=chunk_id, byte_offset=byte_offset)
        self.count = count


class SpillError(IngestError):
    """Spilled messages cannot be read back from disk.

    It is not raised to a caller: it is the cause of a rejection, which is counted and named.
    """


class QueueFullError(IngestError, TimeoutError):
    """No space in the worker's queue within the timeout; the message was not accepted.

    It is raised at once where no thread but the caller's could make space. Poll more often, or
    allow a larger byte budget. It is also a `TimeoutError`.
    """


class FlushTimeoutError(IngestError, TimeoutError):
    """Not everything submitted was committed within the timeout; the worker continues.

    It is also a `TimeoutError`.
    """


class LoadError(ForebayError):
    """A file that could not be loaded, or only in part.

    Attributes:
        path: The file.
        hub: A hub with everything that could be read: the messages before the damage, and all other
            files of the same call. None if nothing was loaded.
    """

    hub: object | None = None

    def __init__(
        self,
        message: str,
        *,
        path: str,
        hub: object | None = None,
        store_id: StoreId | None = None,
        chunk_id: ChunkId | None = None,
        byte_offset: int | None = None,
    ) -> None:
        super().__init__(message, store_id=store_id, chunk_id=chunk_id, byte_offset=byte_offset)
        self.path = path
        if hub is not None:
            self.hub = hub


class SiteError(ForebayError):
    """The static site cannot be written, or the directory given for Pyodide contains none."""


class ServerError(ForebayError):
    """The server cannot start or continue.

    Its address is malformed or in use, or its data directory cannot be written to.
    """


class BenchError(ForebayError):
    """A benchmark cannot run."""


class MissingExtraError(ForebayError, ImportError):
    """An optional dependency is not installed; the message names the extra that installs it."""


def cut(text: str, chars_max: int) -> str:
    """Return a text of at most `chars_max` characters: the beginning and the end of a longer one.

    Both ends are kept because names often differ only in their last characters.
    """
    if len(text) <= chars_max:
        return text
    end = max(0, chars_max - 1) // 3
    begin = max(0, chars_max - 1 - end)
    return f"{text[:begin]}…{text[len(text) - end :]}"


def copy_of(error: ForebayError) -> ForebayError:
    """Return an equal error with the same cause.

    The copy can be stored while the original is raised: raising adds a traceback, which keeps
    frames and their payloads in memory.
    """
    copied = _restored(type(error), error.message, dict(vars(error)))
    copied.__cause__ = error.__cause__
    return copied


def lighten(error: BaseException) -> None:
    """Remove from an error and its causes everything that can hold much memory.

    An error that is stored may not keep frames (through its traceback), payloads or half-decoded
    buffers, nor texts of other libraries that quote a name of many megabytes. The error is changed
    in place.
    """
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        one = pending.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.__traceback__ = None
        one.__context__ = one.__cause__
        if not isinstance(one, ForebayError):
            _lighten_foreign(one)
        pending.append(one.__cause__)


def _lighten_foreign(error: BaseException) -> None:
    """Cut the values of another library's error; keep its type and the beginning of its text."""
    if isinstance(error, UnicodeDecodeError | UnicodeEncodeError):
        error.object = error.object[error.start : min(error.end, error.start + _SHOWN_MAX)]
        error.start, error.end = 0, len(error.object)
        error.reason = cut(error.reason, ERROR_TEXT_CHARS_MAX)
        return
    if isinstance(error, AttributeError | NameError):
        error.name = cut(error.name, NAME_CHARS_TOLD_MAX) if error.name else error.name
    if isinstance(error, AttributeError):
        error.obj = None
    error.args = tuple(_light(value) for value in error.args[:_ARGS_MAX])
    held = vars(error)
    held.pop("__notes__", None)
    held.update({name: _light(value) for name, value in held.items()})


def _light(value: object) -> object:
    """Return a small value that represents `value`."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return (
            value if value.bit_length() <= _INT_BITS_MAX else f"an int of {value.bit_length()} bits"
        )
    if isinstance(value, str):
        return cut(value, ERROR_TEXT_CHARS_MAX)
    if isinstance(value, bytes):
        return value if len(value) <= _SHOWN_MAX else value[:_SHOWN_MAX] + b"..."
    return f"<{type(value).__qualname__}>"


def told(names: Iterable[str]) -> str:
    """Return names as a text for an error message: the first ones, each cut, then how many more.

    Returns "none" if there are no names. See `limits.NAMES_TOLD_MAX` and
    `limits.NAME_CHARS_TOLD_MAX`.
    """
    there = list(names)
    more = len(there) - NAMES_TOLD_MAX
    listed = ", ".join(named(name, NAME_CHARS_TOLD_MAX) for name in there[:NAMES_TOLD_MAX])
    listed = listed or "none"
    return f"{listed}, … and {more:,} more" if more > 0 else listed


def _restored(kind: type[ForebayError], message: str, fields: dict[str, object]) -> ForebayError:
    error = kind.__new__(kind, message)
    Exception.__init__(error, message)
    vars(error).update(fields)
    return error
