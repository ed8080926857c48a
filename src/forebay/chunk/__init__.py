"""`Chunk`: immutable rows of one entity as Arrow columns, and the layout that explains them."""

from forebay.chunk.chunk import Chunk
from forebay.chunk.layout import (
    ARROW_TIME_TYPES,
    TIME_TYPES,
    ChunkLayout,
    ComponentDescriptor,
    DataColumn,
    IndexColumn,
)
from forebay.chunk.row_ids import RowIdArray

__all__ = [
    "ARROW_TIME_TYPES",
    "TIME_TYPES",
    "Chunk",
    "ChunkLayout",
    "ComponentDescriptor",
    "DataColumn",
    "IndexColumn",
    "RowIdArray",
]
