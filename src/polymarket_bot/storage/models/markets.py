"""What the exchange says of markets and tokens."""

from __future__ import annotations

from polymarket_bot.storage.models.base import StorageModel
from polymarket_bot.storage.types import (
    Identifier,
    Indexed,
    Integer,
    Money,
    Price,
    StatedTime,
    Text,
    TimeText,
)


class StreamWatchlistItem(StorageModel):
    """A market whose trades are streamed: a row of `stream_watchlist`.

    Bid and ask are in 0..1; liquidity and volume in the exchange's currency; the times are kept
    as the exchange states them.
    """

    market_id: Identifier
    question: Text
    slug: Text
    category: Text | None = None
    best_bid: Price | None = None
    best_ask: Price | None = None
    liquidity: Money | None = None
    volume: Money | None = None
    end_date: StatedTime | None = None
    generated_at: StatedTime
    condition_id: Text | None = None


class PolymarketResolution(StorageModel):
    """How a market was resolved: a row of `polymarket_resolutions`.

    `resolved_at` is kept as the exchange states it.
    """

    condition_id: Identifier
    winning_outcome_index: Integer | None = None
    winning_outcome: Text | None = None
    resolved_at: StatedTime | None = None


class PolymarketTokenMeta(StorageModel):
    """Which market and outcome a token stands for: a row of `polymarket_token_meta`."""

    token_id: Identifier
    condition_id: Indexed | None = None
    market_id: Text | None = None
    outcome_index: Integer | None = None
    outcome: Text | None = None
    question: Text | None = None
    fetched_at: TimeText | None = None
