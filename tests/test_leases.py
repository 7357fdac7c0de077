"""How connections are lent, kept, given back, and who holds them."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator

import asyncpg
import pytest

from polymarket_bot.storage import (
    Database,
    DatabaseConfig,
    PoolTimeout,
    TransactionError,
)
from tests.faults.record import SEED, TOLD, Trial, count, tell
from tests.faults.support import hold_to_whole

CANCELLATIONS = count("CANCELLATIONS", 5_000)


@pytest.fixture
async def small(db_url: str) -> AsyncIterator[Database]:
    config = DatabaseConfig(url=db_url, min_connections=1, max_connections=2, acquire_timeout=0.3)
    async with Database(config) as database:
        yield database


async def pid(db: Database) -> int:
    return int(await db.fetchval("SELECT pg_backend_pid()"))


async def backends(db: Database) -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    return int(await db.fetchval(query + " AND pid <> pg_backend_pid()"))


async def test_one_connection_serves_one_statement_after_another(small: Database) -> None:
    assert len({await pid(small) for _ in range(20)}) == 1
    assert small.stats().connections_num == 1
    assert small.stats().pool_size == 1


@pytest.mark.parametrize(
    "statement",
    [
        "SET application_name = 'changed'",
        "SELECT set_config('application_name', 'changed', false)",
        "WITH changed AS (SELECT set_config('application_name', 'changed', false)) TABLE changed",
        "SELECT 1; SET application_name = 'changed'",
    ],
)
async def test_a_statement_leaves_nothing_behind_in_its_session(
    db_url: str, statement: str
) -> None:
    config = DatabaseConfig(url=db_url, min_connections=1, max_connections=1)
    async with Database(config) as db:
        await db.execute(statement)
        assert await db.fetchval("SHOW application_name") == "polymarket-bot-storage"
        await db.fetchval("SELECT pg_advisory_lock(5)")
        locks = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
        mine = " WHERE locktype = 'advisory' AND datname = current_database()"
        assert await db.fetchval(locks + mine) == 0


async def test_a_lent_connection_leaves_nothing_behind_in_its_session(small: Database) -> None:
    async with small.connection() as connection:
        await connection.execute("SET application_name = 'changed'")
    async with small.transaction() as connection:
        await connection.execute("SET application_name = 'changed'")
    for _ in range(4):
        assert await small.fetchval("SHOW application_name") == "polymarket-bot-storage"


async def test_a_transaction_begun_by_hand_does_not_outlive_its_statement(
    small: Database,
) -> None:
    await small.execute("BEGIN")
    assert await small.fetchval("SELECT pg_current_xact_id_if_assigned()") is None
    async with small.connection() as connection:
        assert not connection.is_in_transaction()


async def test_a_connection_kept_beyond_its_block_refuses_to_work(small: Database) -> None:
    async with small.connection() as lent:
        pass
    with pytest.raises(asyncpg.InterfaceError, match="released back to the pool"):
        await lent.fetchval("SELECT 1")
    async with small.transaction() as lent:
        pass
    with pytest.raises(TransactionError, match="has ended"):
        await lent.fetchval("SELECT 1")


async def test_a_pool_timeout_says_how_large_the_pool_is_and_who_holds_it(
    small: Database,
) -> None:
    async def leak() -> None:
        async with small.connection():
            await asyncio.sleep(60)

    async def wait() -> None:
        await small.fetchval("SELECT 1")

    leaks = [asyncio.create_task(leak(), name=f"leak {n}") for n in range(2)]
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(wait()) for _ in range(3)]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, PoolTimeout) for result in results)
    text = str(results[0])
    assert "all 2 are held" in text
    assert "leak 0" in text
    assert "leak 1" in text
    assert "test_leases.py:" in text
    assert "raise max_connections" in text
    assert small.stats().requests_errors == 3
    for task in leaks:
        task.cancel()
    await asyncio.gather(*leaks, return_exceptions=True)
    assert await small.fetchval("SELECT 1") == 1
    assert small.stats().holders == ()


async def test_callers_are_served_in_the_order_of_their_coming(db_url: str) -> None:
    order: list[int] = []
    async with Database(DatabaseConfig(url=db_url, min_connections=1, max_connections=1)) as db:

        async def ask(number: int) -> None:
            await db.fetchval("SELECT 1")
            order.append(number)

        async with db.connection():
            tasks = []
            for number in range(20):
                tasks.append(asyncio.create_task(ask(number)))
                await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        assert db.stats().requests_queued == 20
    assert order == list(range(20))


async def test_the_figures_are_those_of_psycopg_pool_and_count(small: Database) -> None:
    await asyncio.gather(*(small.fetchval("SELECT pg_sleep(0.01)") for _ in range(6)))
    with pytest.raises(Exception, match="no_such"):
        await small.fetchval("SELECT no_such")
    stats = small.stats()
    assert (stats.pool_min, stats.pool_max, stats.pool_size) == (1, 2, 2)
    assert (stats.requests_waiting, stats.holders) == (0, ())
    assert (stats.requests_num, stats.requests_queued, stats.requests_errors) == (7, 4, 0)
    assert (stats.queries, stats.query_errors, stats.retries) == (7, 1, 0)
    assert stats.connections_num >= 2
    assert stats.usage_ms > 0
    assert stats.requests_wait_ms > 0
    assert stats.connections_ms > 0
    assert (stats.connections_errors, stats.connections_lost, stats.returns_bad) == (0, 0, 0)


async def test_old_connections_are_opened_anew(db_url: str) -> None:
    config = DatabaseConfig(url=db_url, min_connections=1, max_connections=1, max_lifetime=0.05)
    async with Database(config) as db:
        first = await pid(db)
        await asyncio.sleep(0.06)
        assert await pid(db) != first


async def test_idle_connections_are_closed_down_to_those_that_are_kept(
    db: Database, db_url: str
) -> None:
    config = DatabaseConfig(url=db_url, min_connections=1, max_connections=6, max_idle=0.05)
    async with Database(config) as busy:
        await asyncio.gather(*(busy.fetchval("SELECT pg_sleep(0.02)") for _ in range(6)))
        assert busy.stats().connections_num >= 6
        async with asyncio.timeout(20):
            while await backends(db) > 1:  # noqa: ASYNC110 - the server is only seen by looking
                await asyncio.sleep(0.02)
        assert busy.stats().pool_size == 1


async def test_two_hundred_killed_backends_do_not_show(db: Database, db_url: str) -> None:
    killed = 0
    async with Database(DatabaseConfig(url=db_url, min_connections=4, max_connections=4)) as busy:
        while killed < 200:
            killed += await db.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            reads = (
                busy.fetchval("SELECT 1 FROM pg_sleep(0.001)", repeatable=True) for _ in "1234"
            )
            assert await asyncio.gather(*reads) == [1] * 4
        assert busy.stats().connections_lost + busy.stats().returns_bad > 0
        assert busy.stats().holders == ()


async def test_cancellation_at_any_await_leaves_the_pool_whole(db: Database, db_url: str) -> None:
    chance = random.Random(SEED)  # noqa: S311 - repeatable, no secret
    config = DatabaseConfig(url=db_url, min_connections=2, max_connections=8)
    trial, cancelled, numbers = Trial("cancellation"), 0, itertools.count()
    async with Database(config) as busy:

        async def work(number: int) -> None:
            async with busy.transaction():
                await busy.execute("INSERT INTO trade_watermarks VALUES ($1, 1, '')", str(number))
                async with busy.transaction():
                    await busy.fetchval("SELECT pg_sleep(0.001)")
                async with busy.connection() as connection:
                    await connection.fetchval("SELECT 1")

        running: set[asyncio.Task[None]] = set()
        while cancelled < CANCELLATIONS:
            running |= {asyncio.create_task(work(next(numbers))) for _ in range(64 - len(running))}
            await asyncio.sleep(chance.uniform(0, 0.02))
            for task in chance.sample(sorted(running, key=asyncio.Task.get_name), 16):
                task.cancel()
            done, running = await asyncio.wait(running, return_when="FIRST_COMPLETED")
            unexpected = [t.exception() for t in done if not t.cancelled() and t.exception()]
            assert not unexpected, (TOLD, unexpected)
            cancelled += sum(task.cancelled() for task in done)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        with trial.recovery():
            await hold_to_whole(busy)
        assert await backends(db) <= 8, TOLD
        stored = "SELECT count(*) FROM trade_watermarks"
        assert 0 < await db.fetchval(stored) < next(numbers), "all ended, or none"
    tell("cancellation", times=cancelled, worst_recovery=trial.worst)


async def test_a_thousand_tasks_share_what_leaks_leave_of_four_connections(db_url: str) -> None:
    config = DatabaseConfig(url=db_url, max_connections=4, acquire_timeout=3)
    trial = Trial("exhaustion")
    async with Database(config) as db:
        leaks = [db.connection() for _ in range(4)]
        for leak in leaks[:3]:
            await leak.__aenter__()
        answers = await asyncio.gather(*(db.fetchval("SELECT $1::int", n) for n in range(1_000)))
        assert answers == list(range(1_000))
        await leaks[3].__aenter__()
        asking = (db.fetchval("SELECT 1") for _ in range(1_000))
        refused = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(answer) for answer in refused} == {PoolTimeout}
        assert "test_leases.py:" in str(refused[0])
        for leak in leaks:
            await leak.__aexit__(None, None, None)
        with trial.recovery():
            await hold_to_whole(db)
        assert db.stats().pool_size == 4
    tell("exhaustion", times=len(refused), worst_recovery=trial.worst)
