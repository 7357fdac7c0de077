"""Large batches of new rows are copied into a temporary table first; nobody notices."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from polymarket_bot.storage import (
    Database,
    DatabaseConfig,
    FutureTime,
    InvalidInput,
    PolymarketTrade,
    QueryEvent,
    TradeRepository,
)
from tests.makers import CONDITION, trade
from tests.questions import deadlocks

FEW, MANY = 499, 1_200
STAGED = "SELECT count(*) FROM pg_class WHERE relname LIKE '%staged%'"


def numbered(count: int, first: int = 0, **changes: Any) -> list[PolymarketTrade]:
    return [trade(f"{n:05}", size=n + 1, **changes) for n in range(first, first + count)]


@pytest.mark.parametrize(("count", "staged"), [(FEW, False), (FEW + 1, True), (12_000, True)])
async def test_many_rows_are_staged_and_few_are_not(
    db: Database, trades: TradeRepository, count: int, *, staged: bool
) -> None:
    seen: list[QueryEvent] = []
    db.on_query(seen.append)
    assert await trades.create_many(numbered(count)) == count
    assert any(event.name.startswith("COPY") for event in seen) is staged
    assert [row.size for row in await trades.get_all(limit=count)] == [
        Decimal(n + 1) for n in range(count)
    ]
    assert await db.fetchval(STAGED) == 0


async def test_of_twins_the_first_stands_and_what_is_stored_is_left(
    trades: TradeRepository,
) -> None:
    await trades.create_many(numbered(10, side="SELL"))
    twins = [model for n in range(MANY) for model in (trade(f"{n:05}"), trade(f"{n:05}", size=7))]
    assert await trades.create_many(twins) == MANY - 10
    stored = await trades.get_all(limit=2 * MANY)
    assert len(stored) == MANY
    assert {row.side for row in stored[:10]} == {"SELL"}
    assert {row.size for row in stored[10:]} == {Decimal("12.5")}
    assert await trades.create_many(twins) == 0


async def test_a_time_in_the_future_leaves_nothing(db: Database, trades: TradeRepository) -> None:
    batch = [*numbered(MANY), trade("late", timestamp=9_999_999_999)]
    with pytest.raises(FutureTime):
        await trades.create_many(batch)
    assert await trades.count() == 0
    assert await db.fetchval(STAGED) == 0
    assert await trades.create_many(batch[:-1]) == MANY


@pytest.mark.parametrize("wrong", [{"size": "many"}, {"outcome_index": 2**40}, {"side": "\x00"}])
async def test_a_value_that_its_column_does_not_take_is_named(
    trades: TradeRepository, wrong: dict[str, Any]
) -> None:
    (field,) = wrong
    bad = trade("bad").model_copy(update=wrong)
    with pytest.raises(InvalidInput) as caught:
        await trades.create_many([*numbered(MANY), bad])
    assert caught.value.field == field
    assert await trades.count() == 0


async def test_several_in_one_block_belong_to_it(db: Database, trades: TradeRepository) -> None:
    async with db.transaction():
        assert await trades.create_many(numbered(MANY)) == MANY
        with pytest.raises(ZeroDivisionError):
            async with db.transaction():
                assert await trades.create_many(numbered(MANY, MANY)) == MANY
                raise ZeroDivisionError
        assert await trades.create_many(numbered(MANY, MANY // 2)) == MANY // 2
    assert await trades.count() == MANY + MANY // 2


async def test_on_a_connection_of_one_s_own(db: Database) -> None:
    async with db.connection() as connection:
        assert await TradeRepository(connection).create_many(numbered(MANY)) == MANY
    assert await TradeRepository(db).count() == MANY


async def test_a_user_who_may_make_no_temporary_tables_stores_all_the_same(
    db: Database, db_url: str
) -> None:
    name = await db.fetchval("SELECT current_database()")
    role = f"plain_{name}"
    await db.execute(f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC; CREATE ROLE {role} LOGIN")
    await db.execute(
        f"GRANT USAGE ON SCHEMA ops TO {role};"
        f"GRANT ALL ON ALL TABLES IN SCHEMA public, ops TO {role}"
    )
    try:
        config = DatabaseConfig(url=db_url, user=role)
        async with Database(config) as plain, plain.transaction():
            await plain.execute(f"SET LOCAL ROLE {role}")
            trades = TradeRepository(plain)
            assert await trades.create_many(numbered(MANY)) == MANY
            assert await trades.create_many(numbered(MANY)) == 0
    finally:
        await db.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_many_writers_of_the_same_rows_meet_without_deadlock(
    db: Database, trades: TradeRepository
) -> None:
    batch = numbered(MANY)
    parts = [batch, batch[::-1], batch[: FEW - 1], batch[FEW:], batch[::3], batch[::-2]]
    counts = await asyncio.gather(*(trades.create_many(part) for part in parts * 3))
    assert sum(counts) == MANY == await trades.count()
    assert await deadlocks(db) == 0
    assert {row.condition_id for row in await trades.get_all(limit=1)} == {CONDITION}
