"""Dataframes that are worked out when somebody reads them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from forebay.limits import DATAFRAME_BATCH_BYTES, DATAFRAME_BATCH_ROWS
from forebay.store.dataframe.columns import Snapshot
from forebay.store.dataframe.query import DataframePlan, DataframeQuery, plan


class DataframeView:
    """A dataframe not yet made: it has a schema, and makes its rows for whoever reads them.

    It speaks the Arrow PyCapsule interface, so Polars, DuckDB, DataFusion, pandas and pyarrow
    take it as it is, batch by batch and without a copy; it can be read any number of times.
    """

    __slots__ = ("_max_bytes", "_max_rows", "_plan")

    def __init__(
        self,
        plan: DataframePlan,
        *,
        max_rows: int = DATAFRAME_BATCH_ROWS,
        max_bytes: int = DATAFRAME_BATCH_BYTES,
    ) -> None:
        """`max_rows` and `max_bytes` bound the batches; one row always makes a batch."""
        self._plan = plan
        self._max_rows = max_rows
        self._max_bytes = max_bytes

    @property
    def schema(self) -> pa.Schema:
        """Columns, types and Rerun's metadata."""
        return self._plan.schema

    @property
    def num_rows(self) -> int:
        """Rows, known before any is made."""
        return self._plan.num_rows

    def __len__(self) -> int:
        return self._plan.num_rows

    def table(self) -> pa.Table:
        """All rows at once."""
        return self._plan.table()

    def batches(self) -> pa.RecordBatchReader:
        """All rows, made as they are read."""
        return self._plan.batches(self._max_rows, self._max_bytes)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        """The rows as an Arrow C stream."""
        return self.batches().__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> Any:
        """The schema as an Arrow C schema."""
        return self.schema.__arrow_c_schema__()

    def __repr__(self) -> str:
        return f"DataframeView({self.num_rows} rows, {len(self.schema)} columns)"


def dataframe_view(
    snapshot: Snapshot,
    index: str | None,
    *,
    max_rows: int = DATAFRAME_BATCH_ROWS,
    max_bytes: int = DATAFRAME_BATCH_BYTES,
    **arguments: Any,
) -> DataframeView:
    """The dataframe of a snapshot, to be read later; `arguments` are those of `dataframe`.

    Raises:
        QueryError: What `dataframe` raises, at once.
    """
    query = DataframeQuery(index=index, **arguments)
    return DataframeView(plan(snapshot, query), max_rows=max_rows, max_bytes=max_bytes)


def dataframe_batches(
    snapshot: Snapshot,
    index: str | None,
    *,
    max_rows: int = DATAFRAME_BATCH_ROWS,
    max_bytes: int = DATAFRAME_BATCH_BYTES,
    **arguments: Any,
) -> pa.RecordBatchReader:
    """The same rows as `dataframe`, batch by batch, for results larger than memory."""
    view = dataframe_view(snapshot, index, max_rows=max_rows, max_bytes=max_bytes, **arguments)
    return view.batches()
