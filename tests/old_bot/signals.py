"""From the exchange's feed to candidates with a decision."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from polymarket_bot.storage import (
    CandidateRepository,
    CandidateWatermarkRepository,
    Database,
    DatabaseConfig,
    PaperTrade,
    PaperTradeRepository,
    PolymarketCandidate,
    PolymarketFirstTrigger,
    PolymarketTrade,
    TradeRepository,
    TradeWatermarkRepository,
    TriggerRepository,
    TriggerWatermarkRepository,
)
from tests.old_bot.common import SIZE, THRESHOLD, key, naive, zulu


@dataclass
class Signals:
    """What came of one feed."""

    inserted: int = 0
    triggered: list[str] = field(default_factory=list)
    approved: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)


class SignalBot:
    """Stores trades, remembers first triggers, and decides about candidates."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.report = Signals()
        self.trades = TradeRepository(db)
        self.trade_marks = TradeWatermarkRepository(db)
        self.triggers = TriggerRepository(db)
        self.trigger_marks = TriggerWatermarkRepository(db)
        self.candidates = CandidateRepository(db)
        self.candidate_marks = CandidateWatermarkRepository(db)
        self.paper = PaperTradeRepository(db)

    async def run(self, feed: list[dict[str, Any]]) -> Signals:
        """Live through a feed of trades, each with id, condition, token, price and age."""
        await self.take_in(feed)
        for condition in dict.fromkeys(item["condition"] for item in feed):
            await self.look_at(condition)
        await self.propose()
        await self.decide()
        return self.report

    async def take_in(self, feed: list[dict[str, Any]]) -> None:
        """Store the feed, whose first trade comes twice."""
        now = int(time.time())
        trades = [
            PolymarketTrade(
                condition_id=item["condition"],
                trade_id=item["id"],
                token_id=item["token"],
                price=item["price"],
                size=SIZE,
                side="BUY",
                timestamp=now - item["age"],
            )
            for item in feed
        ]
        first = await self.trades.create(trades[0])
        assert await self.trades.create(trades[0]) == first
        self.report.inserted = 1 + await self.trades.create_many(trades)

    async def look_at(self, condition: str) -> None:
        """Process what came after the watermark; what is old news triggers nothing."""
        since = await self.trade_marks.get_timestamp(condition)
        trades = await self.trades.get_by_condition(condition, 500)
        fresh = {trade.trade_id for trade in await self.trades.get_recent(condition, 300)}
        for trade in reversed(trades):
            if (trade.timestamp or 0) > since and trade.trade_id in fresh:
                await self.trigger(trade)
        latest = await self.trades.get_latest_timestamp(condition)
        assert latest is not None
        await self.trade_marks.update(condition, latest)
        await self.trade_marks.update(condition, latest - 60)  # a slow worker comes late
        mark = await self.trade_marks.get(condition)
        assert mark is not None
        assert mark.last_timestamp == latest

    async def trigger(self, trade: PolymarketTrade) -> None:
        """Remember the first time that a market crosses the threshold."""
        token, price = str(trade.token_id), float(trade.price or 0)
        if price < THRESHOLD:
            return
        if not await self.triggers.should_trigger(token, trade.condition_id, THRESHOLD):
            by_token = await self.triggers.has_triggered(token, THRESHOLD)
            by_condition = await self.triggers.has_condition_triggered(
                trade.condition_id, THRESHOLD
            )
            assert by_token or by_condition
            return
        await self.triggers.create(
            PolymarketFirstTrigger(
                token_id=token,
                condition_id=trade.condition_id,
                threshold=THRESHOLD,
                trigger_timestamp=trade.timestamp,
                price=price,
                size=float(trade.size or 0),
                created_at=naive(),
            )
        )
        assert len(await self.triggers.get_by_token(token, 10)) == 1
        assert len(await self.triggers.get_by_condition(trade.condition_id, 10)) == 1
        self.report.triggered.append(token)

    async def propose(self) -> None:
        """Make candidates of the triggers behind the watermark."""
        since = await self.trigger_marks.get_timestamp(THRESHOLD)
        found = await self.triggers.get_recent(since + 1, THRESHOLD)
        for number, trigger in enumerate(reversed(found)):
            await self.candidates.create(
                PolymarketCandidate(
                    token_id=trigger.token_id,
                    condition_id=trigger.condition_id,
                    threshold=trigger.threshold,
                    trigger_timestamp=trigger.trigger_timestamp,
                    price=float(trigger.price or 0),
                    status="pending",
                    created_at=naive(-1) if number % 2 else zulu(),
                )
            )
        for trigger in found:
            await self.trigger_marks.update(THRESHOLD, trigger.trigger_timestamp)
        mark = await self.trigger_marks.get(THRESHOLD)
        assert mark is not None
        assert mark.last_timestamp == max(trigger.trigger_timestamp for trigger in found)

    async def decide(self) -> None:
        """Score what is pending; what is too dear is rejected."""
        before = await self.candidate_marks.get_last_created_at(THRESHOLD)
        for candidate in await self.candidates.get_pending(50):
            if float(candidate.price or 0) < 0.98:
                await self.candidates.update_status(key(candidate), "scored", 0.9)
                await self.candidates.approve(key(candidate))
                self.report.approved.append(candidate.token_id)
            else:
                await self.candidates.reject(key(candidate), 0.2)
                self.report.rejected.append(candidate.token_id)
            (known,) = await self.candidates.get_by_token(candidate.token_id)
            await self.on_paper(known, "trade" if known.status == "approved" else "skip")
            await self.candidate_marks.update(THRESHOLD, candidate.created_at)
        after = await self.candidate_marks.get_last_created_at(THRESHOLD)
        assert after is not None
        assert after != before
        await self.candidate_marks.update(THRESHOLD, zulu(86_400))
        mark = await self.candidate_marks.get(THRESHOLD)
        assert mark is not None
        assert mark.last_created_at == after

    async def on_paper(self, candidate: PolymarketCandidate, decision: str) -> None:
        """Write a decision down."""
        await self.paper.create(
            PaperTrade(
                candidate_id=key(candidate),
                token_id=candidate.token_id,
                condition_id=candidate.condition_id,
                threshold=THRESHOLD,
                candidate_price=float(candidate.price or 0),
                size=SIZE if decision == "trade" else None,
                decision=decision,
                created_at=naive(),
            )
        )
        assert len(await self.paper.get_by_candidate(key(candidate))) == 1
        assert (await self.paper.get_recent(10))[0].token_id == candidate.token_id
        assert (await self.paper.get_by_decision(decision, 10))[0].token_id == candidate.token_id


async def main(url: str, feed: list[dict[str, Any]]) -> Signals:
    """Open the database, live through a feed, close."""
    db = Database(DatabaseConfig(url=url))
    assert not await db.health_check()
    await db.initialize()
    try:
        assert await db.health_check()
        return await SignalBot(db).run(feed)
    finally:
        await db.close()
