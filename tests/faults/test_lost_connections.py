"""Connections that end between two statements, which the driver then refuses to take."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import asyncpg
import pytest

from polymarket_bot.storage import (
    ConnectionLost,
    Database,
    DatabaseConfig,
    Outcome,
    QueryError,
    ServerUnavailable,
    StatementTimeout,
    TradeRepository,
    TransactionAborted,
)
from polymarket_bot.storage.connections.blocks import Written, transaction_block
from polymarket_bot.storage.connections.executor import ConnectionExecutor
from polymarket_bot.storage.connections.outcomes import look_up
from polymarket_bot.storage.connections.savepoints import savepoint_block
from polymarket_bot.storage.connections.sessions import (
    connect_directly,
    is_passing,
    look_around,
)
from tests.makers import trade

from .proxy import Action, Proxy
from .support import LIMIT, eventually, value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from .servers import Server

FIRST_STATEMENTS = ("tcp_keepalives_idle", r"^SELECT pg_backend_pid\(\)$")
END_LISTENERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"


async def end_connections(proxy: Proxy) -> None:
    """Cut all connections, and wait until the driver has heard of it."""
    proxy.cut_all()
    await eventually(lambda: proxy.open_connections == 0)
    await asyncio.sleep(0.05)


async def test_what_was_not_sent_is_sent_again(
    proxied: Database, server: Server, proxy: Proxy
) -> None:
    await proxied.execute("CREATE TABLE numbers (n int)")
    await end_connections(proxy)
    await proxied.execute("INSERT INTO numbers SELECT count(*) FROM numbers")
    assert await value(server.url(), "SELECT count(*) FROM numbers") == 1


@pytest.mark.parametrize("blocks", [1, 2])
async def test_a_block_whose_connection_ends_before_it_does_is_rolled_back(
    proxied: Database, server: Server, proxy: Proxy, blocks: int
) -> None:
    with pytest.raises(ConnectionLost) as caught:
        async with AsyncExitStack() as stack:
            for _ in range(blocks):
                await stack.enter_async_context(proxied.transaction())
            # It tells the transaction's id, so that nothing is asked before COMMIT.
            assert await TradeRepository(proxied).create_many([trade("a"), trade("b")]) == 2
            await end_connections(proxy)
    assert caught.value.outcome is Outcome.ROLLED_BACK
    assert await value(server.url(), "SELECT count(*) FROM polymarket_trades") == 0
    assert await TradeRepository(proxied).create_many([trade("a"), trade("b")]) == 2


async def test_a_block_that_was_rolled_back_says_so_though_its_connection_ends_behind_commit(
    proxied: Database, proxy: Proxy
) -> None:
    trades = TradeRepository(proxied)
    for _ in range(20):
        cut = proxy.when("^commit", Action.CUT_BEHIND)
        with pytest.raises(TransactionAborted):
            async with proxied.transaction():
                assert await trades.create_many([trade("a"), trade("b")]) == 2
                with pytest.raises(QueryError, match="division by zero"):
                    await proxied.execute("SELECT 1/0")
        assert cut.count == 1
        cut = proxy.when("^commit", Action.CUT_BEHIND)
        assert await trades.create_many([trade("a"), trade("b")]) == 2
        assert cut.count == 1
        await proxied.execute("DELETE FROM polymarket_trades")


@pytest.mark.parametrize("is_reset", [True, False])
async def test_what_is_still_in_progress_is_not_said_to_be_rolled_back(
    server: Server, *, is_reset: bool
) -> None:
    async with Database(DatabaseConfig(url=server.url())) as db:
        await db.execute("CREATE TABLE numbers (n int)")
        for number in range(20):  # commits at any instant of those who ask
            async with db.connection() as writer:
                block = writer.transaction()
                await block.start()
                await writer.execute("INSERT INTO numbers VALUES ($1)", number)
                xid = await writer.fetchval("SELECT pg_current_xact_id()::text")
                written = Written(xid, getattr(writer, "timeline", None), None)
                if is_reset:  # as a recovery does
                    await db.execute("SELECT pg_stat_reset_shared('bgwriter')")
                enough = db.stats().queries + 100
                asking = [asyncio.create_task(look_up(db, written)) for _ in range(50)]
                while db.stats().queries < enough:  # noqa: ASYNC110 - a figure
                    await asyncio.sleep(0.01)
                assert not any(task.done() for task in asking)
                await block.commit()
            # After a recovery another one could have had its id.
            told = Outcome.UNKNOWN if is_reset else Outcome.COMMITTED
            assert set(await asyncio.gather(*asking)) == {told}
        assert await db.fetchval("SELECT count(*) FROM numbers") == 20


async def test_a_connection_that_ends_on_its_way_to_a_block_is_lost(server: Server) -> None:
    async with asyncpg.create_pool(server.url(), min_size=1) as pool:
        for begin in (
            transaction_block,
            partial(transaction_block, first="SELECT 1"),
            savepoint_block,
            lambda taken: ConnectionExecutor(taken).transaction(),
        ):
            taken = await pool.acquire()
            taken.terminate()
            with pytest.raises(ConnectionLost) as caught:
                async with begin(taken):
                    pass
            assert caught.value.outcome in {Outcome.ROLLED_BACK, Outcome.NOT_SENT}
            with pytest.raises(ConnectionLost, match="not sent"):
                await ConnectionExecutor(taken).execute("SELECT 1")


async def test_a_statement_with_a_limit_of_its_own_does_not_show_a_lost_connection(
    proxied: Database, proxy: Proxy
) -> None:
    for action in (Action.CUT_BEFORE, Action.CUT_AFTER):
        cut = proxy.when("^set statement_timeout", action)
        assert await proxied.fetchval("SELECT 1", timeout=60) == 1
        assert cut.count == 1
        cut = proxy.when("^set local statement_timeout", action)
        with pytest.raises(ConnectionLost) as caught:
            async with proxied.transaction():
                await proxied.fetchval("SELECT 1", timeout=60)
        assert (cut.count, caught.value.outcome) == (1, Outcome.ROLLED_BACK)


@asynccontextmanager
async def listening(db: Database) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Listen to a channel; give what waits for the news that some may have been missed."""
    async with asyncio.timeout(LIMIT), aclosing(db.listen("news")) as heard:  # type: ignore[type-var]  # it is a generator
        first = asyncio.ensure_future(anext(heard))
        while not first.done():
            await db.execute("NOTIFY news")
            await asyncio.sleep(0.01)

        async def until_missed() -> None:
            while not (await anext(heard)).missed:
                pass

        yield until_missed


