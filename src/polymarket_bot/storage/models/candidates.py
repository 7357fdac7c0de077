"""Candidates for a trade and how far each threshold's have been processed."""

from __future__ import annotations

from polymarket_bot.storage.models.base import StorageModel
from polymarket_bot.storage.types import (
    Identifier,
    Integer,
    Price,
    Real,
    Text,
    TimeText,
    UnixSeconds,
)


class PolymarketCandidate(StorageModel):
    """A token that waits for a decision: a row of `polymarket_candidates`.

    `status` is `pending`, `approved`, `rejected`, `executed`, or a bot's own;
    `trigger_timestamp` is in Unix seconds, `price` in 0..1.
    """

    id: Integer | None = None
    token_id: Identifier
    condition_id: Text | None = None
    threshold: Real
    trigger_timestamp: UnixSeconds
    price: Price | None = None
    status: Identifier
    score: Real | None = None
    created_at: TimeText
    model_score: Real | None = None
    model_version: Text | None = None
    outcome: Text | None = None
    outcome_index: Integer | None = None
    updated_at: TimeText | None = None


class CandidateWatermark(StorageModel):
    """Up to which creation time a threshold's candidates are processed (`candidate_watermarks`)."""

    threshold: Real
    last_created_at: TimeText
    updated_at: TimeText
