"""A pool belongs to its loop and process, and closes when its users are done."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import sys
from pathlib import Path

import pytest

from polymarket_bot.storage import Database, DatabaseConfig, NotInitialized, WrongLoop
from tests.faults.support import eventually
from tests.programs import in_thread


def use_in_another_loop(db: Database) -> str:
    async def ask() -> str:
        with pytest.raises(WrongLoop, match="another event loop") as caught:
            await db.fetchval("SELECT 1")
        return str(caught.value)

    return asyncio.run(ask())


async def test_another_event_loop_is_refused_with_words(db: Database) -> None:
    text = await asyncio.to_thread(use_in_another_loop, db)
    assert "open one in each event loop" in text


def _in_child(db: Database, sender: multiprocessing.connection.Connection) -> None:
    async def ask() -> str:
        try:
            await db.fetchval("SELECT 1")
        except WrongLoop as error:
            return str(error)
        return "no error"

    sender.send(asyncio.run(ask()))


async def test_a_forked_process_is_refused_with_words(db: Database) -> None:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_in_child, args=(db, sender))
    child.start()
    text = await asyncio.to_thread(receiver.recv)
    child.join()
    assert "after a fork" in text
    assert await db.fetchval("SELECT 1") == 1


LEFT_OPEN = r"""
import asyncio, gc
from polymarket_bot.storage import Database, DatabaseConfig

async def leave_open(db):
    await asyncio.gather(db.initialize(), db.initialize())
    print(db.is_open)

async def go_on(db):
    print(db.is_open)
    await db.close()
    await asyncio.gather(db.initialize(), db.initialize())
    print(await db.fetchval("SELECT 5"))

async def close(db):
    await db.close()
    gc.collect()
    async with Database(db.config.model_copy(update={"application_name": "other"})) as other:
        async with asyncio.timeout(60):
            while await other.fetchval(LEFT):
                await asyncio.sleep(0.01)

LEFT = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND" \
    " application_name = 'left open'"
db = Database(DatabaseConfig(application_name="left open"))
asyncio.run(leave_open(db))
asyncio.run(go_on(db))
asyncio.run(go_on(db))
asyncio.run(close(db))
"""


async def test_one_that_its_event_loop_left_open_counts_as_closed(
    db_url: str, tmp_path: Path
) -> None:
    python = [sys.executable, "-c", LEFT_OPEN]
    done = await in_thread(python, tmp_path, DATABASE_URL=db_url)
    assert (done.returncode, done.stdout) == (0, "True\n" + "False\n5\n" * 2), done.stderr


async def test_close_waits_for_connections_in_use(db_url: str) -> None:
    db = Database(DatabaseConfig(url=db_url))
    await db.initialize()
    running = asyncio.create_task(db.fetchval("SELECT 5 FROM pg_sleep(0.2)"))
    await eventually(lambda: bool(db.stats().holders))
    await db.close()
    assert await running == 5


async def test_close_ends_what_is_left_after_its_limit_and_names_the_holder(
    db_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    db = Database(DatabaseConfig(url=db_url))
    await db.initialize()

    async def hold() -> None:
        async with db.connection() as connection:
            await connection.fetchval("SELECT pg_sleep(60)")

    holder = asyncio.create_task(hold(), name="the holder")
    await eventually(lambda: bool(db.stats().holders))
    with caplog.at_level(logging.WARNING):
        await db.close(timeout=0.1)
    assert "the holder" in caplog.text
    with pytest.raises(Exception, match="closed"):
        await holder


async def test_callers_in_line_learn_that_the_pool_was_closed(db_url: str) -> None:
    db = Database(DatabaseConfig(url=db_url, min_connections=1, max_connections=1))
    await db.initialize()
    async with db.connection():
        waiting = asyncio.create_task(db.fetchval("SELECT 1"))
        await eventually(lambda: db.stats().requests_waiting == 1)
        closing = asyncio.create_task(db.close())
        with pytest.raises(NotInitialized):
            await waiting
    await closing
