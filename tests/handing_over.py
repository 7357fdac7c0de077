"""Trades to hand over, and handlers that remember what they were given."""

from __future__ import annotations

from polymarket_bot.storage import Database, DatabaseConfig, PolymarketTrade, TradeRepository
from tests.makers import CONDITION, NOW, trade


class Seen:
    """A handler that remembers what it was given, one list a call."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    async def __call__(self, trades: list[PolymarketTrade]) -> None:
        self.calls.append([found.trade_id for found in trades])


def at(second: int, *names: str) -> list[PolymarketTrade]:
    return [trade(name, timestamp=NOW + second) for name in names]


async def nothing(_: list[PolymarketTrade]) -> None:
    """Do nothing."""


def trades_config(trades: TradeRepository) -> DatabaseConfig:
    db = trades._db
    assert isinstance(db, Database)
    return db.config


async def anything(trades: TradeRepository) -> list[list[str]]:
    """Return what would be handed over now, and do."""
    seen = Seen()
    await trades.process_new(CONDITION, seen, on_late=seen)
    return seen.calls
