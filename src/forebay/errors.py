"""Every error that Forebay raises: one tree, with fields to act on, and messages that help.

```
ForebayError
├── CodecError                 bytes that are not what they should be
│   ├── NotAnRrdError          no Rerun stream begins here
│   ├── UnsupportedRrdError    a Rerun stream, of a version or encoding we do not read
│   ├── TruncatedError         the stream ends inside a message
│   └── CorruptError           a header, length or message that contradicts itself
├── InvalidChunkError          a message that cannot become a chunk (the cause of a rejection)
│   └── LimitError             a message over one of the `StoreLimits`
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

from typing import TYPE_CHECKING, Self

from forebay.limits import NAME_CHARS_TOLD_MAX, NAMES_TOLD_MAX
from forebay.printable import named, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forebay.model import ChunkId, StoreId


class ForebayError(Exception):
    """Root of all errors raised by Forebay; its text is one line without control characters.

    Attributes:
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
        # Names in it may be a sender's, and it goes to terminals, logs and pages.
        message = printable(message)
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
    """A message that would take a hub or a store over one of its structural limits.

    Attributes:
        limit: The limit's name in `StoreLimits`.
        limit_max: Its value.
    """

    def __init__(
        self,
        message: str,
        *,
        limit: str = "",
        limit_max: int = 0,
        store_id: StoreId | None = None,
        chunk_id: ChunkId | None = None,
        byte_offset: int | None = None,
    ) -> None:
        super().__init__(message, store_id=store_id, chunk_id=chunk_id, byte_offset=byte_offset)
        self.limit = limit
        self.limit_max = limit_max

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
