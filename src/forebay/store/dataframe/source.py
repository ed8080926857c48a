"""Dataframes, for whatever is a snapshot."""

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
    """What answers dataframe queries because it answers the smaller ones."""

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
        """One row per distinct value of `index`: columns, order and cells as Rerun's reader gives.

        Args:
            index: The timeline whose values make the rows; `None` gives one row of static data,
                and so does any name in a recording that has no timeline at all (yet).
            contents: Entities in Rerun's syntax, such as `"/world/**"` or
                `["/**", "- /world/secret/**"]`.
            fill_latest_at: Carry each component's last value forward.
            using_index_values: Make one row of each of these values instead of those logged.
            options: Whatever else `forebay.store.DataframeQuery` has, such as `start`, `end`,
                `components` and `respect_clears`.

        Raises:
            UnknownTimelineError, UnknownComponentError, ExpressionError, TimeTypeError
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
        """The same dataframe, made batch by batch by whoever reads it.

        It speaks the Arrow PyCapsule interface: give it to Polars, DuckDB, DataFusion or pandas as
        it is, or call `batches()` for results larger than memory.
        """
        return dataframe_view(self, index, contents=contents, **options)
