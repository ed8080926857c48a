"""Ingestion: one worker per store decodes its messages, in order, within bounds.

`core` decides (events in, decisions out; no locks, clocks or threads). `worker` is the public face
of the objects that act: they share one lock, and run turns in a runtime.
"""

from forebay.ingest.adaptive import AdaptiveBudget, BudgetController, Measured
from forebay.ingest.batch_decoder import chunk_decoder
from forebay.ingest.budget import BudgetShare, ByteBudget
from forebay.ingest.decoder_pool import Decode, DecoderPool
from forebay.ingest.gaps import Gap
from forebay.ingest.outcomes import (
    NOT_SUBMITTED,
    DroppedMsg,
    Outcome,
    ProcessedChunk,
    RejectedColumn,
    RejectedMsg,
    Rejection,
    message_cost,
    rejected_columns,
)
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
from forebay.ingest.worker import IngestionWorker

__all__ = [
    "NOT_SUBMITTED",
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
    "RejectedColumn",
    "RejectedMsg",
    "Rejection",
    "RejectionLog",
    "Spill",
    "StageLatency",
    "chunk_decoder",
    "message_cost",
    "policy_from",
    "rejected_columns",
    "total",
]
