"""`Session`: the engine in a Web Worker. Bytes of one source go in, answers to queries come out.

A page sends messages to it: JSON, and buffers whose ownership is transferred. Therefore it accepts
and returns JSON text and bytes, does not depend on JavaScript, and works the same in native Python.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from forebay.codec import StreamDecoder
from forebay.errors import CodecError, ForebayError
from forebay.hub import StoreHub
from forebay.limits import WEB_WORKER_QUEUE_MSGS, WEB_WORKER_REJECTIONS_SHOWN_MAX
from forebay.runtime import WebWorkerRuntime
from forebay.viewer import answers
from forebay.viewer.parts import Parts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from forebay.hub import EntityDb

_ANSWERS: Final = {
    "latest_at": answers.latest_at,
    "rows": answers.rows,
    "plot": answers.plot,
    "range": answers.range_,
    "dataframe": answers.dataframe,
    "csv": answers.csv,
}
"""Queries of one store. Each is answered with a buffer: CSV for `csv`, otherwise Arrow IPC."""


class Session:
    """The engine of one source: it is fed block by block, and can be queried between blocks.

    Blocks are decoded in slices between the messages of the event loop (`run_slice`). A query is
    therefore answered while the recording is still loading, from what is committed so far.

    Args:
        source: Name of the source for people: a file name or a URL.
        request_slice: Asks the event loop to call `run_slice` soon.
        part: Number of the source's recording that is kept (see `forebay.viewer.parts`). None keeps
            all recordings.
    """

    def __init__(
        self,
        source: str = "",
        request_slice: Callable[[], object] | None = None,
        part: int | None = None,
    ) -> None:
        self._source = source
        self._parts = Parts(part)
        self._runtime = WebWorkerRuntime(request_slice)
        self._decoder = StreamDecoder()
        self._hub = StoreHub(runtime=self._runtime, capacity=WEB_WORKER_QUEUE_MSGS)
        self._num_bytes = 0
        self._error: ForebayError | None = None
        self._is_finished = False

    @property
    def hub(self) -> StoreHub:
        """The hub with the stores that have appeared so far."""
        return self._hub

    @property
    def is_idle(self) -> bool:
        """Whether everything fed so far is committed or rejected."""
        return self._runtime.num_ready == 0

    def feed(self, data: bytes | memoryview) -> None:
        """Feed the next bytes of the source; the caller must not change them afterwards.

        Never raises for invalid content: damage ends the stream and is reported in the overview.
        """
        self._num_bytes += len(data)
        keeps = self._parts.keeps
        for msg in self._decoder.feed(data):
            if keeps(msg.store_id):
                self._hub.receive_log_msg(msg, self._source)

    def run_slice(self) -> bool:
        """Decode for about `limits.WEB_WORKER_SLICE_S` seconds, at least one turn.

        Returns:
            True if there is more to decode.
        """
        return self._runtime.run_slice()

    def finish(self) -> None:
        """Commit what is left after the last bytes.

        A stream that ends inside a message is reported as damaged in the overview.
        """
        try:
            self._decoder.finish()
        except CodecError as error:
            self._error = error
        self._hub.flush()
        self._is_finished = True

    def progress(self) -> str:
        """Return how much was read and committed.

        The result is a JSON object with counts of bytes and messages, and the recordings of the
        source.
        """
        stats = [db.ingestion_stats() for db in self._hub.entity_dbs()]
        return json.dumps(
            {
                "bytes": self._num_bytes,
                "messages": self._decoder.num_messages,
                "accepted": sum(each.accepted for each in stats),
                "committed": sum(each.committed for each in stats),
                "rejected": sum(each.rejected for each in stats),
                "in_flight": sum(each.in_flight for each in stats),
                "is_finished": self._is_finished,
                "recordings": self._parts.recording_ids,
            }
        )

    def overview(self) -> str:
        """Return stores, entities, timelines and all errors, as JSON.

        Of each store's rejections, at most `limits.WEB_WORKER_REJECTIONS_SHOWN_MAX` are included.
        """
        return json.dumps(
            {
                "source": self._source,
                "bytes": self._num_bytes,
                "error": _error_of(self._error),
                "stores": [self._store(db) for db in self._hub.entity_dbs()],
            }
        )

    def ask(self, question: str) -> bytes:
        """Answer a query of one store.

        Args:
            question: JSON with `kind`, `store` (its position in the overview) and the fields of
                that kind; see `forebay.viewer.answers`. Times are decimal strings.

        Returns:
            An Arrow IPC stream, or CSV.

        Raises:
            ForebayError: There is no such store, entity, timeline or component.
            ValueError: The question is malformed.
        """
        asked: Mapping[str, Any] = json.loads(question)
        stores = self._hub.entity_dbs()
        number = int(asked.get("store", 0))
        if not 0 <= number < len(stores):
            msg = f"there is no store {number}: {self._source or 'the recording'} has {len(stores)}"
            raise ForebayError(msg)
        answer = _ANSWERS.get(str(asked.get("kind")))
        if answer is None:
            msg = f"no question is called {asked.get('kind')!r}; there are: {', '.join(_ANSWERS)}"
            raise ValueError(msg)
        return answer(stores[number].snapshot(), asked)

    def _store(self, db: EntityDb) -> dict[str, Any]:
        rejections = db.rejections()
        return {
            "kind": db.store_id.kind.value,
            "application_id": db.store_id.application_id,
            "recording_id": db.store_id.recording_id,
            "rejected": db.ingestion_stats().rejected,
            "rejections": [
                _error_of(rejected.error)
                for rejected in rejections[:WEB_WORKER_REJECTIONS_SHOWN_MAX]
            ],
            **answers.overview(db.snapshot()),
        }


def _error_of(error: ForebayError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {
        "type": type(error).__name__,
        "message": str(error),
        "chunk_id": None if error.chunk_id is None else str(error.chunk_id),
        "byte_offset": error.byte_offset,
    }
