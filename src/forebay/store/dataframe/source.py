"""The dataframe methods that all snapshots share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forebay.store.dataframe.columns import Snapshot
from forebay.store.dataframe.query import dataframe
from forebay.store.dataframe.view import DataframeView, dataframe_view

if TYPE_CHECKING:
    import pyarrow as pa

    from forebay.model.contents import Contents
    from forebay.store.dataframe.index import IndexValues


class DataframeSource(Snapshot):
    """Base class that derives dataframe queries from the simpler queries of a `Snapshot`."""

    __slots__ = ()

    def dataframe(
        self,
        index: str | None,
        contents: Contents = "/**",
        *,
        fill_latest_at: bool = False,
        using_index_values: IndexValues | None = None,
        **options: Any,
    ) -> pa.Table:
        """Return one row per distinct value of `index`; columns and cells are as in Rerun's reader.

        Args:
            index: The timeline whose values make the rows. `None` gives one row of static data, and
                so does any name in a recording without timelines.
            contents: Entities in Rerun's syntax, such as `"/world/**"` or `["/**", "-
                /world/secret/**"]`.
            fill_latest_at: Show in each row the latest value so far.
            using_index_values: Make one row per given value instead of per logged value.
            options: Other fields of `forebay.store.DataframeQuery`, such as `start`, `end`,
                `components` and `respect_clears`.

        Raises:
            UnknownTimelineError: There are timelines, but none with the name of the index.
            UnknownComponentError: No selected entity has the component.
            ExpressionError: The contents are invalid, or an index value is repeated.
            TimeTypeError: A time does not fit the index.
        """
        return dataframe(
            self,
            index,
            contents=contents,
            fill_latest_at=fill_latest_at,
            using_index_values=using_index_values,
            **options,
        )

    def dataframe_view(
        self, index: str | None, contents: Contents = "/**", **options: Any
    ) -> DataframeView:
        """Return the same dataframe as a lazy view that makes its rows when they are read.

        The view implements the Arrow PyCapsule interface: pass it to Polars, DuckDB, DataFusion or
        pandas, or call `batches()` for results larger than memory.

        Args:
            index: As for `dataframe`.
            contents: As for `dataframe`.
            options: The other arguments of `dataframe`.
        """
        return dataframe_view(self, index, contents=contents, **options)
