"""First triggers and how far each threshold's have been processed."""

from __future__ import annotations

from polymarket_bot.storage.models.base import StorageModel
from polymarket_bot.storage.types import (
    Identifier,
    Indexed,
    Integer,
    Price,
    Real,
    Size,
    Text,
    TimeText,
    UnixSeconds,
)


class PolymarketFirstTrigger(StorageModel):
    """The first time a token crossed a threshold: a row of `polymarket_first_triggers`.

    `trigger_timestamp` is in Unix seconds, `price` in 0..1, `size` in shares.
    """

    token_id: Identifier
    condition_id: Indexed | None = None
    threshold: Real
    trigger_timestamp: UnixSeconds
    price: Price | None = None
    size: Size | None = None
    created_at: TimeText
    model_score: Real | None = None
    model_version: Text | None = None
    outcome: Text | None = None
    outcome_index: Integer | None = None


class TriggerWatermark(StorageModel):
    """How far a threshold's triggers are processed, in Unix seconds (`trigger_watermarks`)."""

    threshold: Real
    last_timestamp: UnixSeconds
    updated_at: TimeText
