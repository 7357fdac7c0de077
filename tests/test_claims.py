"""Of all who claim a trigger, by its token or by its condition, exactly one wins."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from polymarket_bot.storage import (
    Claim,
    Database,
    DatabaseConfig,
    FutureTime,
    InvalidInput,
    LockTimeout,
    PolymarketFirstTrigger,
    TransactionError,
    TriggerRepository,
)
from polymarket_bot.storage.repositories.trigger_claims import trigger_keys
from tests.makers import CONDITION, NOW, TOKEN, trigger
from tests.questions import until_waiting
from tests.schemas import UNIQUE

FAR = 32_503_680_000


@pytest.fixture
def triggers(db: Database) -> TriggerRepository:
    return TriggerRepository(db)


async def test_the_first_claim_wins_and_is_stored(triggers: TriggerRepository) -> None:
    claim = await triggers.claim(trigger())
    assert claim
    assert claim == Claim(won=True, lost_by=None, existing=None)
    assert await triggers.get_by_token_threshold(TOKEN, 0.95) == trigger()


async def test_a_loser_learns_by_which_key_and_to_which_row(triggers: TriggerRepository) -> None:
    first = trigger(price="0.96")
    await triggers.claim(first)
    by_token = await triggers.claim(trigger(condition_id="another", price="0.99"))
    assert (bool(by_token), by_token.lost_by, by_token.existing) == (False, "token", first)
    by_condition = await triggers.claim(trigger("another"))
    assert (by_condition.won, by_condition.lost_by) == (False, "condition")
    assert by_condition.existing == first
    assert await triggers.claim(trigger("another", condition_id="another"))
    assert await triggers.count() == 2


async def test_who_loses_by_both_keys_learns_the_row_of_the_token(
    triggers: TriggerRepository,
) -> None:
    mine = trigger("mine", condition_id="theirs")
    await triggers.claim(trigger("theirs", condition_id=CONDITION))
    await triggers.claim(mine)
    claim = await triggers.claim(trigger("mine"))
    assert (claim.lost_by, claim.existing) == ("token", mine)


async def test_of_older_rows_of_a_condition_the_earliest_is_told(
    triggers: TriggerRepository,
) -> None:
    rows = [trigger(f"t{n}", trigger_timestamp=NOW - n) for n in range(3)]
    assert await triggers.create_many(rows) == 3
    claim = await triggers.claim(trigger("new"))
    assert (claim.lost_by, claim.existing) == ("condition", rows[2])


async def test_another_threshold_is_another_trigger(triggers: TriggerRepository) -> None:
    for threshold in (0.9, 0.95, 0.97):
        assert await triggers.claim(trigger(threshold=threshold))
    assert await triggers.count() == 3


@pytest.mark.parametrize("threshold", [0.95, Decimal("0.95"), "0.950", 0.949999988079071])
async def test_a_threshold_is_the_same_in_every_spelling(
    triggers: TriggerRepository, threshold: Any
) -> None:
    assert await triggers.claim(trigger())
    assert (await triggers.claim(trigger(threshold=threshold))).lost_by == "token"
    assert (await triggers.claim(trigger("b", threshold=threshold))).lost_by == "condition"
    assert await triggers.release(TOKEN, threshold)
    assert await triggers.claim(trigger("b", threshold=threshold))


@pytest.mark.parametrize("threshold", [0.95, Decimal("0.95"), "0.950", 0.949999988079071])
def test_one_threshold_locks_one_number_however_it_is_written(threshold: Any) -> None:
    given = trigger(threshold=threshold).threshold
    assert trigger_keys("t", "c", given) == trigger_keys("t", "c", 0.95)
    assert trigger_keys("t", "c", -0.0) == trigger_keys("t", "c", 0.0)


def test_the_numbers_that_are_locked_are_the_same_in_every_version() -> None:
    """With others, workers of two versions would get past each other."""
    assert trigger_keys("1", "0xc3", 0.95) == [-115469878097248951, 1696641127381382294]
    assert len(trigger_keys("same", "same", 0.5)) == 2
    assert trigger_keys("1", None, 0.95) == trigger_keys("1", "", 0.95)


@pytest.mark.parametrize("condition_id", [None, ""])
async def test_no_condition_is_not_a_condition_that_many_share(
    triggers: TriggerRepository, condition_id: str | None
) -> None:
    assert await triggers.claim(trigger("a", condition_id=condition_id))
    assert await triggers.claim(trigger("b", condition_id=condition_id))
    assert (await triggers.claim(trigger("a", condition_id=condition_id))).lost_by == "token"


async def test_create_lets_nothing_past_a_claim(triggers: TriggerRepository) -> None:
    assert await triggers.should_trigger("late", CONDITION, 0.95), "it was asked before"
    assert await triggers.claim(trigger())
    assert await triggers.create(trigger("late")) == trigger()
    assert await triggers.count() == 1


async def test_a_claim_can_be_taken_back_once(triggers: TriggerRepository) -> None:
    await triggers.claim(trigger())
    assert await triggers.release(TOKEN, 0.95) is True
    assert await triggers.release(TOKEN, 0.95) is False
    assert await triggers.should_trigger(TOKEN, CONDITION, 0.95)
    assert await triggers.claim(trigger("another"))


async def test_a_claim_in_a_transaction_that_rolls_back_never_happened(
    db: Database, triggers: TriggerRepository
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with db.transaction():
            assert await triggers.claim(trigger())
            raise ZeroDivisionError
    async with db.transaction():
        with pytest.raises(ZeroDivisionError):
            async with db.transaction():
                assert await triggers.claim(trigger())
                raise ZeroDivisionError
        assert await triggers.claim(trigger("another"))
    assert await triggers.count() == 1


async def test_others_wait_for_a_claim_until_its_transaction_ends(
    db: Database, triggers: TriggerRepository
) -> None:
    async with db.transaction():
        assert await triggers.claim(trigger())
        with db.detached():
            rival = asyncio.create_task(triggers.claim(trigger("another")))
        await until_waiting(db)
        assert not rival.done()
    assert (await rival).lost_by == "condition"


async def test_who_waits_for_too_long_is_told_and_stores_nothing(
    db: Database, db_url: str, triggers: TriggerRepository
) -> None:
    config = DatabaseConfig(url=db_url, lock_timeout=0.2)
    async with Database(config) as other, db.transaction():
        assert await triggers.claim(trigger())
        with pytest.raises(LockTimeout):
            await TriggerRepository(other).claim(trigger("another"))
        assert await TriggerRepository(other).claim(trigger("b", condition_id="b"))
    assert await triggers.count() == 2


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_a_claim_under_another_isolation_is_refused(
    db: Database, triggers: TriggerRepository, isolation: Any
) -> None:
    await triggers.claim(trigger("kept", condition_id="kept"))
    calls = (
        lambda: triggers.claim(trigger()),
        lambda: triggers.create(trigger()),
        lambda: triggers.release("kept", 0.95),
    )
    for call in calls:
        with pytest.raises(TransactionError, match="cannot be claimed under"):
            async with db.transaction(isolation=isolation):
                await call()
    assert await triggers.count() == 1


async def test_a_role_whose_transactions_are_of_another_isolation_can_claim(
    db: Database, db_url: str
) -> None:
    name = await db.fetchval("SELECT current_database()")
    await db.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    async with Database(DatabaseConfig(url=db_url)) as other:
        assert await other.fetchval("SHOW transaction_isolation") == "serializable"
        assert await TriggerRepository(other).claim(trigger())
        assert await TriggerRepository(other).release(TOKEN, 0.95)


async def test_a_claim_works_on_a_connection_that_the_caller_holds(db: Database) -> None:
    async with db.connection() as connection:
        triggers = TriggerRepository(connection)
        assert await triggers.claim(trigger())
        assert not await triggers.claim(trigger("another"))
        assert await triggers.release(TOKEN, 0.95)


async def test_what_is_no_trigger_or_lies_in_the_future_claims_nothing(
    triggers: TriggerRepository,
) -> None:
    wrong: Any = {"token_id": TOKEN}
    with pytest.raises(InvalidInput, match="expected a PolymarketFirstTrigger"):
        await triggers.claim(wrong)
    with pytest.raises(FutureTime, match="trigger_timestamp"):
        await triggers.claim(trigger(trigger_timestamp=FAR))
    for field, value in (("token_id", "\ud800"), ("threshold", 1e39), ("condition_id", "a\x00")):
        with pytest.raises(InvalidInput, match=field):
            await triggers.claim(trigger().model_copy(update={field: value}))
    assert await triggers.count() == 0


async def test_the_optional_unique_index_makes_no_difference_to_a_claim(
    db: Database, triggers: TriggerRepository
) -> None:
    await db.execute(UNIQUE)
    assert await triggers.claim(trigger())
    assert (await triggers.claim(trigger("another"))).lost_by == "condition"
    assert await triggers.create(trigger("another")) == trigger()


async def test_a_writer_that_knows_no_locks_is_met_as_an_existing_row(
    db: Database, triggers: TriggerRepository, db_url: str
) -> None:
    """It inserts between a claim's look and its insert: the claim waits for it, and looks again."""
    old = await asyncpg.connect(db_url)
    block = old.transaction()
    await block.start()
    await old.execute(
        "INSERT INTO polymarket_first_triggers (token_id, condition_id, threshold,"
        " trigger_timestamp, created_at) VALUES ($1, $2, 0.95, 1, 'then')",
        *(TOKEN, CONDITION),
    )
    rival = asyncio.create_task(triggers.claim(trigger()))
    await until_waiting(db)
    assert not rival.done()
    await block.commit()
    await old.close()
    claim = await rival
    assert claim.lost_by == "token"
    assert isinstance(claim.existing, PolymarketFirstTrigger)
    assert claim.existing.trigger_timestamp == 1
