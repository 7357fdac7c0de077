"""What became of a feed, counted in the database: exact, whichever workers died on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from polymarket_bot.storage.cli.demo.pages import Page, stale
from polymarket_bot.storage.cli.demo.signals import MARK, THRESHOLDS
from polymarket_bot.storage.database import Database
from polymarket_bot.storage.errors import ConfigurationError
from polymarket_bot.storage.models.positions import DailyPnl
from polymarket_bot.storage.models.triggers import PolymarketFirstTrigger
from polymarket_bot.storage.repositories.daily_pnl_repo import DailyPnlRepository
from polymarket_bot.storage.repositories.trigger_repo import (
    TriggerRepository,
    TriggerWatermarkRepository,
)

_MOST_DAYS = 10_000
_OTHERS = """
SELECT count(*) FROM polymarket_candidates
WHERE status = 'pending' AND model_version IS DISTINCT FROM $1
"""
_ARRIVED = """
SELECT count(*) AS stored, count(late.trade_id) AS late,
       count(*) FILTER (WHERE handed_over) AS new,
       count(*) FILTER (WHERE handed_over AND too_old) AS stale
FROM polymarket_trades AS trade
LEFT JOIN trade_watermarks AS mark USING (condition_id)
LEFT JOIN ops.late_trades AS late USING (condition_id, trade_id)
CROSS JOIN LATERAL (
    SELECT COALESCE(trade.timestamp <= mark.last_timestamp, FALSE)
           AND late.trade_id IS NULL AS handed_over,
           (condition_id, trade_id) IN (SELECT * FROM unnest($2::text[], $3::text[])) AS too_old
) AS seen
WHERE condition_id = ANY ($1::text[])
"""


@dataclass(frozen=True)
class Arrived:
    """Trades of a feed's conditions.

    Attributes:
        stored: all of them.
        late: those that arrived at or behind their condition's watermark.
        new: those that were handed over as new.
        stale: of the new ones, those that were too old to trigger.
    """

    stored: int
    late: int
    new: int
    stale: int

    def __sub__(self, earlier: Arrived) -> Arrived:
        """Return what has come since."""
        return Arrived(
            self.stored - earlier.stored,
            self.late - earlier.late,
            self.new - earlier.new,
            self.stale - earlier.stale,
        )


@dataclass(frozen=True)
class Pipeline:
    """What is in the database at the end of a run, from candidates to P&L.

    Attributes:
        candidates: how many by status; so are the next three, paper trades by decision.
        daily_pnl: the days, oldest first.
        realized_pnl: their sum.
    """

    candidates: dict[str, int]
    paper_trades: dict[str, int]
    orders: dict[str, int]
    positions: dict[str, int]
    daily_pnl: list[DailyPnl]
    realized_pnl: Decimal


async def refuse_others(db: Database) -> None:
    """Refuse a database in which candidates of another bot wait for a decision.

    Raises:
        ConfigurationError: there are some.
    """
    if others := await db.fetchval(_OTHERS, MARK):
        raise ConfigurationError(
            f"--url: {others} candidates of another bot are pending there, and the demo would "
            "decide on them",
            remedy="name a database of the demo's own",
        )


async def arrived(db: Database, pages: Sequence[Page]) -> Arrived:
    """Count the trades of the pages' conditions."""
    conditions = sorted({condition for page in pages for condition in page.conditions})
    old = sorted(stale(pages))
    record = await db.fetchrow(_ARRIVED, conditions, [c for c, _ in old], [t for _, t in old])
    return Arrived(**dict(record or {}))


async def new_triggers(db: Database) -> list[PolymarketFirstTrigger]:
    """Return the triggers behind each threshold's watermark, and move it."""
    triggers, marks = TriggerRepository(db), TriggerWatermarkRepository(db)
    found: list[PolymarketFirstTrigger] = []
    for threshold in THRESHOLDS:
        async with db.transaction():
            since = await marks.get_timestamp(threshold)
            new = await triggers.get_recent(since + 1, threshold)
            if new:
                await marks.update(threshold, new[0].trigger_timestamp)
            found += reversed(new)
    return found


async def pipeline(db: Database) -> Pipeline:
    """Count what is there by status, and read the P&L."""
    pnl = DailyPnlRepository(db)
    return Pipeline(
        candidates=await _by(db, "polymarket_candidates", "status"),
        paper_trades=await _by(db, "paper_trades", "decision"),
        orders=await _by(db, "live_orders", "status"),
        positions=await _by(db, "positions", "status"),
        daily_pnl=await pnl.get_all(_MOST_DAYS),
        realized_pnl=await pnl.get_total_realized(),
    )


async def _by(db: Database, table: str, column: str) -> dict[str, int]:
    query = f"SELECT {column}, count(*) FROM {table} GROUP BY 1 ORDER BY 1"
    rows: list[Any] = await db.fetch(query)
    return {row[0]: row[1] for row in rows}
