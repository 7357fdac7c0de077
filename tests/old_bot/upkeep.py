"""Looks through all tables, and takes a row out of each."""

from __future__ import annotations

from typing import Any

from polymarket_bot.storage import (
    ApprovalAlertRepository,
    CandidateRepository,
    CandidateWatermarkRepository,
    DailyPnlRepository,
    Database,
    ExitEventRepository,
    LiveOrderRepository,
    MarketScoresCacheRepository,
    PaperTradeRepository,
    PositionRepository,
    ResolutionRepository,
    ScoreHistoryRepository,
    StreamWatchlistRepository,
    TokenMetaRepository,
    TradeApprovalRepository,
    TradeRepository,
    TradeWatchlistRepository,
    TradeWatermarkRepository,
    TriggerRepository,
    TriggerWatermarkRepository,
)

KEYS: dict[Any, str] = {
    TradeWatermarkRepository: "condition_id",
    TriggerWatermarkRepository: "threshold",
    CandidateRepository: "id",
    CandidateWatermarkRepository: "threshold",
    PaperTradeRepository: "id",
    LiveOrderRepository: "order_id",
    PositionRepository: "id",
    ExitEventRepository: "id",
    DailyPnlRepository: "date",
    TradeApprovalRepository: "token_id",
    ApprovalAlertRepository: "token_id",
    StreamWatchlistRepository: "market_id",
    ResolutionRepository: "condition_id",
    TokenMetaRepository: "token_id",
    TradeWatchlistRepository: "token_id",
    MarketScoresCacheRepository: "condition_id",
    ScoreHistoryRepository: "id",
}


async def main(db: Database) -> dict[str, int]:
    """Count every table's rows, and take out the first of each; return the counts."""
    counts = {}
    for kind in (TradeRepository, TriggerRepository, *KEYS):
        repository = kind(db)
        count = await repository.count()
        rows = await repository.get_all(5, 0)
        assert len(rows) == min(count, 5)
        column = KEYS.get(kind, "token_id")  # two columns are the key of trades and triggers
        value = getattr(rows[0], column)
        assert await repository.exists(value, column)
        assert await repository.get_by_id(value, column) == rows[0]
        if kind in KEYS:
            assert await repository.delete(value, column)
            assert not await repository.exists(value, column)
        counts[kind.__name__] = count
    return counts
