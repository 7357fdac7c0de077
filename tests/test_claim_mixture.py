"""Claims, creations, releases and batches in any mixture end well, without a deadlock."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress

import pytest

from polymarket_bot.storage import (
    Database,
    DatabaseConfig,
    PolymarketFirstTrigger,
    TriggerRepository,
)
from tests.faults.record import SEED, TOLD, count
from tests.makers import trigger
from tests.questions import deadlocks
from tests.schemas import UNIQUE

SECONDS = count("MIXTURE", 3)
WORKERS, KEYS = 12, 6


def some(chance: random.Random) -> PolymarketFirstTrigger:
    return trigger(
        f"t{chance.randrange(KEYS)}",
        condition_id=chance.choice([None, "", *(f"c{n}" for n in range(KEYS))]),
        threshold=chance.choice([0.9, 0.95]),
    )


async def mix(db: Database, worker: int, until: float) -> int:
    """Do one thing after another, and return how many were done."""
    chance = random.Random(f"{SEED} {worker}")  # noqa: S311 - repeatable, no secret
    triggers, done = TriggerRepository(db), 0
    while time.monotonic() < until:
        wanted = some(chance)
        verb = chance.choice(["claim", "claim", "create", "release", "batch", "undone"])
        if verb == "claim":
            claim = await triggers.claim(wanted)
            assert claim.won == (claim.existing is None) == (claim.lost_by is None)
        elif verb == "create":
            await triggers.create(wanted)
        elif verb == "release":
            await triggers.release(wanted.token_id, wanted.threshold)
        elif verb == "batch":
            await triggers.create_many(some(chance) for _ in range(8))
        else:
            with suppress(ZeroDivisionError):
                async with db.transaction():
                    await triggers.claim(wanted)
                    raise ZeroDivisionError
        done += 1
    return done


@pytest.mark.parametrize("unique", [False, True], ids=["as it is", "with the unique index"])
async def test_a_mixture_of_claims_and_batches_meets_no_deadlock(
    db: Database, db_url: str, *, unique: bool
) -> None:
    if unique:
        await db.execute(UNIQUE)
    config = DatabaseConfig(url=db_url, max_connections=WORKERS // 2, lock_timeout=30)
    until = time.monotonic() + SECONDS
    async with Database(config) as one, Database(config) as other:
        done = await asyncio.gather(*(mix((one, other)[n % 2], n, until) for n in range(WORKERS)))
        assert min(done) > 0
        assert (one.stats().query_errors, other.stats().query_errors) == (0, 0), TOLD
    assert await deadlocks(db) == 0, TOLD
