"""Small rows of every table but those of trades and triggers, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from polymarket_bot.storage import (
    ApprovalAlert,
    Database,
    ExitEvent,
    LiveOrder,
    LiveOrderRepository,
    MarketScoresCache,
    PaperTrade,
    PolymarketCandidate,
    PolymarketResolution,
    PolymarketTokenMeta,
    Position,
    ScoreHistory,
    StreamWatchlistItem,
    TradeApproval,
    TradeWatchlistItem,
)
from tests.makers import CONDITION, CREATED, NOW, TOKEN

DAY = datetime(2025, 10, 9, tzinfo=UTC)


def position(token_id: str = TOKEN, **changes: Any) -> Position:
    """100 shares bought for 75."""
    fields: dict[str, Any] = {
        "condition_id": CONDITION,
        "size": "100",
        "entry_price": "0.75",
        "entry_cost": "75",
        "entry_timestamp": CREATED,
        "created_at": CREATED,
        **changes,
    }
    return Position(token_id=token_id, **fields)


def exit_event(position_id: int = 1, **changes: Any) -> ExitEvent:
    """An attempt to sell the 100 shares for 85."""
    fields: dict[str, Any] = {
        "token_id": TOKEN,
        "exit_type": "stop_loss",
        "entry_price": "0.75",
        "exit_price": "0.85",
        "size": "100",
        "gross_pnl": "10",
        "net_pnl": "9.5",
        "hours_held": 2.5,
        "created_at": CREATED,
        **changes,
    }
    return ExitEvent(position_id=position_id, **fields)


def order(order_id: str | None = "o1", **changes: Any) -> LiveOrder:
    """An order of 10 shares at 0.95."""
    fields: dict[str, Any] = {
        "candidate_id": 1,
        "token_id": TOKEN,
        "threshold": 0.95,
        "order_price": "0.95",
        "order_size": "10",
        "status": "submitted",
        "submitted_at": CREATED,
        **changes,
    }
    return LiveOrder(order_id=order_id, **fields)


async def sent(
    orders: LiveOrderRepository, name: str | None, hour: int = 0, **changes: Any
) -> LiveOrder:
    """Store an order that was written down at an hour of the `DAY`."""
    return await orders.create(order(name, submitted_at=DAY + timedelta(hours=hour), **changes))


def paper_trade(candidate_id: int = 1, **changes: Any) -> PaperTrade:
    """A trade on paper."""
    fields: dict[str, Any] = {
        "token_id": TOKEN,
        "threshold": 0.95,
        "decision": "buy",
        "created_at": CREATED,
        **changes,
    }
    return PaperTrade(candidate_id=candidate_id, **fields)


def candidate(token_id: str = TOKEN, **changes: Any) -> PolymarketCandidate:
    """A pending candidate."""
    fields: dict[str, Any] = {
        "threshold": 0.95,
        "trigger_timestamp": NOW,
        "status": "pending",
        "created_at": CREATED,
        **changes,
    }
    return PolymarketCandidate(token_id=token_id, **fields)


def approval(token_id: str = TOKEN, **changes: Any) -> TradeApproval:
    """A pending approval up to 0.98 that never expires."""
    return TradeApproval(token_id=token_id, **{"approved_at": CREATED, **changes})


def alert(token_id: str = TOKEN, **changes: Any) -> ApprovalAlert:
    """A question that nobody has answered."""
    return ApprovalAlert(token_id=token_id, **{"alerted_at": CREATED, **changes})


def watched(token_id: str = TOKEN, **changes: Any) -> TradeWatchlistItem:
    """A token under watch."""
    return TradeWatchlistItem(token_id=token_id, **changes)


def scores(condition_id: str = CONDITION, **changes: Any) -> MarketScoresCache:
    """A market's scores."""
    return MarketScoresCache(condition_id=condition_id, **changes)


def score(token_id: str = TOKEN, **changes: Any) -> ScoreHistory:
    """A score that a token was given."""
    return ScoreHistory(token_id=token_id, **{"score": 0.5, "scored_at": NOW, **changes})


def streamed(market_id: str = "m1", **changes: Any) -> StreamWatchlistItem:
    """A market whose trades are streamed."""
    fields: dict[str, Any] = {
        "question": "Will it rain?",
        "slug": "will-it-rain",
        "generated_at": "2025-10-09T12:00:00Z",
        **changes,
    }
    return StreamWatchlistItem(market_id=market_id, **fields)


def resolution(condition_id: str = CONDITION, **changes: Any) -> PolymarketResolution:
    """A market's outcome."""
    return PolymarketResolution(condition_id=condition_id, **changes)


def token_meta(token_id: str = TOKEN, **changes: Any) -> PolymarketTokenMeta:
    """What is known of a token."""
    return PolymarketTokenMeta(token_id=token_id, **changes)


def tokens(rows: Sequence[Any]) -> list[str | None]:
    """Return the token of each row."""
    return [row.token_id for row in rows]


async def store(db: Database, table: str, **values: Any) -> None:
    """Insert a row as an older writer may have left it, past every check."""
    places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    await db.execute(
        f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})", *values.values()
    )
