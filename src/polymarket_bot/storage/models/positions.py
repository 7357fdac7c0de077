"""Positions, their exits, and the profit and loss of a day."""

from __future__ import annotations

from decimal import Decimal

from polymarket_bot.storage.models.base import StorageModel
from polymarket_bot.storage.types import (
    DateText,
    Identifier,
    Integer,
    Money,
    Price,
    Real,
    Size,
    Text,
    TimeText,
)


class Position(StorageModel):
    """Shares that are or were held: a row of `positions`.

    `status` is `open`, `closed` or `resolved`. Prices are in 0..1, `size` in shares; cost, value
    and P&L in the exchange's currency. `current_price` of a closed position is its exit price.
    """

    id: Integer | None = None
    token_id: Identifier
    condition_id: Text | None = None
    market_id: Text | None = None
    outcome: Text | None = None
    outcome_index: Integer | None = None
    side: Identifier = "BUY"
    size: Size
    entry_price: Price
    entry_cost: Money
    current_price: Price | None = None
    current_value: Money | None = None
    unrealized_pnl: Money | None = None
    realized_pnl: Money | None = Decimal(0)
    status: Identifier = "open"
    resolution: Text | None = None
    entry_order_id: Text | None = None
    exit_order_id: Text | None = None
    entry_timestamp: TimeText
    exit_timestamp: TimeText | None = None
    resolved_at: TimeText | None = None
    description: Text | None = None
    created_at: TimeText
    updated_at: TimeText | None = None


class ExitEvent(StorageModel):
    """An attempt to leave a position: a row of `exit_events`.

    `status` is `pending`, `executed` or `failed`. Prices are in 0..1, `size` in shares.
    """

    id: Integer | None = None
    position_id: Integer
    token_id: Identifier
    condition_id: Text | None = None
    exit_type: Identifier
    entry_price: Price
    exit_price: Price
    size: Size
    gross_pnl: Money
    net_pnl: Money
    hours_held: Real
    exit_order_id: Text | None = None
    status: Identifier = "pending"
    reason: Text | None = None
    created_at: TimeText
    executed_at: TimeText | None = None


class DailyPnl(StorageModel):
    """Profit and loss of a calendar day, `date` as `YYYY-MM-DD`: a row of `daily_pnl`."""

    date: DateText
    realized_pnl: Money | None = Decimal(0)
    unrealized_pnl: Money | None = Decimal(0)
    total_pnl: Money | None = Decimal(0)
    num_trades: Integer | None = 0
    num_wins: Integer | None = 0
    num_losses: Integer | None = 0
    updated_at: TimeText | None = None
