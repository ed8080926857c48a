"""Ingestion: one worker per store decodes its messages, in order, within bounds.

`core` decides (events in, decisions out; no locks, clocks or threads), `worker` acts.
"""

from forebay.ingest.budget import BudgetShare, ByteBudget
from forebay.ingest.outcomes import Outcome, ProcessedChunk, RejectedMsg, message_cost
from forebay.ingest.stats import IngestionStats, StageLatency
from forebay.ingest.worker import Decode, IngestionWorker, chunk_decoder

__all__ = [
    "BudgetShare",
    "ByteBudget",
    "Decode",
    "IngestionStats",
    "IngestionWorker",
    "Outcome",
    "ProcessedChunk",
    "RejectedMsg",
    "StageLatency",
    "chunk_decoder",
    "message_cost",
]
