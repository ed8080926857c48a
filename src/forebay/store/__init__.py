"""The chunks of one store, their indexes, and the queries over them."""

from forebay.store.cell import Cell
from forebay.store.chunk_store import ChunkStore
from forebay.store.snapshot import StoreSnapshot

__all__ = ["Cell", "ChunkStore", "StoreSnapshot"]
