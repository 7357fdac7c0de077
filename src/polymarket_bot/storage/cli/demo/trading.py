"""What a worker does with candidates: decide, write orders down, send them, book what they gave."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from polymarket_bot.storage.cli.demo.pages import Resolution
from polymarket_bot.storage.cli.demo.signals import A_MOMENT, MARK, THRESHOLDS, time_text
from polymarket_bot.storage.database import Database
from polymarket_bot.storage.models.candidates import PolymarketCandidate
from polymarket_bot.storage.models.markets import PolymarketResolution
from polymarket_bot.storage.models.ops import Lease
from polymarket_bot.storage.models.orders import LiveOrder, PaperTrade
from polymarket_bot.storage.models.positions import Position
from polymarket_bot.storage.repositories.candidate_repo import CandidateRepository
from polymarket_bot.storage.repositories.daily_pnl_repo import DailyPnlRepository
from polymarket_bot.storage.repositories.lease_repo import LeaseRepository
from polymarket_bot.storage.repositories.market_repo import ResolutionRepository
from polymarket_bot.storage.repositories.order_repo import (
    LiveOrderRepository,
    PaperTradeRepository,
)
from polymarket_bot.storage.repositories.position_repo import PositionRepository
from polymarket_bot.storage.repositories.trigger_repo import TriggerRepository

_DEAREST = Decimal("0.96")
_SIZE = Decimal(100)
_AT_ONCE = 3
_ALL = 1_000_000
_LEASE, _LEASE_SECONDS = "demo orders", 2
_IN_STATUS = """
SELECT EXISTS (
    SELECT 1 FROM polymarket_candidates WHERE status = $1 AND model_version = $2
)
"""


class Trading:
    """The phases from candidates to P&L; each may be done again, by any worker.

    Args:
        db: the database.
        name: as whom this worker takes the lease.
        chance: the order in which it goes over the resolutions.
    """

    def __init__(self, db: Database, name: str, chance: random.Random) -> None:
        self._db, self._name, self._chance = db, name, chance
        self._triggers, self._candidates = TriggerRepository(db), CandidateRepository(db)
        self._paper, self._orders = PaperTradeRepository(db), LiveOrderRepository(db)
        self._positions, self._pnl = PositionRepository(db), DailyPnlRepository(db)
        self._resolutions, self._leases = ResolutionRepository(db), LeaseRepository(db)

    async def decide(self) -> dict[str, Any]:
        """Decide on candidates, together with the other workers, until none is pending."""
        while await self._is_any("pending"):
            async with self._candidates.claim_pending(_AT_ONCE) as batch:
                for candidate in batch:
                    await self._decide_on(candidate)
            if not batch:
                await asyncio.sleep(A_MOMENT)
        return {}

    async def _decide_on(self, candidate: PolymarketCandidate) -> None:
        """Store the decision, and the order where there is to be one, before it is sent."""
        objection = await self._objection(candidate)
        await self._paper.create(_paper_trade(candidate, objection))
        if objection:
            await self._candidates.reject(candidate.id or 0)
        else:
            await self._orders.create(_order(candidate))
            await self._candidates.approve(candidate.id or 0)

    async def _objection(self, candidate: PolymarketCandidate) -> str | None:
        """Return what speaks against a trade."""
        if (candidate.price or 0) > _DEAREST:
            return f"dearer than {_DEAREST}"
        for lower in (other for other in THRESHOLDS if other < candidate.threshold):
            other = await self._triggers.get_by_token_threshold(candidate.token_id, lower)
            if other and other.trigger_timestamp == candidate.trigger_timestamp:
                return f"the token triggered at {lower} in the same second"
        return None

    async def send(self) -> dict[str, Any]:
        """Send orders until all are filled; one worker at a time, the one with the lease."""
        while await self._is_any("approved"):
            lease = await self._leases.acquire(_LEASE, self._name, _LEASE_SECONDS)
            if lease is None:
                await asyncio.sleep(A_MOMENT)
            else:
                await self._send_as(lease)
                await self._leases.release(lease)
        return {}

    async def _send_as(self, lease: Lease) -> None:
        """Send what nobody has sent, then finish all that was sent, whoever has begun it."""
        approved = await self._candidates.get_by_status("approved", _ALL)
        ours = {one.id: one for one in approved if one.model_version == MARK}
        for order in await self._orders.get_unsubmitted(0):
            if order.candidate_id in ours and await self._holds(lease):
                await self._orders.attach_order_id(order.id or 0, _exchange(_client_id(order)))
        for candidate in ours.values():
            sent = await self._orders.get_by_id(candidate.id, "candidate_id")
            if sent is not None and sent.order_id and await self._holds(lease):
                await self._fill(candidate, sent.order_id)

    async def _holds(self, lease: Lease) -> bool:
        """Tell whether the lease has not run out, and let it last on."""
        return await self._leases.renew(lease, _LEASE_SECONDS) is not None

    async def _fill(self, candidate: PolymarketCandidate, order_id: str) -> None:
        """Take an order from where it stands to a position and an executed candidate."""
        await self._orders.update_status(order_id, "submitted")
        async with self._db.transaction():
            await self._orders.mark_filled(order_id, candidate.price or 0, _SIZE)
            await self._positions.create_many([_position(candidate, order_id)])
            await self._candidates.mark_executed(candidate.id or 0)

    async def resolve(self, resolutions: Sequence[Sequence[Any]], clock: int) -> dict[str, Any]:
        """Resolve the positions of markets that have an outcome, and book each once."""
        known = {one.condition_id: one for one in (Resolution(*given) for given in resolutions)}
        for one in self._chance.sample(list(known.values()), len(known)):
            await self._resolutions.upsert(_resolution(one, clock))
        for position in await self._positions.get_open():
            if position.condition_id in known:
                await self._book(position, known, clock)
        return {}

    async def _book(self, position: Position, known: Mapping[str, Resolution], clock: int) -> None:
        resolution = known[position.condition_id or ""]
        value = position.size if position.token_id == resolution.token_id else Decimal(0)
        async with self._db.transaction():
            done = await self._positions.resolve(position.id or 0, resolution.outcome, value)
            if done is not None:
                pnl = done.realized_pnl or Decimal(0)
                day = datetime.fromtimestamp(clock, UTC).date()
                await self._pnl.add(
                    day, realized=pnl, trades=1, wins=int(pnl > 0), losses=int(pnl < 0)
                )

    async def _is_any(self, status: str) -> bool:
        return bool(await self._db.fetchval(_IN_STATUS, status, MARK))


def _exchange(client_id: str) -> str:
    """Pretend to send an order; the same client's id is the same order, however often it comes."""
    return f"demo-{blake2b(client_id.encode(), digest_size=12).hexdigest()}"


