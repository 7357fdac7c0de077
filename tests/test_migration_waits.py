"""A migration among transactions that go on: it waits for them, and can be called off."""

from __future__ import annotations

import asyncio

import pytest

from polymarket_bot.storage import Database, DatabaseConfig, seed_files
from tests.commands import eventually
from tests.schemas import spoil

WAITING = """
SELECT count(*) > 0 FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE 'DROP INDEX CONCURRENTLY%'
  AND cardinality(pg_blocking_pids(pid)) > 0 AND clock_timestamp() - query_start > interval '0.5 s'
"""
BUILDING = """
SELECT count(*) > 0 FROM pg_stat_progress_create_index WHERE datname = current_database()
"""


async def test_an_invalid_index_is_dropped_when_older_writers_are_done_however_long_they_take(
    db: Database, db_url: str
) -> None:
    await spoil(db, "idx_trades_timestamp")
    config = DatabaseConfig(url=db_url, direct_url=db_url, lock_timeout=0.1)
    async with Database(config) as impatient, db.connection() as other:
        await other.execute("BEGIN; INSERT INTO polymarket_trades VALUES ('c', 't')")
        running = asyncio.create_task(impatient.migrate())
        await eventually(db, WAITING)
        await other.execute("COMMIT")
        assert [step.action for step in (await running).steps] == ["repaired"]
    assert list(await db.check_schema()) == []


async def test_a_migration_that_is_cancelled_is_cancelled_on_the_server(db: Database) -> None:
    await db.migrate(1)
    async with db.connection() as other:
        await other.execute("BEGIN; INSERT INTO trade_watermarks VALUES ('c', 1, 'then')")
        await other.execute("INSERT INTO polymarket_trades VALUES ('c', 't')")
        running = asyncio.create_task(db.migrate())
        await eventually(db, BUILDING)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await eventually(db, f"SELECT NOT ({BUILDING})")
        await other.execute("ROLLBACK")
    assert (await db.migrate(timeout=0)).after == len(seed_files())
    assert list(await db.check_schema()) == []
