"""A session of its own for what makes or changes a database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from polymarket_bot.storage.config import DatabaseConfig
from polymarket_bot.storage.connections.blocks import terminate
from polymarket_bot.storage.connections.driver import DRIVER_ERRORS
from polymarket_bot.storage.connections.executor import ConnectionExecutor, Executor
from polymarket_bot.storage.connections.sessions import Session, connect_directly
from polymarket_bot.storage.connections.singletons import lock
from polymarket_bot.storage.errors import ConfigurationError

_LOCK = "schema migration"
_PARTING = 5.0
_WHICH = """
SELECT oid, pg_postmaster_start_time() FROM pg_database WHERE datname = current_database()
"""


@asynccontextmanager
async def own_session(
    config: DatabaseConfig, *, database: str | None = None
) -> AsyncIterator[Session]:
    """Open a session past a pooler, and close it in the end; as `connect_directly`."""
    connection = await connect_directly(config, database=database)
    try:
        yield connection
    finally:
        await _part(connection)


@asynccontextmanager
async def maintenance(
    db: Executor, config: DatabaseConfig, timeout: float | None
) -> AsyncIterator[Executor]:
    """Lend a session in the database of `db`, past a pooler, to one process at a time.

    Args:
        db: where to work.
        config: how to reach it.
        timeout: how long to wait while another process is at it, in seconds; None does not ask.

    Raises:
        AlreadyHeld: another process still is.
        ConfigurationError: `direct_url` leads to another database, or there is none past a
            transaction pooler.
    """
    async with own_session(config) as connection:
        direct = ConnectionExecutor(connection)
        if await db.fetchrow(_WHICH) != await direct.fetchrow(_WHICH):
            raise ConfigurationError(
                "direct_url leads to another database than url",
                remedy="set direct_url (DATABASE_DIRECT_URL) to the address of the same database",
            )
        if timeout is not None:
            await lock(connection, _LOCK, timeout)
        yield direct


async def _part(connection: Session) -> None:
    """Close the connection, and with it give the lock back.

    A statement that was cancelled is cancelled on the server, too, or it would hold the lock on.
    """
    try:
        await connection.close(timeout=_PARTING)
    except DRIVER_ERRORS:
        terminate(connection)
