"""Tokens and markets under watch, and their scores."""

from __future__ import annotations

from polymarket_bot.storage.models.base import StorageModel
from polymarket_bot.storage.types import (
    Flag,
    Identifier,
    Integer,
    Money,
    Price,
    Real,
    Size,
    StatedTime,
    Text,
    TimeText,
    UnixSeconds,
)


class TradeWatchlistItem(StorageModel):
    """A token that is scored again before a decision: a row of `trade_watchlist`.

    `status` is `watching`, `promoted`, `traded`, `expired` or `rejected`. All times are in Unix
    seconds, `trigger_price` in 0..1, `trigger_size` in shares.
    """

    token_id: Identifier
    market_id: Text | None = None
    condition_id: Text | None = None
    question: Text | None = None
    trigger_price: Price | None = None
    trigger_size: Size | None = None
    trigger_timestamp: UnixSeconds | None = None
    initial_score: Real | None = None
    current_score: Real | None = None
    time_to_end_hours: Real | None = None
    last_scored_at: UnixSeconds | None = None
    status: Identifier | None = "watching"
    created_at: UnixSeconds | None = None
    updated_at: UnixSeconds | None = None


class MarketScoresCache(StorageModel):
    """A market's latest score and what the filters say: a row of `market_scores_cache`.

    Bid and ask are in 0..1, liquidity and volume in the exchange's currency; `end_date` is kept as
    the exchange states it. The flags are 1, 0, or None where nobody has looked.
    """

    condition_id: Identifier
    market_id: Text | None = None
    question: Text | None = None
    category: Text | None = None
    best_bid: Price | None = None
    best_ask: Price | None = None
    spread_pct: Real | None = None
    liquidity: Money | None = None
    volume: Money | None = None
    end_date: StatedTime | None = None
    time_to_end_hours: Real | None = None
    model_score: Real | None = None
    passes_filters: Flag | None = None
    filter_rejections: Text | None = None
    is_weather: Flag | None = None
    is_crypto: Flag | None = None
    is_politics: Flag | None = None
    is_sports: Flag | None = None
    updated_at: TimeText | None = None


class ScoreHistory(StorageModel):
    """A score that a token was given at `scored_at` (Unix seconds): a row of `score_history`."""

    id: Integer | None = None
    token_id: Identifier | None = None
    score: Real | None = None
    time_to_end_hours: Real | None = None
    scored_at: UnixSeconds | None = None