def _client_id(order: LiveOrder) -> str:
    """Name an order by what there is one of: a token triggers once at a threshold."""
    return f"{order.token_id}@{order.threshold}"


def _paper_trade(candidate: PolymarketCandidate, objection: str | None) -> PaperTrade:
    return PaperTrade(
        candidate_id=candidate.id or 0,
        token_id=candidate.token_id,
        condition_id=candidate.condition_id,
        threshold=candidate.threshold,
        trigger_timestamp=candidate.trigger_timestamp,
        candidate_price=candidate.price,
        fill_price=None if objection else candidate.price,
        size=None if objection else _SIZE,
        model_version=MARK,
        decision="skip" if objection else "trade",
        reason=objection or f"at most {_DEAREST}",
        created_at=candidate.created_at,
        outcome=candidate.outcome,
        outcome_index=candidate.outcome_index,
    )


def _order(candidate: PolymarketCandidate) -> LiveOrder:
    return LiveOrder(
        candidate_id=candidate.id or 0,
        token_id=candidate.token_id,
        condition_id=candidate.condition_id,
        threshold=candidate.threshold,
        order_price=candidate.price,
        order_size=_SIZE,
        status="pending",
        submitted_at=candidate.created_at,
    )


def _position(candidate: PolymarketCandidate, order_id: str) -> Position:
    entered = time_text(candidate.trigger_timestamp)
    price = candidate.price or Decimal(0)
    return Position(
        token_id=candidate.token_id,
        condition_id=candidate.condition_id,
        outcome=candidate.outcome,
        outcome_index=candidate.outcome_index,
        size=_SIZE,
        entry_price=price,
        entry_cost=_SIZE * price,
        entry_order_id=order_id,
        entry_timestamp=entered,
        created_at=entered,
    )


def _resolution(resolution: Resolution, clock: int) -> PolymarketResolution:
    return PolymarketResolution(
        condition_id=resolution.condition_id,
        winning_outcome_index=resolution.outcome_index,
        winning_outcome=resolution.outcome,
        resolved_at=time_text(clock),
    )
