"""`Chunk`: immutable rows of one entity as Arrow columns, and the layout that describes them."""

from forebay.chunk.chunk import Chunk
from forebay.chunk.convert import converted
from forebay.chunk.damage import DamagedChunk
from forebay.chunk.encoded import BatchForm, EncodedChunk
from forebay.chunk.layout import (
    ARROW_TIME_TYPES,
    TIME_TYPES,
    ChunkLayout,
    ComponentDescriptor,
    DataColumn,
    IndexColumn,
)
from forebay.chunk.merge import (
    concatenable,
    concatenated,
    derived_id,
    fits_limits,
    is_time_sorted,
    picked,
    sliced,
    split,
)
from forebay.chunk.packed import PackedChunk, RowForm, number_spans
from forebay.chunk.row_ids import RowIdArray
from forebay.chunk.unify import same_type, unified, unified_or_null
from forebay.chunk.unread import ConvertedChunk, UnreadColumn

__all__ = [
    "ARROW_TIME_TYPES",
    "TIME_TYPES",
    "BatchForm",
    "Chunk",
    "ChunkLayout",
    "ComponentDescriptor",
    "ConvertedChunk",
    "DamagedChunk",
    "DataColumn",
    "EncodedChunk",
    "IndexColumn",
    "PackedChunk",
    "RowForm",
    "RowIdArray",
    "UnreadColumn",
    "concatenable",
    "concatenated",
    "converted",
    "derived_id",
    "fits_limits",
    "is_time_sorted",
    "number_spans",
    "picked",
    "same_type",
    "sliced",
    "split",
    "unified",
    "unified_or_null",
]
