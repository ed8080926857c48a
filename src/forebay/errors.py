"""Every error that Forebay raises: one tree, with fields to act on, and messages that help.

```
ForebayError
├── CodecError                 bytes that are not what they should be
│   ├── NotAnRrdError          no Rerun stream begins here
│   ├── UnsupportedRrdError    a Rerun stream, of a version or encoding we do not read
│   ├── TruncatedError         the stream ends inside a message
│   └── CorruptError           a header, length or message that contradicts itself
├── InvalidChunkError          a message that cannot become a chunk (the cause of a rejection)
│   └── LimitError             a message over a limit, which it names
├── StoreError                 a store that refuses a change
├── QueryError                 a question that the store cannot answer
│   ├── UnknownTimelineError   (KeyError)
│   ├── UnknownEntityError     (KeyError)
│   ├── UnknownComponentError  (KeyError)
│   ├── TimeTypeError          (TypeError)
│   └── ExpressionError        (ValueError)
├── UnknownStoreError          (KeyError) no such recording or blueprint
├── IngestError
│   ├── WorkerClosedError      submitted after `close()`
│   ├── MessageDroppedError    dropped by its store's policy
│   ├── SpillError             what was spilled to disk cannot be read back
│   ├── QueueFullError         (TimeoutError) no room in time, or none without the caller's help
│   └── FlushTimeoutError      (TimeoutError) not all was committed in time
├── LoadError                  a file that could not be loaded, or only in part
├── SiteError                  the static site cannot be written
├── ServerError                the server cannot start or go on
├── BenchError                 a benchmark that cannot be run
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
"""Bytes or characters of undecodable data that a kept error holds."""

_ARGS_MAX: Final = 4
"""Arguments of an error of others that are kept."""

_INT_BITS_MAX: Final = 1024
"""Larger integers are told by their size."""


class ForebayError(Exception):
    """Root of all errors raised by Forebay; its text is one line without control characters.

    Attributes:
        message: What happened and what to do, of at most `limits.ERROR_TEXT_CHARS_MAX` characters:
            of a longer text the beginning and the end are kept.
        store_id: The store concerned, if known.
        chunk_id: The chunk concerned, if known.
        byte_offset: Where in the stream or file, counted from its first byte, if known.
    """

    def __init__(
        self,
        message: str,
        *,
        store_id: StoreId | None = None,
        chunk_id: ChunkId | None = None,
        byte_offset: int | None = None,
    ) -> None:
        # Names in it may be a sender's, and it goes to terminals, logs, pages. Cut first: what is
        # escaped takes more characters.
        message = cut(printable(cut(message, ERROR_TEXT_CHARS_MAX)), ERROR_TEXT_CHARS_MAX)
        super().__init__(message)
        self.message = message
        self.store_id = store_id
        self.chunk_id = chunk_id
        self.byte_offset = byte_offset

    def __reduce__(self) -> tuple[object, ...]:
        # Fields are given by keyword, which pickling cannot know. A hub stays where it is.
        fields = {name: value for name, value in vars(self).items() if name != "hub"}
        return _restored, (type(self), self.message, fields)

    def __str__(self) -> str:
        # KeyError would print the repr of the message; every error of ours prints the message.
        return self.message


class CodecError(ForebayError):
    """Bytes that are not what they should be."""


class NotAnRrdError(CodecError):
    """No Rerun stream begins here."""


class UnsupportedRrdError(CodecError):
    """A Rerun stream of a version, compression or serializer that Forebay does not read."""


class TruncatedError(CodecError):
    """The stream ends inside a header or a message."""


class CorruptError(CodecError):
    """A header, a length or a message that contradicts itself."""


class InvalidChunkError(ForebayError):
    """One message that cannot become a chunk; as an outcome it is the cause of a rejection."""


class LimitError(InvalidChunkError):
    """A message that is over a limit, or would take a hub or a store over one.

    Attributes:
        limit: The limit's name, which rejections are counted under: a field of `StoreLimits`, or
            for example `memory_limit`.
        limit_max: Its value.
        is_shared: Whether it is one object for the rejections of many stores, so that a flood of
            them takes next to no memory; then the rejection alone names store and chunk.
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
        """The error for `what` is too much, as in `"an entity path of 2,000 parts"`."""
        message = f"{what} is more than is taken here: the limit {limit} is {limit_max:,}"
        return cls(message, limit=limit, limit_max=limit_max)


class StoreError(ForebayError):
    """A store refuses a change."""


class QueryError(ForebayError):
    """A question that the store cannot answer; the message names what there is."""


class UnknownTimelineError(QueryError, KeyError):
    """No such timeline in this store."""


class UnknownEntityError(QueryError, KeyError):
    """No such entity in this store."""


class UnknownComponentError(QueryError, KeyError):
    """No such component on this entity."""


class TimeTypeError(QueryError, TypeError):
    """A time of a kind that does not fit the timeline."""


class ExpressionError(QueryError, ValueError):
    """An entity path, content expression or list of index values that is not valid."""


class UnknownStoreError(ForebayError, KeyError):
    """No such recording or blueprint in this hub."""


class IngestError(ForebayError):
    """A worker cannot take or finish work."""


class WorkerClosedError(IngestError):
    """The worker was closed; it finishes what it accepted and takes nothing new."""


class MessageDroppedError(IngestError):
    """Messages that a store's policy dropped, as the outcome of their submission.

    Attributes:
        count: How many, one after another.
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
    """What was spilled to disk cannot be read back; the cause of a rejection."""


class QueueFullError(IngestError, TimeoutError):
    """No room in the worker's queue in time, or nobody but the caller could make room."""


class FlushTimeoutError(IngestError, TimeoutError):
    """Not everything submitted was committed within the timeout."""


class LoadError(ForebayError):
    """A file that could not be loaded, or only in part.

    Attributes:
        path: The file.
        hub: What was readable before (and beside) the damage.
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
    """The static site cannot be written, or the Pyodide that it should hold is none."""


class ServerError(ForebayError):
    """The server cannot start or go on."""


class BenchError(ForebayError):
    """A benchmark could not be run."""


class MissingExtraError(ForebayError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""


def cut(text: str, chars_max: int) -> str:
    """A text of at most so many characters: of a longer one its beginning and its end.

    Both are kept because names often differ in their last characters alone.
    """
    if len(text) <= chars_max:
        return text
    end = max(0, chars_max - 1) // 3
    begin = max(0, chars_max - 1 - end)
    return f"{text[:begin]}…{text[len(text) - end :]}"


def copy_of(error: ForebayError) -> ForebayError:
    """An equal error with the same cause, to be kept while the first one is raised."""
    copied = _restored(type(error), error.message, dict(vars(error)))
    copied.__cause__ = error.__cause__
    return copied


def lighten(error: BaseException) -> None:
    """Leave of an error, and of what caused it, only what fits its bounded text.

    An error that is kept may not hold frames (by its traceback), payloads or half-decoded buffers,
    nor texts of others that quote a name of many megabytes.
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
    """Cut the values of an error that is none of ours; its type and the begin of its text stay."""
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
    """A value that takes little memory, to stand for any value."""
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
    """Names of what there is, for a message that a person reads: the first ones, each cut short."""
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
