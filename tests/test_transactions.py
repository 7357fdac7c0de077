"""What transaction blocks promise: who is part of one, and what is stored when it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from polymarket_bot.storage import (
    ConnectionLost,
    Database,
    DatabaseConfig,
    InvalidInput,
    Outcome,
    StorageError,
    TradeRepository,
    TradeWatermarkRepository,
    TransactionAborted,
    TransactionError,
)
from tests.makers import trade


async def mark(db: Database, key: str = "c") -> int:
    return await TradeWatermarkRepository(db).get_timestamp(key)


async def test_a_block_commits_when_its_body_ends(db: Database) -> None:
    async with db.transaction() as connection:
        await connection.execute("INSERT INTO trade_watermarks VALUES ('c', 7, '')")
    assert await mark(db) == 7


@pytest.mark.parametrize("error", [KeyError, asyncio.CancelledError])
async def test_a_block_rolls_back_when_its_body_raises(
    db: Database, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        async with db.transaction():
            await TradeWatermarkRepository(db).update("c", 7)
            raise error
    assert await mark(db) == 0


async def test_an_error_of_the_body_arrives_as_it_was_raised(db: Database) -> None:
    with pytest.raises(OSError, match="of the caller") as caught:
        async with db.transaction():
            raise OSError("of the caller")
    assert not isinstance(caught.value, StorageError)


async def test_repositories_called_inside_a_block_take_part_in_it(db: Database) -> None:
    with pytest.raises(KeyError):
        async with db.transaction():
            await TradeRepository(db).create(trade())
            assert await TradeRepository(db).count() == 1
            raise KeyError
    assert await TradeRepository(db).count() == 0


async def test_tasks_started_inside_a_block_take_part_in_it(db: Database) -> None:
    marks = TradeWatermarkRepository(db)
    with pytest.raises(KeyError):
        async with db.transaction():
            await asyncio.gather(*(marks.update(str(key), 5) for key in range(20)))
            assert await marks.count() == 20
            raise KeyError
    assert await marks.count() == 0


async def test_other_tasks_do_not_see_an_open_block(db: Database) -> None:
    opened, looked = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        async with db.transaction():
            await TradeWatermarkRepository(db).update("c", 5)
            opened.set()
            await looked.wait()

    writer = asyncio.create_task(write())
    await opened.wait()
    assert await mark(db) == 0
    looked.set()
    await writer
    assert await mark(db) == 5


async def test_an_inner_block_that_raises_undoes_only_itself(db: Database) -> None:
    marks = TradeWatermarkRepository(db)
    async with db.transaction():
        await marks.update("outer", 5)
        with pytest.raises(KeyError):
            async with db.transaction():
                await marks.update("inner", 5)
                raise KeyError
    assert (await mark(db, "outer"), await mark(db, "inner")) == (5, 0)


async def test_blocks_three_deep_each_undo_only_themselves(db: Database) -> None:
    marks = TradeWatermarkRepository(db)

    async def block(key: str, *, fails: bool) -> None:
        async with db.transaction():
            await marks.update(key, 5)
            if fails:
                raise KeyError

    with pytest.raises(KeyError):
        async with db.transaction():
            await marks.update("a", 5)
            with pytest.raises(RuntimeError):
                async with db.transaction():
                    await marks.update("b", 5)
                    with pytest.raises(KeyError):
                        await block("c", fails=True)
                    await block("d", fails=False)
                    raise RuntimeError
            assert {row.condition_id for row in await marks.get_all()} == {"a"}
            with pytest.raises(KeyError):
                await block("e", fails=True)
            await marks.update("f", 5)
            raise KeyError
    assert await marks.get_all() == []


async def test_waiting_for_an_outer_task_inside_an_inner_block_ends_with_words(
    db_url: str,
) -> None:
    async with Database(DatabaseConfig(url=db_url, command_timeout=0.3)) as db:
        with pytest.raises(TransactionError, match="await no task that was started outside"):
            async with db.transaction():
                task = asyncio.create_task(db.fetchval("SELECT 1"))
                async with db.transaction():
                    await task


async def test_a_cancelled_block_stays_cancelled_whatever_its_tasks_do(db: Database) -> None:
    async def block() -> None:
        async with db.transaction():
            await TradeWatermarkRepository(db).update("c", 5)
            sibling = asyncio.create_task(db.fetchval("SELECT pg_sleep(5)"))
            try:
                await asyncio.sleep(60)
            finally:
                sibling.add_done_callback(lambda done: done.cancelled() or done.exception())

    task = asyncio.create_task(block())
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await mark(db) == 0


async def test_an_unknown_isolation_is_refused_by_name(db: Database) -> None:
    wrong: Any = "READ COMMITTED"
    with pytest.raises(InvalidInput, match="isolation: expected one of"):
        async with db.transaction(isolation=wrong):
            pass


async def test_inner_blocks_of_sibling_tasks_do_not_undo_each_other(db: Database) -> None:
    marks = TradeWatermarkRepository(db)

    async def child(number: int) -> None:
        async with db.transaction():
            await marks.update(str(number), 5)
            await asyncio.sleep(0)
            if number % 2:
                raise KeyError

    async with db.transaction():
        await asyncio.gather(*(child(number) for number in range(10)), return_exceptions=True)
    stored = {row.condition_id for row in await marks.get_all()}
    assert stored == {"0", "2", "4", "6", "8"}


async def test_a_task_that_outlives_its_block_gets_an_error_and_writes_nothing(
    db: Database,
) -> None:
    ended = asyncio.Event()

    async def late() -> None:
        await ended.wait()
        await TradeWatermarkRepository(db).update("c", 5)

    async with db.transaction():
        task = asyncio.create_task(late())
    ended.set()
    with pytest.raises(TransactionError, match="has ended"):
        await task
    assert await mark(db) == 0


async def test_a_commit_that_was_a_rollback_is_an_error(db: Database) -> None:
    with pytest.raises(TransactionAborted, match="nothing of this transaction was stored"):
        async with db.transaction():
            await TradeWatermarkRepository(db).update("c", 5)
            with pytest.raises(StorageError):
                await db.execute("SELECT no_such_function()")
    assert await mark(db) == 0
    assert await db.fetchval("SELECT 1") == 1


async def test_an_inner_block_that_was_aborted_is_an_error_and_the_outer_goes_on(
    db: Database,
) -> None:
    marks = TradeWatermarkRepository(db)
    async with db.transaction():
        await marks.update("outer", 5)
        with pytest.raises(TransactionAborted):
            async with db.transaction():
                await marks.update("inner", 5)
                with pytest.raises(StorageError):
                    await db.execute("SELECT no_such_function()")
    assert (await mark(db, "outer"), await mark(db, "inner")) == (5, 0)


async def test_isolation_is_that_of_the_outermost_block(db: Database) -> None:
    async with db.transaction(isolation="serializable", readonly=True):
        assert await db.fetchval("SHOW transaction_isolation") == "serializable"
        assert await db.fetchval("SHOW transaction_read_only") == "on"
        with pytest.raises(TransactionError, match="outermost"):
            async with db.transaction(isolation="repeatable_read"):
                pass


async def test_a_connection_inside_a_block_is_another_one(db: Database) -> None:
    async with db.transaction() as inside, db.connection() as other:
        pids = [await c.fetchval("SELECT pg_backend_pid()") for c in (inside, other)]
    assert pids[0] != pids[1]


async def test_a_repository_bound_to_a_connection_takes_part_in_its_transaction(
    db: Database,
) -> None:
    async with db.connection() as connection:
        transaction = connection.transaction()
        await transaction.start()
        assert await TradeRepository(connection).create_many([trade("a"), trade("b")]) == 2
        await transaction.rollback()
        assert await TradeRepository(connection).count() == 0


async def test_a_block_of_one_database_leaves_another_alone(db: Database, empty_url: str) -> None:
    async with Database(DatabaseConfig(url=empty_url)) as other:
        async with db.transaction():
            await other.execute("CREATE TABLE kept (n int)")
        assert await other.fetchval("SELECT count(*) FROM kept") == 0


@pytest.mark.parametrize("outcome", [Outcome.COMMITTED, Outcome.UNKNOWN])
async def test_what_another_block_has_stored_is_not_taken_for_the_blocks_own(
    db: Database, outcome: Outcome
) -> None:
    calls = 0

    async def fail() -> None:  # as a block of another database does
        nonlocal calls
        calls += 1
        raise ConnectionLost(OSError("cut"), outcome)

    with pytest.raises(ConnectionLost, match=outcome.value):
        await db.run_in_transaction(fail)
    assert calls == 1
