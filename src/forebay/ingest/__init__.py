"""Ingestion: one worker per store decodes its messages, in order, within bounds.

`core` decides (events in, decisions out; no locks, clocks or threads), `worker` acts.
"""

from forebay.ingest.adaptive import AdaptiveBudget, BudgetController, Measured
from forebay.ingest.budget import BudgetShare, ByteBudget
from forebay.ingest.decoders import DecoderPool
from forebay.ingest.gaps import Gap
from forebay.ingest.outcomes import DroppedMsg, Outcome, ProcessedChunk, RejectedMsg, message_cost
from forebay.ingest.policy import (
    Block,
    Deadline,
    DropNewest,
    DropOldest,
    LatestWins,
    Policy,
    PolicyRules,
    Spill,
    policy_from,
)
from forebay.ingest.rejections import RejectionLog
from forebay.ingest.stats import HubIngestionStats, IngestionStats, Rates, StageLatency, total
from forebay.ingest.worker import Decode, IngestionWorker, chunk_decoder

__all__ = [
    "AdaptiveBudget",
    "Block",
    "BudgetController",
    "BudgetShare",
    "ByteBudget",
    "Deadline",
    "Decode",
    "DecoderPool",
    "DropNewest",
    "DropOldest",
    "DroppedMsg",
    "Gap",
    "HubIngestionStats",
    "IngestionStats",
    "IngestionWorker",
    "LatestWins",
    "Measured",
    "Outcome",
    "Policy",
    "PolicyRules",
    "ProcessedChunk",
    "Rates",
    "RejectedMsg",
    "RejectionLog",
    "Spill",
    "StageLatency",
    "chunk_decoder",
    "message_cost",
    "policy_from",
    "total",
]
