"""What a block or a statement sets in its session does not reach the next caller."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from polymarket_bot.storage import Database, DatabaseConfig, QueryError, TradeRepository
from polymarket_bot.storage.connections.queries import changes_session
from tests.makers import trade

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"


@pytest.fixture
async def single(db_url: str) -> AsyncIterator[Database]:
    config = DatabaseConfig(url=db_url, min_connections=1, max_connections=1)
    async with Database(config) as database:
        yield database


async def in_a_block(db: Database) -> None:
    async with db.transaction():
        await db.execute("SET search_path = pg_catalog")
        await db.fetchval("SELECT pg_advisory_lock(7)")


async def in_an_inner_block(db: Database) -> None:
    async with db.transaction(), db.transaction():
        await db.execute("SET search_path = pg_catalog")


async def on_the_connection_of_an_inner_block(db: Database) -> None:
    async with db.transaction(), db.transaction() as connection:
        await connection.execute("SET search_path = pg_catalog")
        await connection.execute("SELECT pg_advisory_lock(7)")


async def in_a_repeated_block(db: Database) -> None:
    await db.run_in_transaction(lambda: db.execute("SET search_path = pg_catalog"))


async def behind_a_comment(db: Database) -> None:
    await db.execute("-- as the bot wants it\n  /* all\nof it */ SET search_path = pg_catalog")


@pytest.mark.parametrize(
    "change",
    [
        in_a_block,
        in_an_inner_block,
        on_the_connection_of_an_inner_block,
        in_a_repeated_block,
        behind_a_comment,
    ],
)
async def test_what_was_set_is_reset(
    single: Database, change: Callable[[Database], Awaitable[None]]
) -> None:
    before = await single.fetchval("SHOW search_path")
    await change(single)
    assert await single.fetchval("SHOW search_path") == before
    assert await single.fetchval(LOCKS) == 0


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT pg_advisory_xact_lock(1)",
        "INSERT INTO settings VALUES ($1)",
        "CREATE TEMPORARY TABLE pg_temp.given (n int) ON COMMIT DROP",
        "SELECT 1 -- SET nothing",
        "/* and so on */" * 60 + "SELECT 1",
    ],
)
def test_what_ends_with_its_transaction_costs_no_reset(statement: str) -> None:
    assert not changes_session(statement)


@pytest.mark.parametrize(
    "statement",
    ["CREATE TEMP TABLE kept (n int)", "SELECT 1 AS n INTO TEMPORARY kept", "/**/SET x.y = '1'"],
)
def test_what_outlives_its_transaction_is_seen(statement: str) -> None:
    assert changes_session(statement)


async def test_a_batch_on_a_connection_that_another_task_uses_is_refused_and_harms_nobody(
    single: Database,
) -> None:
    async with single.connection() as connection:
        running = asyncio.create_task(connection.fetchval("SELECT pg_sleep(0.2) IS NULL"))
        await asyncio.sleep(0.05)
        with pytest.raises(QueryError, match="another operation is in progress"):
            await TradeRepository(connection).create_many([trade("a"), trade("b")])
        assert await running is False
    assert await TradeRepository(single).create_many([trade("a"), trade("b")]) == 2
