"""`Chunk`: immutable rows of one entity."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from forebay.chunk.arrays import positions
from forebay.chunk.layout import ChunkLayout
from forebay.chunk.row_ids import RowIdArray, are_sorted, row_id_array, sorting
from forebay.errors import InvalidChunkError
from forebay.model import ChunkId, EntityPath, RowId

if TYPE_CHECKING:
    from collections.abc import Iterable

_TIME: Final = struct.Struct("=q")


class Chunk:
    """Rows of one entity, sorted by row id: an Arrow record batch and the layout that describes it.

    Immutable and thread-safe. Columns are decoded on first access and cached. Two threads that
    decode the same column at once store equal values, so no lock is needed.

    Attributes:
        id: Globally unique: two chunks with the same id hold the same rows.
        layout: The meaning of each column.
        batch: The columns; `batch.num_rows` rows.
        owns_buffers: Whether the buffers of the columns hold no other data.
        is_checked: Whether the whole batch was validated, as `validated` does.
    """

    __slots__ = (
        "_byte_size",
        "_row_ids",
        "_times",
        "batch",
        "id",
        "is_checked",
        "layout",
        "owns_buffers",
    )

    id: ChunkId
    layout: ChunkLayout
    batch: pa.RecordBatch
    owns_buffers: bool
    is_checked: bool

    def __init__(
        self,
        id: ChunkId,  # noqa: A002
        layout: ChunkLayout,
        batch: pa.RecordBatch,
        *,
        owns_buffers: bool = False,
    ) -> None:
        self.id = id
        self.owns_buffers = owns_buffers
        self.layout = layout
        self.batch = batch
        self.is_checked = False
        self._byte_size = -1
        self._row_ids: RowIdArray | None = None
        self._times: dict[str, npt.NDArray[np.int64]] = {}

    @classmethod
    def validated(
        cls,
        id: ChunkId,  # noqa: A002
        layout: ChunkLayout,
        batch: pa.RecordBatch,
        *,
        known_dense: bool = False,
        owns_buffers: bool = False,
    ) -> Chunk:
        """Make a chunk of a batch that was not validated yet; its rows are sorted by row id.

        Args:
            id: The chunk's id.
            layout: The layout of the batch.
            batch: The rows. Every offset in it is validated before it is followed.
            known_dense: Whether row ids and times are known to have no nulls.
            owns_buffers: Whether the buffers of the batch hold no other data.

        Raises:
            InvalidChunkError: Row ids or times have nulls, or the batch contradicts itself.
        """
        try:
            batch.validate(full=True)
        except (pa.ArrowException, UnicodeDecodeError) as error:
            msg = f"the record batch of chunk {id} contradicts itself: {error}"
            raise InvalidChunkError(msg, chunk_id=id) from error
        if not known_dense:
            _refuse_nulls(id, layout, batch)
        chunk = cls(id, layout, batch, owns_buffers=owns_buffers)
        if batch.num_rows > 1 and not are_sorted(chunk.row_ids):
            chunk = chunk.taken(sorting(chunk.row_ids))
        chunk.is_checked = True
        return chunk

    @property
    def entity_path(self) -> EntityPath:
        """The entity that the rows belong to."""
        return self.layout.entity_path

    @property
    def is_static(self) -> bool:
        """Whether the rows are static, that is, the chunk has no timeline."""
        return self.layout.is_static

    @property
    def num_rows(self) -> int:
        """The number of rows, including rows in which every cell is null."""
        return int(self.batch.num_rows)

    @property
    def byte_size(self) -> int:
        """The number of bytes that the columns use; a slice counts only its own part."""
        if self.owns_buffers:
            # Buffers without other data: their total size is the same, and 40 times cheaper to get
            # in WebAssembly.
            return int(self.batch.get_total_buffer_size())
        size = self._byte_size
        if size < 0:
            size = self._byte_size = int(self.batch.nbytes)
        return size

    @property
    def byte_size_max(self) -> int:
        """An upper bound of `byte_size` that costs less: a slice counts whole buffers."""
        return int(self.batch.get_total_buffer_size())

    @property
    def timelines(self) -> Iterable[str]:
        """The names of the timelines on which the rows have times."""
        return self.layout.indexes.keys()

    @property
    def components(self) -> Iterable[str]:
        """The identifiers of the components that have a column."""
        return self.layout.components.keys()

    @property
    def row_ids(self) -> RowIdArray:
        """The row ids, shape `(rows,)`, never decreasing."""
        row_ids = self._row_ids
        if row_ids is None:
            row_ids = self._row_ids = row_id_array(self.batch.column(self.layout.row_ids))
        return row_ids

    def row_id_at(self, row: int) -> RowId:
        """Return the row id of one row, given its position."""
        return RowId(self.batch.column(self.layout.row_ids)[row].as_py())

    def times(self, timeline: str) -> npt.NDArray[np.int64]:
        """Return the times on one timeline, shape `(rows,)`: sequence numbers, or nanoseconds.

        Args:
            timeline: The name of the timeline.

        Raises:
            KeyError: The chunk has no such timeline.
        """
        known = self._times
        if timeline not in known:  # Not `get` (docs/free-threading.md). No key is ever removed.
            column = self.batch.column(self.layout.indexes[timeline].position)
            known[timeline] = (
                np.frombuffer(
                    column.buffers()[1], dtype=np.int64, count=len(column), offset=8 * column.offset
                )
                if len(column)
                else np.empty(0, np.int64)
            )
        return known[timeline]

    def component(self, component: str) -> pa.ListArray:
        """Return the cells of one component: a list array with one list (or null) per row.

        Args:
            component: The identifier of the component.

        Raises:
            KeyError: The chunk has no such component.
        """
        return self.batch.column(self.layout.components[component].position)

    def time_at(self, timeline: str, row: int) -> int:
        """Return the time of one row without caching the decoded column.

        Args:
            timeline: The name of the timeline.
            row: The position of the row.

        Raises:
            KeyError: The chunk has no such timeline.
        """
        times = self.batch.column(self.layout.indexes[timeline].position)
        # A buffer may be longer than its values, and its size then need not be a multiple of
        # theirs.
        time: int = _TIME.unpack_from(times.buffers()[1], _TIME.size * (times.offset + row))[0]
        return time

    def null_count(self, component: str) -> int:
        """Return the number of rows that have no cell of a component.

        Args:
            component: The identifier of the component.

        Raises:
            KeyError: The chunk has no such component.
        """
        return int(self.component(component).null_count)

    def taken(self, rows: npt.NDArray[np.intp]) -> Chunk:
        """Return a chunk with the same id and the given rows, in the given order.

        Args:
            rows: Positions of rows, shape `(rows of the result,)`.
        """
        return Chunk(self.id, self.layout, self.batch.take(positions(rows)))

    def __repr__(self) -> str:
        return f"Chunk({self.id}, {self.entity_path}, {self.num_rows} rows)"


def _refuse_nulls(id: ChunkId, layout: ChunkLayout, batch: pa.RecordBatch) -> None:  # noqa: A002
    for position, name in [
        (layout.row_ids, "row ids"),
        *((index.position, f"timeline {name!r}") for name, index in layout.indexes.items()),
    ]:
        if batch.column(position).null_count:
            msg = f"{name} of chunk {id} has nulls"
            raise InvalidChunkError(msg, chunk_id=id)
