"""What a worker does with trades: store them, trigger on the fresh ones, make candidates."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from polymarket_bot.storage.cli.demo.pages import MAX_AGE, Payload
from polymarket_bot.storage.clock import utc_text
from polymarket_bot.storage.database import Database
from polymarket_bot.storage.ingest import Refusal
from polymarket_bot.storage.models.candidates import PolymarketCandidate
from polymarket_bot.storage.models.trades import PolymarketTrade
from polymarket_bot.storage.models.triggers import PolymarketFirstTrigger
from polymarket_bot.storage.repositories.candidate_repo import CandidateRepository
from polymarket_bot.storage.repositories.processing import ProcessReport
from polymarket_bot.storage.repositories.trade_repo import TradeRepository
from polymarket_bot.storage.repositories.trigger_repo import TriggerRepository

THRESHOLDS = (0.90, 0.95)
"""At which prices the demo triggers, in rising order."""

MARK = "demo"
"""The `model_version` of the demo's candidates, which keeps them apart from a bot's own."""

A_MOMENT = 0.01
"""How long a worker waits for another one before it looks again, in seconds."""


_AT_ONCE = 1000


class Signals:
    """The phases from records to candidates; each may be done again, by any worker.

    Args:
        db: the database.
        chance: the order in which this worker goes over the conditions.
    """

    def __init__(self, db: Database, chance: random.Random) -> None:
        self._chance = chance
        self._trades, self._triggers = TradeRepository(db), TriggerRepository(db)
        self._candidates = CandidateRepository(db)

    async def ingest(self, records: Sequence[Payload]) -> dict[str, Any]:
        """Store the trades among the records; tell what was none of them, and why."""
        reasons: Counter[str] = Counter()

        def refuse(refusal: Refusal) -> None:
            reasons[refusal.reason.partition(", got ")[0]] += 1

        report = await self._trades.ingest(records, on_refusal=refuse)
        return {"skipped": report.skipped, "reasons": reasons}

    async def process(self, conditions: Sequence[str], clock: int) -> dict[str, Any]:
        """Look at all new trades of the conditions, together with the other workers.

        It returns when there are none left and no other worker is at one of the conditions:
        nothing arrives meanwhile.
        """
        left = self._chance.sample(conditions, len(conditions))
        while left:
            reports = {condition: await self._process(condition, clock) for condition in left}
            left = [condition for condition, report in reports.items() if _may_have_more(report)]
            if left and all(reports[condition].busy for condition in left):
                await asyncio.sleep(A_MOMENT)
        return {}

    async def _process(self, condition_id: str, clock: int) -> ProcessReport:
        return await self._trades.process_new(
            condition_id,
            partial(self._look_at, clock),
            on_late=_let_pass,
            limit=_AT_ONCE,
            settle_seconds=0,
            now=clock,
        )

    async def _look_at(self, clock: int, trades: list[PolymarketTrade]) -> None:
        """Trigger on the fresh ones among a condition's new trades."""
        dear = [trade for trade in trades if _is_from(trade, THRESHOLDS[0])]
        if not dear:
            return
        recent = await self._trades.get_recent(dear[0].condition_id, MAX_AGE, now=clock)
        fresh = {trade.trade_id for trade in recent}
        for threshold in THRESHOLDS:
            can_trigger = [t for t in dear if t.trade_id in fresh and _is_from(t, threshold)]
            await self._trigger(can_trigger, threshold)

    async def _trigger(self, trades: Sequence[PolymarketTrade], threshold: float) -> None:
        """Claim the threshold for the first of the trades that can have it."""
        for trade in trades:
            trigger = _first_trigger(trade, threshold)
            claim = await self._triggers.claim(trigger)
            if claim.won:
                await self._candidates.create(_candidate(trigger))
            if claim.existing is None or claim.existing.condition_id == trade.condition_id:
                return  # all others of the condition would lose


def _may_have_more(report: ProcessReport) -> bool:
    return report.busy or max(report.handled, report.late) >= _AT_ONCE


def _is_from(trade: PolymarketTrade, threshold: float) -> bool:
    """Tell whether a trade is of a token, at this price or a higher one."""
    return bool(trade.token_id) and (trade.price or 0) >= Decimal(str(threshold))


async def _let_pass(_: list[PolymarketTrade]) -> None:
    """Late trades are old news."""


def _first_trigger(trade: PolymarketTrade, threshold: float) -> PolymarketFirstTrigger:
    return PolymarketFirstTrigger(
        token_id=trade.token_id or "",
        condition_id=trade.condition_id,
        threshold=threshold,
        trigger_timestamp=trade.timestamp or 0,
        price=trade.price,
        size=trade.size,
        created_at=time_text(trade.timestamp or 0),
        outcome=trade.outcome,
        outcome_index=trade.outcome_index,
    )


def _candidate(trigger: PolymarketFirstTrigger) -> PolymarketCandidate:
    return PolymarketCandidate(
        token_id=trigger.token_id,
        condition_id=trigger.condition_id,
        threshold=trigger.threshold,
        trigger_timestamp=trigger.trigger_timestamp,
        price=trigger.price,
        status="pending",
        created_at=trigger.created_at,
        model_version=MARK,
        outcome=trigger.outcome,
        outcome_index=trigger.outcome_index,
    )


def time_text(timestamp: int) -> str:
    """Return a Unix time as text: all that the demo writes has the replay's time on it."""
    return utc_text(datetime.fromtimestamp(timestamp, UTC))
