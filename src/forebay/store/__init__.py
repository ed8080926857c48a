"""The chunks of one store, their indexes, and the queries over them."""

from forebay.store.cell import Cell
from forebay.store.chunk_store import ChunkStore
from forebay.store.dataframe import DataframeQuery, DataframeView, IndexValues, dataframes
from forebay.store.flatten import explode, flatten
from forebay.store.running import num_queries_running
from forebay.store.snapshot import StoreSnapshot

__all__ = [
    "Cell",
    "ChunkStore",
    "DataframeQuery",
    "DataframeView",
    "IndexValues",
    "StoreSnapshot",
    "dataframes",
    "explode",
    "flatten",
    "num_queries_running",
]
