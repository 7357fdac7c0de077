"""Where new trades may be processed, for how long, and which calls are refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from polymarket_bot.storage import (
    Database,
    DatabaseConfig,
    IdleTransactionTimeout,
    InvalidInput,
    PolymarketTrade,
    QueryError,
    QueryEvent,
    TradeRepository,
    TradeWatermarkRepository,
    TransactionError,
    TriggerRepository,
    seed_files,
)
from tests.handing_over import anything, at, nothing
from tests.makers import CONDITION, NOW, trigger
from tests.schemas import load


async def test_in_a_block_all_of_it_belongs_to_the_block(
    db: Database, trades: TradeRepository, marks: TradeWatermarkRepository
) -> None:
    await marks.update(CONDITION, NOW)
    await trades.create_many([*at(-1, "late"), *at(1, "new")])
    with pytest.raises(ZeroDivisionError):
        async with db.transaction():
            assert await anything(trades) == [["late"], ["new"]]
            assert not await anything(trades)
            raise ZeroDivisionError
    assert await anything(trades) == [["late"], ["new"]]


async def test_where_nothing_waits_one_statement_tells_it(
    db: Database, trades: TradeRepository
) -> None:
    seen: list[QueryEvent] = []
    await trades.create_many(at(0, "done"))
    assert await anything(trades) == [["done"]]
    stop = db.on_query(seen.append)
    report = await trades.process_new(CONDITION, nothing)
    stop()
    assert (report.handled, report.late, report.watermark, report.busy) == (0, 0, NOW, False)
    assert len(seen) == 1
    await trades.create_many(at(-1, "late"))
    assert await anything(trades) == [["late"]]
    assert (await trades.process_new("0xnobody", nothing)).watermark == 0


async def test_a_repository_on_a_connection_processes_in_its_transaction(db: Database) -> None:
    await TradeRepository(db).create_many(at(0, "a"))
    async with db.connection() as connection, connection.transaction():
        assert await anything(TradeRepository(connection)) == [["a"]]
    assert await TradeWatermarkRepository(db).get_timestamp(CONDITION) == NOW


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_where_others_are_not_seen_nothing_is_processed_or_stored(
    db: Database, trades: TradeRepository, isolation: Any
) -> None:
    async with db.transaction(isolation=isolation):
        with pytest.raises(TransactionError, match="open the block without isolation="):
            await trades.process_new(CONDITION, nothing)
    async with db.transaction(isolation=isolation):
        with pytest.raises(TransactionError, match="trades cannot be stored under"):
            await trades.create_many(at(0, "a"))
    assert await trades.count() == 0


async def test_a_server_whose_default_is_another_isolation_is_no_obstacle(db: Database) -> None:
    name = await db.fetchval("SELECT current_database()")
    await db.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    async with Database(db.config) as other:
        assert await other.fetchval("SHOW transaction_isolation") == "repeatable read"
        trades = TradeRepository(other)
        await trades.ingest(at(0, "a"))
        await trades.upsert_many(at(1, "b"))
        assert await anything(trades) == [["a", "b"]]
        assert await TriggerRepository(other).claim(trigger())


@pytest.fixture
async def hasty(db_url: str) -> AsyncIterator[TradeRepository]:
    config = DatabaseConfig(url=db_url, idle_in_transaction_timeout=1)
    async with Database(config) as database:
        yield TradeRepository(database)


@pytest.mark.parametrize("waits", ["for ever", "for long"])
async def test_a_handler_that_lets_the_transaction_idle_gets_that_error(
    hasty: TradeRepository, waits: str
) -> None:
    await hasty.create_many(at(0, "a"))
    calls = 0

    async def wait(_: list[PolymarketTrade]) -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(1.3 if waits == "for long" else 3600)

    with pytest.raises(IdleTransactionTimeout, match="rolled back"):
        await hasty.process_new(CONDITION, wait)
    assert calls == 1
    assert await anything(hasty) == [["a"]]


async def test_a_slow_handler_that_runs_statements_is_not_idle(db_url: str) -> None:
    async with Database(DatabaseConfig(url=db_url, idle_in_transaction_timeout=1.5)) as db:
        trades = TradeRepository(db)
        await trades.create_many(at(0, "a"))

        async def ask(_: list[PolymarketTrade]) -> None:
            for _turn in range(25):
                await asyncio.sleep(0.1)
                await trades.count()

        assert (await trades.process_new(CONDITION, ask)).handled == 1


WRONG = [
    ("condition_id", {"condition_id": None}),
    ("handler", {"handler": None}),
    ("on_late", {"on_late": "f"}),
    ("limit", {"limit": 0}),
    ("limit", {"limit": -1}),
    ("limit", {"limit": 1.5}),
    ("settle_seconds", {"settle_seconds": -0.1}),
    ("settle_seconds", {"settle_seconds": float("nan")}),
    ("settle_seconds", {"settle_seconds": "2"}),
    ("now", {"now": "today"}),
]


@pytest.mark.parametrize(("field", "change"), WRONG)
async def test_an_argument_that_does_not_fit_is_named(
    trades: TradeRepository, field: str, change: dict[str, Any]
) -> None:
    await trades.create_many(at(0, "a"))
    given: dict[str, Any] = {"condition_id": CONDITION, "handler": nothing, **change}
    with pytest.raises(InvalidInput) as caught:
        await trades.process_new(**given)
    assert caught.value.field == field
    assert await anything(trades) == [["a"]]


async def test_a_handler_that_cannot_be_awaited_is_refused(trades: TradeRepository) -> None:
    await trades.create_many(at(0, "a"))
    with pytest.raises(InvalidInput, match="async function"):
        await trades.process_new(CONDITION, lambda _: None)  # type: ignore[arg-type,return-value]
    assert await anything(trades) == [["a"]]


async def test_without_schema_ops_trades_are_stored_and_processing_says_what_to_do(
    empty_url: str,
) -> None:
    await load(empty_url, *seed_files()[:1])
    async with Database(DatabaseConfig(url=empty_url)) as db:
        trades = TradeRepository(db)
        await TradeWatermarkRepository(db).update(CONDITION, NOW)
        report = await trades.ingest([*at(-1, "a"), *at(1, "b")])
        assert (report.inserted, report.late) == (2, 1)
        await trades.upsert_many(at(-2, "c"))
        with pytest.raises(QueryError, match="migrate"):
            await trades.process_new(CONDITION, nothing)
        assert await trades.count() == 3
