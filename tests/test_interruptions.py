"""Cancellations at bad moments: what was stored is told, and nothing is left behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from polymarket_bot.storage import Database, DatabaseConfig, NotInitialized, WrongLoop
from tests.commands import eventually
from tests.faults.proxy import Action, Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SLOW_COMMIT = """
CREATE TABLE slow (n int);
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON slow
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()
"""
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
NONE = "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name"


@pytest.fixture
async def small(db: Database) -> AsyncIterator[Database]:
    """Give a database with one connection, on which COMMIT waits for the advisory lock 1."""
    await db.execute(SLOW_COMMIT)
    config = db.config.model_copy(update={"min_connections": 1, "max_connections": 1})
    async with Database(config) as database:
        yield database


async def write(db: Database) -> None:
    async with db.transaction():
        await db.execute("INSERT INTO slow VALUES (1)")


async def in_commit(db: Database, small: Database) -> asyncio.Task[None]:
    """Begin to write; return the task when its COMMIT waits for the advisory lock."""
    task = asyncio.create_task(write(small))
    await eventually(db, f"{WAITING} AND datname = current_database()")
    return task


async def test_a_commit_that_is_cancelled_again_and_again_is_waited_for(
    db: Database, small: Database
) -> None:
    async with db.connection() as other:
        await other.execute("SELECT pg_advisory_lock(1)")
        task = await in_commit(db, small)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0.01)
        assert not task.done()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert "COMMIT was in flight: it was committed" in caught.value.__notes__
    assert await small.fetchval("SELECT count(*) FROM slow") == 1
    assert (small.stats().pool_size, small.stats().holders) == (1, ())
    running = asyncio.create_task(small.fetchval("SELECT pg_sleep(0.2)"))
    await asyncio.sleep(0.05)
    assert await small.fetchval("SELECT 1") == 1  # it waits for the one that there is
    await running
    assert small.stats().connections_errors == 0


async def test_a_commit_that_is_cancelled_itself_is_not_said_to_be_stored(
    db: Database, small: Database
) -> None:
    async with db.connection() as other:
        await other.execute("SELECT pg_advisory_lock(1)")
        task, mine = await in_commit(db, small), asyncio.current_task()
        for running in asyncio.all_tasks() - {mine}:
            running.cancel()  # as `asyncio.run` does at its end
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
    assert "COMMIT was in flight: it was cancelled, outcome unknown" in caught.value.__notes__


async def test_a_close_that_is_cancelled_leaves_no_session_behind(
    db: Database, db_url: str
) -> None:
    config = DatabaseConfig(url=db_url, min_connections=3, application_name="the closing one")
    closing = Database(config)
    await closing.initialize()
    async with closing.connection():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await closing.close(60)
        await closing.close()
    await eventually(db, f"{NONE} = 'the closing one'")


async def test_a_close_ends_a_connection_that_is_being_opened(db: Database, db_url: str) -> None:
    async with Proxy.in_front_of(db_url) as proxy:
        url = proxy.url_through(db_url)
        opening = Database(DatabaseConfig(url=url, min_connections=1, application_name="opening"))
        await opening.initialize()
        held = proxy.when("pg_backend_pid", Action.HOLD)
        async with opening.connection():
            late = asyncio.create_task(opening.fetchval("SELECT 1"))
            await held.requested.wait()
        closing = asyncio.create_task(opening.close(60))
        await asyncio.sleep(0.05)
        held.release()
        await closing
        with pytest.raises(NotInitialized):
            await late
        await eventually(db, f"{NONE} = 'opening'")


def test_a_close_in_another_loop_says_where_it_belongs(db_url: str) -> None:
    database = Database(DatabaseConfig(url=db_url, min_connections=1))
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as first:
        first.run(database.initialize())
        with (
            asyncio.Runner(loop_factory=asyncio.new_event_loop) as second,
            pytest.raises(WrongLoop, match="another event loop"),
        ):
            second.run(database.close())
        assert first.run(database.fetchval("SELECT 1")) == 1
        first.run(database.close())
