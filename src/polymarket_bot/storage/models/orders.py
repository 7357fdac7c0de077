"""Orders sent to the exchange, and trades on paper."""

from __future__ import annotations

from polymarket_bot.storage.models.base import StorageModel
from polymarket_bot.storage.types import (
    Identifier,
    Integer,
    Price,
    Real,
    Size,
    Text,
    TimeText,
    UnixSeconds,
)


class PaperTrade(StorageModel):
    """A simulated trade, or the decision against one: a row of `paper_trades`.

    Prices are in 0..1, `size` in shares, `trigger_timestamp` in Unix seconds.
    """

    id: Integer | None = None
    candidate_id: Integer
    token_id: Identifier
    condition_id: Text | None = None
    threshold: Real
    trigger_timestamp: UnixSeconds | None = None
    candidate_price: Price | None = None
    fill_price: Price | None = None
    size: Size | None = None
    model_score: Real | None = None
    model_version: Text | None = None
    decision: Identifier
    reason: Text | None = None
    created_at: TimeText
    description: Text | None = None
    outcome: Text | None = None
    outcome_index: Integer | None = None


class LiveOrder(StorageModel):
    """A real order: a row of `live_orders`.

    `order_id` is the exchange's, None until it has answered. `status` is `pending`, `submitted`,
    `partial`, `filled`, `cancelled`, `rejected`, or a bot's own. Prices are in 0..1, sizes in
    shares.
    """

    id: Integer | None = None
    order_id: Identifier | None = None
    candidate_id: Integer
    token_id: Identifier
    condition_id: Text | None = None
    threshold: Real
    order_price: Price | None = None
    order_size: Size | None = None
    fill_price: Price | None = None
    fill_size: Size | None = None
    status: Identifier
    reason: Text | None = None
    submitted_at: TimeText
    filled_at: TimeText | None = None
    updated_at: TimeText | None = None
