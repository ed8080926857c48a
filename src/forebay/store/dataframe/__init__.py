"""Dataframes: one row per index value, one column per timeline and component, as in Rerun's reader.

The steps of a query: select the columns (`columns`); collect the logged rows of each on the index
(`rows`, `clears`, `times`); determine the distinct index values (`index`); decide which cell is in
which row (`runs`); and build the Arrow arrays (`cells`, `arrays`, `memory`). `query` runs the
steps. `view`, `several` and `source` are the public forms.
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
