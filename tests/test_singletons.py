"""One holder of a name in the whole database, and notifications that survive a lost connection."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from polymarket_bot.storage import (
    AlreadyHeld,
    Database,
    HoldLost,
)

ASKED_IN_VAIN = """
SELECT query_start FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE 'SELECT pg_try_advisory_lock(%'
  AND state = 'idle' AND pid NOT IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')
"""


async def test_a_singleton_has_one_holder(db: Database) -> None:
    async with db.singleton("job"):
        with pytest.raises(AlreadyHeld, match=r"held by process \d+ of polymarket-bot-storage"):
            async with db.singleton("job"):
                pass
        async with db.singleton("another"):
            pass
    async with db.singleton("job"):
        pass


async def test_a_singleton_waits_for_its_holder_as_long_as_it_is_told(db: Database) -> None:
    order: list[str] = []

    async def second() -> None:
        async with db.singleton("job", timeout=60):
            order.append("second")

    async with db.singleton("job"):
        waiting = asyncio.create_task(second())
        asked: set[datetime] = set()
        async with asyncio.timeout(60):
            while len(asked) < 2:
                asked.update(row["query_start"] for row in await db.fetch(ASKED_IN_VAIN))
                await asyncio.sleep(0.01)
        order.append("first")
    await waiting
    assert order == ["first", "second"]


async def test_a_holder_whose_connection_breaks_learns_of_it(db: Database) -> None:
    with pytest.raises(HoldLost, match="job"):
        async with db.singleton("job"):
            await db.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid IN"
                " (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"
                " AND datname = current_database()"
            )
            await asyncio.sleep(60)
    async with db.singleton("job"):
        pass


async def test_listen_hears_and_survives_a_killed_backend_and_says_so(db: Database) -> None:
    heard: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()

    async def ear() -> None:
        async for notification in db.listen("news"):
            await heard.put((notification.payload, notification.missed))

    async def listeners(number: int) -> None:
        query = (
            "SELECT count(*) = $1 FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
            " AND datname = current_database()"
        )
        async with asyncio.timeout(20):
            while not await db.fetchval(query, number):  # noqa: ASYNC110 - seen only by looking
                await asyncio.sleep(0.02)

    task = asyncio.create_task(ear())
    await listeners(1)
    await db.execute("SELECT pg_notify('news', 'one')")
    assert await heard.get() == ("one", False)
    await db.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
        " AND datname = current_database()"
    )
    assert await heard.get() == ("", True)
    await db.execute("SELECT pg_notify('news', 'two')")
    assert await heard.get() == ("two", False)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await listeners(0)
