"""At most one holder of a name in the whole database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from polymarket_bot.storage.config import DatabaseConfig
from polymarket_bot.storage.connections.blocks import Connection, terminate
from polymarket_bot.storage.connections.driver import DRIVER_ERRORS, driver_errors
from polymarket_bot.storage.connections.sessions import connect_directly
from polymarket_bot.storage.errors import AlreadyHeld, HoldLost

_POLL = 0.1
_BEAT = 1.0
_BEAT_LIMIT = 5.0
_KEY = "hashtextextended('polymarket_bot.storage:' || $1, 0)"
_HOLDER = f"""
SELECT format('process %s of %s at %s', pid, application_name,
              COALESCE(host(client_addr), 'this machine'))
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND pg_locks.database =
      (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (classid::bigint << 32 | objid::bigint) = {_KEY} LIMIT 1
"""


@asynccontextmanager
async def hold(config: DatabaseConfig, name: str, timeout: float) -> AsyncIterator[None]:
    """Hold `name` on a connection of its own while the block lasts; see `Database.singleton`."""
    connection = await connect_directly(config)
    try:
        await lock(connection, name, timeout)
        async with _guarded(connection, name):
            yield
    finally:
        terminate(connection)  # and the server lets go of the lock


async def lock(connection: Connection, name: str, timeout: float) -> None:
    """Take the lock of `name` for the session, asking again for at most `timeout` seconds.

    Asking holds no snapshot in between, for which a CREATE INDEX CONCURRENTLY would wait.

    Raises:
        AlreadyHeld: another session has it.
    """
    deadline = time.monotonic() + timeout
    with driver_errors():
        while not await connection.fetchval(f"SELECT pg_try_advisory_lock({_KEY})", name):
            if time.monotonic() >= deadline:
                holder = await connection.fetchval(_HOLDER, name) or "somebody who has just left"
                raise AlreadyHeld(
                    f"{name!r} is held by {holder}",
                    remedy="wait longer (timeout=), or end the other one",
                )
            await asyncio.sleep(min(_POLL, max(0, deadline - time.monotonic())))


@asynccontextmanager
async def _guarded(
    connection: asyncpg.Connection[asyncpg.Record], name: str
) -> AsyncIterator[None]:
    """Cancel the block's task when the connection breaks: the lock is gone with it."""
    task = asyncio.current_task()
    lost = False

    async def watch() -> None:
        nonlocal lost
        try:
            while True:
                await asyncio.sleep(_BEAT)
                await connection.fetchval("SELECT 1", timeout=_BEAT_LIMIT)
        except DRIVER_ERRORS:
            lost = True
            if task is not None:
                task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if lost and task is not None and task.uncancel() == 0:
            raise HoldLost(f"the connection that held singleton {name!r} broke") from None
        raise
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
