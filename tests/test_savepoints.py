"""Blocks inside a transaction block that are cancelled: what is undone stays undone."""

from __future__ import annotations

import asyncio

import pytest

from polymarket_bot.storage import ConnectionLost, Database, Outcome, StorageError

ROUNDS = 60


@pytest.fixture
async def db(db: Database) -> Database:
    await db.execute("CREATE TABLE numbers (n int, block text)")
    return db


async def write(db: Database, number: int, block: str) -> None:
    await db.execute("INSERT INTO numbers VALUES ($1, $2)", number, block)


async def stored(db: Database, number: int) -> list[str]:
    query = "SELECT block FROM numbers WHERE n = $1 ORDER BY block"
    return [record["block"] for record in await db.fetch(query, number)]


async def turns(number: int) -> None:
    """Let the loop go round some times: the instant of a cancellation."""
    for _ in range(number):
        await asyncio.sleep(0)


async def was_cancelled(task: asyncio.Task[None]) -> bool:
    task.cancel()
    return isinstance((await asyncio.gather(task, return_exceptions=True))[0], BaseException)


async def test_what_a_block_undoes_is_undone_though_one_inside_it_is_cancelled(
    db: Database,
) -> None:
    async def inner(number: int) -> None:
        async with db.transaction():
            await write(db, number, "inner")

    cancelled = 0
    for number in range(ROUNDS):
        async with db.transaction():
            await write(db, number, "outermost")
            with pytest.raises(KeyError):
                async with db.transaction():
                    await write(db, number, "outer")
                    task = asyncio.create_task(inner(number))
                    await turns(number // 2)
                    cancelled += await was_cancelled(task)
                    raise KeyError
        assert await stored(db, number) == ["outermost"], number
    assert cancelled


async def test_a_block_that_ends_with_a_cancellation_has_stored_nothing(db: Database) -> None:
    async def inner(number: int, reached: asyncio.Event) -> None:
        async with db.transaction():
            await write(db, number, "inner")
            reached.set()

    cancelled = 0
    for number in range(ROUNDS):
        told = False
        try:
            async with db.transaction():
                reached = asyncio.Event()
                task = asyncio.create_task(inner(number, reached))
                await reached.wait()
                await turns(number // 4)
                told = await was_cancelled(task)
        except StorageError:
            assert told, "a block that was not cancelled is not given up"
        cancelled += told
        assert await stored(db, number) == ([] if told else ["inner"]), number
    assert cancelled


async def test_where_a_block_cannot_be_undone_its_whole_transaction_is(db: Database) -> None:
    with pytest.raises(ConnectionLost) as caught:
        async with db.transaction():
            await write(db, 1, "outermost")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2), db.transaction():
                    await write(db, 1, "inner")
                    sibling = asyncio.create_task(db.fetchval("SELECT pg_sleep(60)"))
                    await asyncio.sleep(0)
    assert caught.value.outcome is Outcome.ROLLED_BACK
    await asyncio.gather(sibling, return_exceptions=True)
    assert await stored(db, 1) == []
