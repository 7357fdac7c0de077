"""Small records for tests, in the exchange's shapes."""

from __future__ import annotations

from typing import Any

from polymarket_bot.storage import PolymarketFirstTrigger, PolymarketTrade

CONDITION = "0x" + "ab" * 32
TOKEN = "7" * 77
NOW = 1_760_000_000
"""Unix seconds of the day of CREATED, around which things happen."""
CREATED = "2025-10-09T12:00:00+00:00"


def payload(**changes: Any) -> dict[str, Any]:
    """One trade of the exchange's API; `None` leaves a field out."""
    fields = {
        "proxyWallet": "0x" + "1f" * 20,
        "side": "BUY",
        "asset": TOKEN,
        "conditionId": CONDITION,
        "size": 12.5,
        "price": 0.91,
        "timestamp": NOW,
        "outcome": "Yes",
        "outcomeIndex": 0,
        "transactionHash": "0x" + "2e" * 32,
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def trade(trade_id: str = "t1", **changes: Any) -> PolymarketTrade:
    """One trade as a model."""
    fields: dict[str, Any] = {
        "condition_id": CONDITION,
        "token_id": TOKEN,
        "price": "0.91",
        "size": "12.5",
        "side": "BUY",
        "timestamp": NOW,
        **changes,
    }
    return PolymarketTrade(trade_id=trade_id, **fields)


def trigger(token_id: str = TOKEN, **changes: Any) -> PolymarketFirstTrigger:
    """One first trigger as a model."""
    fields: dict[str, Any] = {
        "condition_id": CONDITION,
        "threshold": 0.95,
        "trigger_timestamp": NOW,
        "created_at": CREATED,
        **changes,
    }
    return PolymarketFirstTrigger(token_id=token_id, **fields)
