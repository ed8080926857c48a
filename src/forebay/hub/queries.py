"""The questions one can ask of a store, each answered by a snapshot taken for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from forebay.chunk import DamagedChunk
    from forebay.model import Contents, EntityPath, TimeLike, TimeType
    from forebay.store import Cell, DataframeView, StoreSnapshot


class Queries(ABC):
    """Everything that a snapshot answers, for what can give a snapshot."""

    @abstractmethod
    def snapshot(self) -> StoreSnapshot:
        """All data as it is now."""

    def entity_paths(self) -> list[EntityPath]:
        """Entities that have data, in Rerun's order."""
        return self.snapshot().entity_paths()

    def timelines(self) -> dict[str, TimeType]:
        """The type of each timeline, by name."""
        return self.snapshot().timelines()

    def time_range(self, timeline: str) -> tuple[int, int]:
        """First and last time on a timeline (nanoseconds, or sequence numbers).

        Raises:
            UnknownTimelineError: There is no such timeline.
        """
        return self.snapshot().time_range(timeline)

    @property
    def num_chunks(self) -> int:
        """Chunks held."""
        return self.snapshot().num_chunks

    @property
    def num_rows(self) -> int:
        """Rows held."""
        return self.snapshot().num_rows

    @property
    def byte_size(self) -> int:
        """Bytes of data held, each buffer counted once."""
        return self.snapshot().byte_size

    def put_aside(self) -> list[DamagedChunk]:
        """Chunks that could not be opened, with their causes: queries answer from the others.

        They were committed, and are counted so; none that was checked should be here.
        """
        return self.snapshot().put_aside()

    def latest_at(
        self,
        timeline: str | None,
        time: TimeLike | None,
        entity: str,
        components: Iterable[str] | str | None = None,
    ) -> Mapping[str, Cell]:
        """The newest value of each component of `entity` at or before `time`.

        Static data wins over temporal data; clears hide what they cover (see the snapshot). A
        recording that has no timeline at all (yet) answers whatever timeline is named.
        `timeline=None` asks for static data alone. Components without an answer are absent.

        Raises:
            UnknownTimelineError, UnknownEntityError, UnknownComponentError, TimeTypeError
        """
        return self.snapshot().latest_at(timeline, time, entity, components)

    def range(
        self,
        timeline: str | None,
        start: TimeLike | None,
        end: TimeLike | None,
        entity: str,
        components: Iterable[str] | str | None = None,
    ) -> pa.Table:
        """All rows of `entity` from `start` to `end`, both included, by time and row id.

        Components with static data answer with it in a first row, whose time is null, and with
        nothing else; see `StoreSnapshot.range`.

        Raises:
            UnknownTimelineError, UnknownEntityError, UnknownComponentError, TimeTypeError
        """
        return self.snapshot().range(timeline, start, end, entity, components)

    def dataframe(self, index: str | None, contents: Contents = "/**", **options: Any) -> pa.Table:
        """One row per distinct value of `index`: columns, order and cells as Rerun's reader gives.

        See `StoreSnapshot.dataframe` for the options, `fill_latest_at` and `using_index_values`
        among them.

        Raises:
            UnknownTimelineError, UnknownComponentError, ExpressionError, TimeTypeError
        """
        return self.snapshot().dataframe(index, contents, **options)

    def dataframe_view(
        self, index: str | None, contents: Contents = "/**", **options: Any
    ) -> DataframeView:
        """The same dataframe, made batch by batch by the thread that reads it.

        It speaks the Arrow PyCapsule interface: give it to Polars, DuckDB, DataFusion or pandas as
        it is, or call `batches()` for results larger than memory.
        """
        return self.snapshot().dataframe_view(index, contents, **options)
