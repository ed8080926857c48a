"""Lazy dataframes: rows are made when they are read."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from forebay.limits import DATAFRAME_BATCH_BYTES, DATAFRAME_BATCH_ROWS
from forebay.store.dataframe.columns import Snapshot
from forebay.store.dataframe.query import DataframePlan, DataframeQuery, plan


class DataframeView:
    """A prepared dataframe with a known schema; its rows are made when they are read.

    It implements the Arrow PyCapsule interface: Polars, DuckDB, DataFusion, pandas and pyarrow read
    it directly, batch by batch and without a copy. It can be read any number of times.
    """

    __slots__ = ("_max_bytes", "_max_rows", "_plan")

    def __init__(
        self,
        plan: DataframePlan,
        *,
        max_rows: int = DATAFRAME_BATCH_ROWS,
        max_bytes: int = DATAFRAME_BATCH_BYTES,
    ) -> None:
        """Make a view of a plan.

        Args:
            plan: The prepared query.
            max_rows: The maximum number of rows per batch.
            max_bytes: The approximate maximum size of a batch in bytes; a batch has at least one
                row.
        """
        self._plan = plan
        self._max_rows = max_rows
        self._max_bytes = max_bytes

    @property
    def schema(self) -> pa.Schema:
        """The columns with their types and Rerun's metadata."""
        return self._plan.schema

    @property
    def num_rows(self) -> int:
        """The number of rows; known before any row is made."""
        return self._plan.num_rows

    def __len__(self) -> int:
        return self._plan.num_rows

    def table(self) -> pa.Table:
        """Return all rows as one table."""
        return self._plan.table()

    def batches(self) -> pa.RecordBatchReader:
        """Return a reader that makes the rows batch by batch."""
        return self._plan.batches(self._max_rows, self._max_bytes)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        """Return the rows as an Arrow C stream."""
        return self.batches().__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> Any:
        """Return the schema as an Arrow C schema."""
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
    """Return a lazy dataframe of a snapshot.

    Args:
        snapshot: The store.
        index: As for `dataframe`.
        max_rows: The maximum number of rows per batch.
        max_bytes: The approximate maximum size of a batch in bytes; a batch has at least one row.
        arguments: The other arguments of `dataframe`.

    Raises:
        QueryError: As for `dataframe`, raised by this call and not when rows are read.
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
    """Return a reader with the same rows as `dataframe`, for results larger than memory.

    Args:
        snapshot: The store.
        index: As for `dataframe`.
        max_rows: The maximum number of rows per batch.
        max_bytes: The approximate maximum size of a batch in bytes; a batch has at least one row.
        arguments: The other arguments of `dataframe`.

    Raises:
        QueryError: As for `dataframe`, raised by this call and not when rows are read.
    """
    view = dataframe_view(snapshot, index, max_rows=max_rows, max_bytes=max_bytes, **arguments)
    return view.batches()
