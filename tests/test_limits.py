"""No call waits for ever: each limit has its error, and the error its remedy."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from polymarket_bot.storage import (
    Conflict,
    Database,
    DatabaseConfig,
    IdleTransactionTimeout,
    LockTimeout,
    Outcome,
    QueryEvent,
    StatementTimeout,
    TradeWatermarkRepository,
    TransactionError,
)
from tests.questions import until_waiting


@pytest.fixture
async def hasty(db_url: str) -> AsyncIterator[Database]:
    config = DatabaseConfig(
        url=db_url, command_timeout=0.4, lock_timeout=0.1, idle_in_transaction_timeout=0.2
    )
    async with Database(config) as database:
        yield database


async def test_a_statement_ends_at_its_limit(hasty: Database) -> None:
    with pytest.raises(StatementTimeout, match="command_timeout") as caught:
        await hasty.fetchval("SELECT pg_sleep(60)")
    assert caught.value.sqlstate == "57014"  # the server's own limit is just below the client's
    assert await hasty.fetchval("SELECT 1") == 1


async def test_a_statement_may_have_a_limit_of_its_own(hasty: Database) -> None:
    assert await hasty.fetchval("SELECT 5 FROM pg_sleep(0.6)", timeout=20) == 5
    async with hasty.transaction():
        assert await hasty.fetchval("SELECT 5 FROM pg_sleep(0.6)", timeout=20) == 5
    with pytest.raises(StatementTimeout):
        await hasty.fetchval("SELECT pg_sleep(60)", timeout=0.1)
    with pytest.raises(StatementTimeout):
        await hasty.fetchval("SELECT pg_sleep(60)")


async def test_waiting_for_a_lock_ends_at_its_limit(db: Database, hasty: Database) -> None:
    async with db.transaction():
        await db.execute("LOCK TABLE trade_watermarks")
        with pytest.raises(LockTimeout, match="lock_timeout"):
            await TradeWatermarkRepository(hasty).update("c", 5)
    await TradeWatermarkRepository(hasty).update("c", 5)


async def test_an_idle_transaction_is_ended_and_named(hasty: Database) -> None:
    with pytest.raises(IdleTransactionTimeout) as caught:
        async with hasty.transaction():
            await TradeWatermarkRepository(hasty).update("c", 5)
            await asyncio.sleep(0.5)
            await hasty.fetchval("SELECT 1")
    assert caught.value.outcome is Outcome.ROLLED_BACK
    assert await TradeWatermarkRepository(hasty).get_timestamp("c") == 0


async def test_a_block_that_ends_idle_for_too_long_is_not_stored_and_says_so(
    hasty: Database,
) -> None:
    with pytest.raises(IdleTransactionTimeout, match="rolled back"):
        async with hasty.transaction():
            await TradeWatermarkRepository(hasty).update("c", 5)
            await asyncio.sleep(0.5)
    assert await TradeWatermarkRepository(hasty).get_timestamp("c") == 0


@pytest.mark.parametrize("where", ["in the block", "in a savepoint"])
async def test_a_block_whose_body_waits_for_ever_is_ended(hasty: Database, where: str) -> None:
    with pytest.raises(IdleTransactionTimeout, match="no statement for more") as caught:
        async with hasty.transaction():
            await TradeWatermarkRepository(hasty).update("c", 5)
            if where == "in the block":
                await asyncio.Event().wait()
            async with hasty.transaction():
                await asyncio.Event().wait()
    assert caught.value.outcome is Outcome.ROLLED_BACK
    assert await TradeWatermarkRepository(hasty).get_timestamp("c") == 0
    assert hasty.stats().holders == ()


async def test_a_long_statement_on_a_block_s_own_connection_is_not_idleness(db_url: str) -> None:
    config = DatabaseConfig(url=db_url, idle_in_transaction_timeout=0.2)
    async with Database(config) as hasty, hasty.transaction() as connection:
        assert await connection.fetchval("SELECT 5 FROM pg_sleep(1)") == 5
        assert await hasty.fetchval("SELECT 6 FROM pg_sleep(1)") == 6


async def test_what_has_idled_for_too_long_is_not_run_again(hasty: Database) -> None:
    runs = 0

    async def idle() -> None:
        nonlocal runs
        runs += 1
        await hasty.fetchval("SELECT 1")
        await asyncio.sleep(0.5)

    with pytest.raises(IdleTransactionTimeout):
        await hasty.run_in_transaction(idle)
    assert runs == 1


async def test_run_in_transaction_runs_again_what_met_another_transaction(db: Database) -> None:
    await db.execute("CREATE TABLE counter (n int)")
    await db.execute("INSERT INTO counter VALUES (0)")

    async def add() -> int:
        n = await db.fetchval("SELECT n FROM counter")
        await asyncio.sleep(0)
        await db.execute("UPDATE counter SET n = $1", n + 1)
        return int(n)

    runs = (db.run_in_transaction(add, retries=50, isolation="serializable") for _ in range(8))
    assert sorted(await asyncio.gather(*runs)) == list(range(8))
    assert await db.fetchval("SELECT n FROM counter") == 8
    assert db.stats().retries > 0


async def test_run_in_transaction_gives_up_after_its_retries(db: Database) -> None:
    tries = 0

    async def fail() -> None:
        nonlocal tries
        tries += 1
        await db.execute("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$")

    with pytest.raises(Conflict, match="run_in_transaction"):
        await db.run_in_transaction(fail, retries=2)
    assert tries == 3


async def test_run_in_transaction_refuses_to_be_nested(db: Database) -> None:
    async def nothing() -> None: ...

    async with db.transaction():
        with pytest.raises(TransactionError, match="cannot be part of"):
            await db.run_in_transaction(nothing)


async def test_detached_work_is_no_part_of_the_block(db: Database) -> None:
    marks = TradeWatermarkRepository(db)
    with pytest.raises(KeyError):
        async with db.transaction():
            await marks.update("inside", 5)
            with db.detached():
                await marks.update("outside", 5)
                task = asyncio.create_task(marks.update("task", 5))
            await task
            assert await marks.get_timestamp("inside") == 5
            raise KeyError
    assert {row.condition_id for row in await marks.get_all()} == {"outside", "task"}


async def test_cancellation_during_commit_waits_for_it(db: Database) -> None:
    await db.execute(
        "CREATE TABLE slow (n int); CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END';"
        "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON slow"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()"
    )

    async def write() -> None:
        async with db.transaction():
            await db.execute("INSERT INTO slow VALUES (1)")

    async with db.separate_transaction() as other:
        await other.execute("SELECT pg_advisory_xact_lock(1)")
        task = asyncio.create_task(write())
        await until_waiting(db)
        task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert "COMMIT was in flight: it was committed" in caught.value.__notes__
    assert await db.fetchval("SELECT count(*) FROM slow") == 1


async def test_observers_are_told_of_each_statement(db: Database) -> None:
    events: list[QueryEvent] = []
    stop = db.on_query(events.append)
    await db.fetch("SELECT\n  generate_series(1, $1)", 3)
    await db.execute("INSERT INTO trade_watermarks VALUES ('c', 1, '')")
    with pytest.raises(Exception, match="no_such"):
        await db.fetchval("SELECT no_such")
    stop()
    await db.fetchval("SELECT 1")
    assert [(event.name, event.rows) for event in events] == [
        ("SELECT generate_series(1, $1)", 3),
        ("INSERT INTO trade_watermarks VALUES ('c', 1, '')", 1),
        ("SELECT no_such", None),
    ]
    assert [event.error is None for event in events] == [True, True, False]
    assert all(event.duration > 0 for event in events)


async def test_an_observer_is_stopped_once_for_each_time_it_was_added(db: Database) -> None:
    events: list[QueryEvent] = []
    stop, stop_other = db.on_query(events.append), db.on_query(events.append)
    stop()
    stop()
    await db.fetchval("SELECT 1")
    assert len(events) == 1
    stop_other()
    await db.fetchval("SELECT 1")
    assert len(events) == 1


async def test_slow_statements_are_logged(db_url: str, caplog: pytest.LogCaptureFixture) -> None:
    config = DatabaseConfig(url=db_url, slow_query_seconds=0.5)
    async with Database(config) as db:
        with caplog.at_level(logging.WARNING):
            await db.fetchval("SELECT pg_sleep($1)", 0.6)
            await db.fetchval("SELECT 1")
    slow = [record.message for record in caplog.records if "slow statement" in record.message]
    assert len(slow) == 1
    assert "SELECT pg_sleep($1)" in slow[0]


async def test_health_tells_what_is_wrong_in_words(db: Database) -> None:
    report = await db.health()
    assert (report.healthy, report.problems) == (True, [])
    assert report.server_version
    assert report.latency_ms
    assert report.pool
    await db.close()
    report = await db.health()
    assert not report.healthy
    assert "not initialized" in report.problems[0]


async def test_a_database_may_be_given_in_parts(
    db_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = DatabaseConfig(url=db_url)
    async with Database(config) as db:
        row = await db.fetchrow(
            "SELECT current_setting('unix_socket_directories') AS folder,"
            " current_setting('port')::int AS port, current_database() AS name"
        )
    assert row is not None
    folder = row["folder"].split(",")[0].strip('"')
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@nowhere.invalid/nothing")
    monkeypatch.setenv("DB_USER", "predict")
    monkeypatch.setenv("DB_PASSWORD", "p@ss/word")
    parts = DatabaseConfig(host=folder, port=row["port"], database=row["name"])
    async with Database(parts) as db:
        assert await db.fetchval("SELECT current_database()") == row["name"]
    assert "p@ss" not in repr(parts)
    monkeypatch.setenv("DB_HOST", "elsewhere.invalid")
    assert DatabaseConfig().dsn == "postgresql://nobody@nowhere.invalid/nothing"
    assert DatabaseConfig(host="h", user="u", password="a@b").dsn == "postgresql://u:a%40b@h:5432"  # noqa: S106


async def test_the_tables_may_be_in_another_schema(db_url: str) -> None:
    async with Database(DatabaseConfig(url=db_url)) as db:
        await db.execute('CREATE SCHEMA "my bot"')
        await db.execute(
            'CREATE TABLE "my bot".trade_watermarks (LIKE trade_watermarks INCLUDING ALL)'
        )
    async with Database(DatabaseConfig(url=db_url, schema_name="my bot")) as db:
        await TradeWatermarkRepository(db).update("c", 5)
        assert await db.fetchval('SELECT count(*) FROM "my bot".trade_watermarks') == 1
        assert await db.fetchval("SELECT count(*) FROM public.trade_watermarks") == 0
