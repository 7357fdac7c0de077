"""A server whose synchronous standby is away: what it has not got is not told as committed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from polymarket_bot.storage import ConnectionLost, Database, DatabaseConfig, Outcome

from .support import eventually
from .tokens import INSERT, TABLE

if TYPE_CHECKING:
    from .proxy import Proxy
    from .servers import Server

WAITS = "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture
async def alone(server: Server) -> Server:
    """Give a server that waits for a standby at each COMMIT, and has none."""
    await server.fetchval(TABLE)
    await wait_for(server, "away")
    return server


async def wait_for(server: Server, standby: str) -> None:
    await server.fetchval(f"ALTER SYSTEM SET synchronous_standby_names = '{standby}'")
    assert await server.fetchval("SELECT pg_reload_conf()")
    shown = "SELECT current_setting('synchronous_standby_names')"
    await eventually(lambda: is_told(server, shown, standby))


async def is_told(server: Server, query: str, answer: str) -> bool:
    return bool(await server.fetchval(query) == answer)


async def write(db: Database, name: str = "first") -> None:
    async with db.transaction():
        await db.execute(INSERT, name)


async def test_a_commit_that_is_given_up_at_the_limit_is_unknown(alone: Server) -> None:
    config = DatabaseConfig(url=alone.url(), command_timeout=0.5)
    async with Database(config) as db:
        with pytest.raises(ConnectionLost) as caught:
            await write(db)
        assert caught.value.outcome is Outcome.UNKNOWN
        await wait_for(alone, "")
        await write(db, "second")


async def test_a_commit_whose_connection_is_lost_goes_on_waiting_for_the_standby(
    alone: Server, proxy: Proxy
) -> None:
    async with Database(DatabaseConfig(url=proxy.url_through(alone.url()))) as db:
        statements: list[str] = []
        db.on_query(lambda event: statements.append(event.name))
        task = asyncio.create_task(write(db))
        await eventually(lambda: alone.fetchval(WAITS))
        proxy.cut_all()
        await eventually(lambda: any("pg_terminate_backend" in name for name in statements))
        assert await alone.fetchval(WAITS)
        assert not task.done()
        await wait_for(alone, "")
        with pytest.raises(ConnectionLost) as caught:
            await task
        assert caught.value.outcome is Outcome.COMMITTED
