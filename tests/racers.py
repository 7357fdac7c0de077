"""A worker that races others for rows; run as a process: `python -m tests.racers`."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from polymarket_bot.storage import (
    CandidateRepository,
    Database,
    DatabaseConfig,
    PaperTrade,
    PaperTradeRepository,
    PolymarketFirstTrigger,
    PositionRepository,
    TradeApprovalRepository,
    TradeWatermarkRepository,
    TriggerRepository,
)
from tests.makers import NOW

TOKENS = 3
CROWD = 125
CONNECTIONS = 4
_CREATED = "2025-10-09T12:00:00Z"


def wanted(number: int, name: str) -> PolymarketFirstTrigger:
    """Return what a worker claims by a number: one token of a condition."""
    condition = number // TOKENS
    return PolymarketFirstTrigger(
        token_id=f"token{number}",
        condition_id=f"condition{condition}",
        threshold=0.95,
        trigger_timestamp=NOW,
        created_at=_CREATED,
        model_version=name,
    )


async def claims(db: Database, name: str, order: list[int]) -> AsyncIterator[list[Any]]:
    """Claim everything, and yield what became of each: won, by which key lost, to whom."""
    triggers = TriggerRepository(db)
    for number in order:
        claim = await triggers.claim(wanted(number, name))
        row = claim.existing
        yield [number, claim.won, claim.lost_by, row and row.token_id, row and row.model_version]


async def crowd(db: Database, name: str, order: list[int]) -> AsyncIterator[list[Any]]:
    """Claim everything as `claims` does, by many tasks at once."""
    outcomes: list[list[Any]] = []
    numbers = iter(order)

    async def member() -> None:
        for number in numbers:
            outcomes.extend([outcome async for outcome in claims(db, name, [number])])

    await asyncio.gather(*(member() for _ in range(CROWD)))
    for outcome in outcomes:
        yield outcome


async def old_pairs(db: Database, name: str, order: list[int]) -> AsyncIterator[list[Any]]:
    """Ask and create, as older bots do; a row with another name on it is another's."""
    triggers = TriggerRepository(db)
    for number in order:
        trigger = wanted(number, name)
        if await triggers.should_trigger(trigger.token_id, trigger.condition_id, 0.95):
            row = await triggers.create(trigger)
            yield [number, row.model_version == name, None, row.token_id, row.model_version]


async def decisions(db: Database, name: str, _: list[int]) -> AsyncIterator[list[Any]]:
    """Decide on candidates until none is pending, each with a trade on paper."""
    candidates, paper = CandidateRepository(db), PaperTradeRepository(db)
    while await db.fetchval("SELECT 1 FROM polymarket_candidates WHERE status = 'pending' LIMIT 1"):
        async with candidates.claim_pending(7) as batch:
            for candidate in batch:
                await candidates.approve(candidate.id or 0)
                await paper.create(_paper_trade(candidate.id or 0, name))
        for candidate in batch:
            yield [candidate.id, True]


def _paper_trade(candidate_id: int, name: str) -> PaperTrade:
    return PaperTrade(
        candidate_id=candidate_id,
        token_id=name,
        threshold=0.95,
        decision="trade",
        created_at=_CREATED,
    )


async def close(db: Database, name: str, number: int) -> bool:
    """Close a position by a number; ids begin at 1."""
    closed = await PositionRepository(db).close(number + 1, "0.8", exit_order_id=name)
    return closed is not None and closed.exit_order_id == name


async def resolve(db: Database, name: str, number: int) -> bool:
    """Resolve a position by a number; ids begin at 1."""
    resolved = await PositionRepository(db).resolve(number + 1, name, 1)
    return resolved is not None and resolved.resolution == name


async def marks(db: Database, name: str, order: list[int]) -> AsyncIterator[list[Any]]:
    """Move the watermark of every number to a time of one's own, and say where it stood then."""
    watermarks, chance = TradeWatermarkRepository(db), random.Random(name)  # noqa: S311 - repeatable
    for number in order:
        sent = NOW + chance.randrange(1_000_000)
        yield [number, sent, (await watermarks.update(str(number), sent)).last_timestamp]


async def consume(db: Database, _: str, number: int) -> bool:
    """Consume the approval of the token that is the number."""
    return await TradeApprovalRepository(db).consume(str(number), "0.9") is not None


Kind = Callable[[Database, str, list[int]], AsyncIterator[list[Any]]]


def together(one: Callable[[Database, str, int], Awaitable[bool]]) -> Kind:
    """Return what goes for all rows at once, and yields what was won of each."""

    async def race(db: Database, name: str, order: list[int]) -> AsyncIterator[list[Any]]:
        won = await asyncio.gather(*(one(db, name, number) for number in order))
        for number, is_won in zip(order, won, strict=True):
            yield [number, is_won]

    return race


KINDS: dict[str, Kind] = {
    "claim": claims,
    "crowd": crowd,
    "mark": marks,
    "old": old_pairs,
    "decide": decisions,
    "close": together(close),
    "resolve": together(resolve),
    "consume": together(consume),
}


async def main(url: str, kind: str, name: str, count: str, seed: str, pooler: str = "") -> None:
    """Race when a line arrives; print one line of JSON for each outcome, as it comes."""
    order = list(range(int(count)))
    random.Random(seed).shuffle(order)  # noqa: S311 - repeatable, no secret
    config = DatabaseConfig(
        url=url, pooler=pooler or None, max_connections=CONNECTIONS, lock_timeout=30
    )
    async with Database(config) as db:
        print("ready", flush=True)  # noqa: T201 - to the test
        await asyncio.to_thread(sys.stdin.readline)
        async for outcome in KINDS[kind](db, name, order):
            print(json.dumps(outcome), flush=True)  # noqa: T201 - to the test


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
