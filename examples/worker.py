"""A worker: stores what the exchange sends, and triggers once per market and threshold.

    python examples/worker.py trades.jsonl

reads payloads, one JSON object a line, and prints each trigger. It works on DATABASE_URL, or
else on an embedded server in `.polymarket/`. Run it again and it adds nothing.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from polymarket_bot.storage import (
    Database,
    DatabaseConfig,
    EmbeddedPostgres,
    InvalidRecord,
    PolymarketFirstTrigger,
    PolymarketTrade,
    TradeRepository,
    TriggerRepository,
)

THRESHOLD = Decimal("0.95")
MAX_AGE_SECONDS = 300


class Worker:
    """Looks at each condition's new trades once."""

    def __init__(self, db: Database) -> None:
        self.trades = TradeRepository(db)
        self.triggers = TriggerRepository(db)

    async def take(self, payloads: list[str]) -> None:
        """Store payloads, then look at the conditions that they speak of."""
        report = await self.trades.ingest(payloads)
        print(f"read {report.read}, stored {report.inserted}, refused {report.refused}")
        for refusal in report.refusals:
            print(f"refused line {refusal.position + 1}: {refusal.reason}")
        for condition_id in sorted(conditions(payloads)):
            while await self.look_at(condition_id):
                pass

    async def look_at(self, condition_id: str) -> bool:
        """Handle new trades, each once; False when none is new."""
        report = await self.trades.process_new(condition_id, self.handle)
        return report.handled + report.late > 0

    async def handle(self, new: list[PolymarketTrade]) -> None:
        """Look at the fresh ones among new trades of a condition, or among late ones."""
        recent = await self.trades.get_recent(new[0].condition_id, MAX_AGE_SECONDS)
        fresh = {trade.trade_id for trade in recent}
        for trade in new:
            if trade.trade_id in fresh:
                await self.look_at_trade(trade)

    async def look_at_trade(self, trade: PolymarketTrade) -> None:
        """Trigger where neither the token nor its condition has before, in any worker."""
        if trade.token_id is None or trade.price is None or trade.price < THRESHOLD:
            return
        if await self.triggers.claim(first_trigger(trade)):
            print(f"trigger: {trade.outcome} of {trade.condition_id[:10]} at {trade.price}")


def first_trigger(trade: PolymarketTrade) -> PolymarketFirstTrigger:
    """Return the row that remembers this trigger."""
    return PolymarketFirstTrigger(
        token_id=trade.token_id or "",
        condition_id=trade.condition_id,
        threshold=float(THRESHOLD),
        trigger_timestamp=trade.timestamp or 0,
        price=trade.price,
        size=trade.size,
        created_at=datetime.now(UTC).isoformat(),
        outcome=trade.outcome,
        outcome_index=trade.outcome_index,
    )


def conditions(payloads: Iterable[str]) -> set[str]:
    """Return the conditions of the trades among `payloads`."""
    found = set()
    for payload in payloads:
        try:
            found.add(PolymarketTrade.from_api(payload).condition_id)
        except InvalidRecord:
            continue  # ingest reports it
    return found


@asynccontextmanager
async def open_database() -> AsyncIterator[Database]:
    """Open DATABASE_URL, or an embedded server with the production schema."""
    if "DATABASE_URL" in os.environ:
        async with Database(DatabaseConfig()) as db:
            yield db
    else:
        async with (
            EmbeddedPostgres(".polymarket") as server,
            Database(DatabaseConfig(url=server.url)) as db,
        ):
            await db.migrate()
            yield db


async def main(payloads: list[str]) -> None:
    """Open the database and take payloads."""
    async with open_database() as db:
        await Worker(db).take(payloads)


if __name__ == "__main__":
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    asyncio.run(main([line for line in text.split("\n") if line.strip()]))