@pytest.mark.parametrize("action", [Action.CUT_BEFORE, Action.CUT_AFTER])
async def test_listening_goes_on_where_its_next_connection_is_cut_at_once(
    proxied: Database, server: Server, proxy: Proxy, action: Action
) -> None:
    async with listening(proxied) as until_missed:
        cuts = [proxy.when(statement, action) for statement in (*FIRST_STATEMENTS, "^LISTEN")]
        await server.fetchval(END_LISTENERS)
        await until_missed()
        assert [cut.count for cut in cuts] == [1, 1, 1]


@pytest.mark.parametrize("action", [Action.CUT_BEFORE, Action.CUT_AFTER])
@pytest.mark.parametrize("statement", FIRST_STATEMENTS)
async def test_a_hold_whose_connection_is_cut_at_once_says_that_none_could_be_opened(
    proxied: Database, proxy: Proxy, statement: str, action: Action
) -> None:
    proxy.when(statement, action)
    with pytest.raises(ServerUnavailable):
        await proxied.singleton("name").__aenter__()
    async with proxied.singleton("name"):
        pass


async def test_a_connection_that_ends_before_its_first_statement_may_be_opened_again(
    server: Server,
) -> None:
    config = DatabaseConfig(url=server.url())
    connection = await connect_directly(config)
    connection.terminate()
    with pytest.raises(ConnectionResetError) as caught:
        await look_around(connection, config)
    assert is_passing(caught.value)


@pytest.mark.parametrize("action", [Action.HOLD, Action.HOLD_REPLY])
@pytest.mark.parametrize("limit", [0.2, 60])
async def test_a_batch_that_is_given_up_at_begin_takes_nothing_later_with_it(
    proxied: Database, server: Server, proxy: Proxy, action: Action, limit: float
) -> None:
    async with proxied.connection() as connection:
        trades = TradeRepository(connection)
        begin = proxy.when("^begin", action)
        with pytest.raises((TimeoutError, StatementTimeout)):
            async with asyncio.timeout(limit):  # or the connection's own limit comes first
                await trades.create_many([trade("a"), trade("b")])
        begin.release()
        with pytest.raises(ConnectionLost) as caught:
            await trades.create_many([trade("c"), trade("d")])
        assert caught.value.outcome is Outcome.NOT_SENT
    assert await value(server.url(), "SELECT count(*) FROM polymarket_trades") == 0
    assert await TradeRepository(proxied).create_many([trade("a"), trade("b")]) == 2


async def test_listening_goes_on_where_its_next_connection_stalls(
    proxied: Database, server: Server, proxy: Proxy
) -> None:
    async with listening(proxied) as until_missed:
        stall = proxy.when("^LISTEN", Action.HOLD)
        await server.fetchval(END_LISTENERS)
        await until_missed()
        assert stall.count == 1


async def test_a_commit_that_is_cancelled_tells_that_its_block_was_rolled_back(
    proxied: Database, proxy: Proxy
) -> None:
    async def block() -> None:
        async with proxied.transaction():
            # It tells the transaction's id, so that nothing is asked before COMMIT.
            await TradeRepository(proxied).create_many([trade("a"), trade("b")])
            with pytest.raises(QueryError):
                await proxied.fetchval("SELECT 1 / 0")

    commit = proxy.when("^commit", Action.HOLD)
    task = asyncio.create_task(block())
    await commit.requested.wait()
    task.cancel()
    await asyncio.sleep(0)
    commit.release()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    (note,) = caught.value.__notes__
    assert note == f"COMMIT was in flight: {TransactionAborted()}"
    assert await TradeRepository(proxied).count() == 0


async def test_a_savepoint_that_a_cancellation_left_behind_undoes_nothing_else(
    proxied: Database, proxy: Proxy
) -> None:
    await proxied.execute("CREATE TABLE numbers (n int)")

    async def inner(number: int) -> None:
        async with proxied.transaction():
            await proxied.execute("INSERT INTO numbers VALUES ($1)", number)

    async def cancelled_at(pattern: str, number: int) -> None:
        done = proxy.when(pattern, Action.HOLD_REPLY)
        task = asyncio.create_task(inner(number))
        await done.answered.wait()
        task.cancel()
        done.release()
        with pytest.raises(asyncio.CancelledError):
            await task

    with pytest.raises(TransactionAborted):
        async with proxied.transaction():
            await cancelled_at("^savepoint", 1)
            await proxied.execute("INSERT INTO numbers VALUES (2)")
            await cancelled_at("^release", 3)  # which the server cannot undo any more
    assert await proxied.fetchval("SELECT count(*) FROM numbers") == 0
