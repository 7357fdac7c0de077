"""A large batch in the midst of which the network stalls or is cut: no driver waits for ever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from polymarket_bot.storage import Database, StatementTimeout, TradeRepository
from tests.makers import trade

from .proxy import Direction, Proxy
from .support import LIMIT, connected, hold_to_whole, value

if TYPE_CHECKING:
    from .servers import Server

ROWS = 4000
TEXT = "x" * 4000  # 16 MB in all, which no socket takes at once
COPYING = """
SELECT count(*) > 0 FROM pg_stat_activity WHERE query ILIKE 'COPY%' AND state = 'active'
"""
STORED = "SELECT count(*) FROM polymarket_trades"


async def begin_to_store(db: Database, server: Server) -> asyncio.Task[int]:
    """Begin to store rows; return the task when they are on their way."""
    rows = [trade(f"t{number}", raw_json=TEXT) for number in range(ROWS)]
    task = asyncio.create_task(TradeRepository(db).create_many(rows))
    async with connected(server.url()) as watcher:
        while not await watcher.fetchval(COPYING):
            assert not task.done()
    return task


async def test_rows_that_the_network_takes_no_more_of_end_at_the_limit(
    proxied: Database, server: Server, proxy: Proxy
) -> None:
    task = await begin_to_store(proxied, server)
    proxy.stall(Direction.TO_SERVER)
    with pytest.raises(StatementTimeout):
        await asyncio.wait_for(task, LIMIT)
    proxy.release()
    await hold_to_whole(proxied)
    assert await value(server.url(), STORED) == 0


async def test_rows_whose_connection_is_cut_are_stored_by_another(
    proxied: Database, server: Server, proxy: Proxy
) -> None:
    task = await begin_to_store(proxied, server)
    proxy.cut_all()
    assert await asyncio.wait_for(task, LIMIT) == ROWS
    await hold_to_whole(proxied)
    assert await value(server.url(), STORED) == ROWS
