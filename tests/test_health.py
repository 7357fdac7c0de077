"""`db.health()` says what is wrong, from when on, and no more when it was mended."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from polymarket_bot.storage import Database, DatabaseConfig, HealthLimits
from tests.alarms import said
from tests.commands import eventually
from tests.writers import as_user, connect, old_transaction, two_users

STRICT = HealthLimits(transaction=0, idle=0)
OPEN = "the transaction of process … is open for …: …"
HELD = "a connection of the pool is held for more than …, by …: …"
WAITING = "… callers wait for a connection: …"
DEAD = "table … has … dead rows beside … live ones: …"
BEHIND = "the schema is recorded at version …, and this package has …: …"
RECORDED = "the schema is recorded at version …, and this package has …: all is there; …"
NEWER = "the schema is at version …, and this package knows …: …"
HIDDEN = "how long … of other users are in a transaction is hidden from this user: …"
UNSEEN = "… cannot be looked at: …"
NO_WRITES = "the server takes no writes: …"
READ_ONLY = "this login takes no writes, by its own default_transaction_read_only; …"
FLUSH = "SELECT pg_stat_force_next_flush()"
FILL = """
INSERT INTO polymarket_trades (condition_id, trade_id)
SELECT 'c', n::text FROM generate_series(1, 12000) AS n
"""


async def problems(db: Database, limits: HealthLimits = STRICT) -> list[str]:
    report = await db.health(limits=limits)
    assert report.healthy == (not report.problems)
    return report.problems


async def until_waiting(db: Database, callers: int) -> None:
    while db.stats().requests_waiting < callers:  # noqa: ASYNC110 - seen only by looking
        await asyncio.sleep(0)


async def test_an_open_transaction_of_another_program_is_told_until_it_ends(
    db: Database, db_url: str
) -> None:
    session = await asyncpg.connect(db_url, server_settings={"application_name": "a dump"})
    await session.execute("BEGIN")
    assert await problems(db, HealthLimits()) == []
    for limits in (HealthLimits(idle=0), HealthLimits(transaction=0)):
        told = await problems(db, limits)
        assert said(told, OPEN)
        pid = session.get_server_pid()
        assert f"process {pid} (a dump, user " in told[0]
        assert ", idle for " in told[0]
        assert told[0].endswith(f"SELECT pg_terminate_backend({pid})")
    await session.execute("ROLLBACK")
    assert await problems(db) == []
    await session.close()


async def test_a_transaction_that_works_is_not_idle(db: Database, db_url: str) -> None:
    session = await connect(db_url)
    working = asyncio.create_task(session.execute("SELECT pg_sleep(60)"))
    await eventually(db, "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    assert await problems(db, HealthLimits(idle=0)) == []
    (told,) = await problems(db, HealthLimits(transaction=0))
    assert "idle" not in told
    session.terminate()
    await asyncio.gather(working, return_exceptions=True)


async def test_a_build_of_an_index_is_not_told_and_what_it_waits_for_is(
    db: Database, db_url: str
) -> None:
    build = "CREATE INDEX CONCURRENTLY mine ON polymarket_trades (size)"
    async with old_transaction(db_url) as old:
        builder = await connect(db_url)
        building = asyncio.create_task(builder.execute(build))
        waits = "SELECT count(*) > 0 FROM pg_stat_progress_create_index WHERE lockers_total > 0"
        await eventually(db, waits)
        told = await problems(db)
        assert said(told, OPEN)
        assert f"process {old.get_server_pid()} " in told[0]
    await building
    assert await problems(db) == []
    await builder.close()


async def test_many_old_transactions_are_cut_short(db: Database, db_url: str) -> None:
    sessions = [await connect(db_url) for _ in range(5)]
    for session in sessions:
        await session.execute("BEGIN")
    told = await problems(db)
    assert (len(told), told[-1]) == (4, "and 2 more old transactions: pg_stat_activity")
    for session in sessions:
        session.terminate()


async def test_dead_rows_are_told_with_their_cause_until_they_are_gone(db: Database) -> None:
    off = "ALTER TABLE polymarket_trades SET (autovacuum_enabled = off, fillfactor = 70)"
    async with db.connection() as connection:
        await connection.execute(off)
        await connection.execute(FILL)
        await connection.execute("UPDATE polymarket_trades SET size = 1")
        await connection.execute(FLUSH)
    told = await problems(db, HealthLimits())
    assert said(told, DEAD)
    assert told[0] == (
        "table polymarket_trades has 12,000 dead rows beside 12,000 live ones: autovacuum is off "
        "for it; VACUUM ANALYZE polymarket_trades, and ALTER TABLE polymarket_trades RESET "
        "(autovacuum_enabled)"
    )
    assert await problems(db, HealthLimits(dead_rows=12_000)) == []
    assert await problems(db, HealthLimits(dead_share=1)) == []
    await db.execute("VACUUM ANALYZE polymarket_trades")
    await db.execute("ALTER TABLE polymarket_trades RESET (autovacuum_enabled)")
    assert await problems(db, HealthLimits()) == []


@pytest.mark.parametrize(
    ("whose", "message"),
    [("ROLE {user}", READ_ONLY), ("ROLE {user} IN DATABASE {database}", READ_ONLY)],
)
async def test_a_login_that_is_not_to_write_is_noted(db_url: str, whose: str, message: str) -> None:
    async with two_users(db_url) as (admin, owner, _):
        names = {"user": owner, "database": await admin.fetchval("SELECT current_database()")}
        setting = f"ALTER {whose.format(**names)} SET default_transaction_read_only = on"
        await admin.execute(setting)
        async with Database(DatabaseConfig(url=as_user(db_url, owner))) as db:
            report = await db.health()
    assert not any(said([problem], NO_WRITES) for problem in report.problems)
    assert any(said([note], message) for note in report.notes)


async def test_a_connection_held_for_long_is_told_with_its_holder(db: Database) -> None:
    strict = HealthLimits(held=0)
    assert await problems(db, strict) == []
    async with db.connection():
        told = await problems(db, strict)
        assert said(told, HELD)
        assert "test_health.py:" in told[0]
        assert await problems(db, HealthLimits()) == []
    assert await problems(db, strict) == []


async def test_callers_that_wait_are_told(db_url: str) -> None:
    async with Database(DatabaseConfig(url=db_url, min_connections=1, max_connections=1)) as db:
        async with db.connection():
            waiting = asyncio.create_task(db.fetchval("SELECT 1"))
            await until_waiting(db, 1)
            asking = asyncio.create_task(problems(db))
            await until_waiting(db, 2)
        assert await waiting == 1
        assert said(await asking, WAITING)
        assert await problems(db) == []


async def test_a_version_that_is_behind_is_told_where_something_is_missing(db: Database) -> None:
    await db.migrate(to=2)
    report = await db.health()
    assert said(report.problems[:1], BEHIND)
    assert "ops.late_trades" in report.problems[1]
    assert report.problems[0].endswith(": polymarket-storage migrate")
    await db.migrate()
    assert (await db.health()).healthy


async def test_a_version_without_harm_is_only_noted(db: Database) -> None:
    await db.execute("DELETE FROM ops.schema_version WHERE version > 1")
    report = await db.health()
    assert (report.healthy, said(report.notes, RECORDED)) == (True, True)
    await db.migrate()
    await db.execute("INSERT INTO ops.schema_version VALUES (99, 'later', 'x', now(), 0, 'x')")
    report = await db.health()
    assert (report.healthy, said(report.notes, NEWER)) == (True, True)


async def test_a_plain_user_is_told_what_is_hidden_and_what_is_not_allowed(db_url: str) -> None:
    async with two_users(db_url) as (admin, owner, worker), old_transaction(db_url):
        for user in (owner, worker):
            await admin.execute(f"GRANT USAGE ON SCHEMA ops, public TO {user}")
            await admin.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA ops, public TO {user}")
        async with Database(DatabaseConfig(url=as_user(db_url, worker))) as db:
            report = await db.health(limits=STRICT)
            assert (report.problems, said(report.notes, HIDDEN)) == ([], True)
            own = await connect(as_user(db_url, worker))
            await own.execute("BEGIN")
            assert said(await problems(db), OPEN)
            own.terminate()
            await admin.execute(f"REVOKE USAGE ON SCHEMA ops FROM {worker}")
            (told,) = await problems(db, HealthLimits())
            assert said([told], UNSEEN)
            assert "polymarket-storage grant" in told
            await admin.execute(f"GRANT USAGE ON SCHEMA ops TO {worker}")
            await admin.execute(f"GRANT pg_read_all_stats TO {worker}")
        async with Database(DatabaseConfig(url=as_user(db_url, worker))) as db:
            report = await db.health(limits=STRICT)
            assert (said(report.problems, OPEN), report.notes) == (True, [])


@pytest.mark.parametrize("closed", [False, True])
async def test_health_never_raises(db_url: str, *, closed: bool) -> None:
    db = Database(DatabaseConfig(url=db_url))
    if closed:
        await db.initialize()
        await db.close()
    assert "not initialized" in (await problems(db))[0]
