"""Dataframes: one row per index value, one column per timeline and component, as Rerun's reader.

The way of a query: the columns that the contents select (`columns`), the logged rows of each on
the index (`rows`, `clears`, `times`), the distinct index values (`index`), which cell stands in
which row (`runs`), and the Arrow arrays of it (`cells`, `arrays`, `memory`). `query` leads the way;
`view`, `several` and `source` are the forms in which others ask.
"""

from forebay.store.dataframe.index import IndexValues
from forebay.store.dataframe.query import DataframeQuery, dataframe
from forebay.store.dataframe.several import dataframes
from forebay.store.dataframe.source import DataframeSource
from forebay.store.dataframe.view import DataframeView, dataframe_batches, dataframe_view

__all__ = [
    "DataframeQuery",
    "DataframeSource",
    "DataframeView",
    "IndexValues",
    "dataframe",
    "dataframe_batches",
    "dataframe_view",
    "dataframes",
]
