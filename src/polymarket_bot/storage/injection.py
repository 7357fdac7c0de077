"""One database for the whole process, for those who want it handed to them."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from polymarket_bot.storage.config import DatabaseConfig
from polymarket_bot.storage.connections.blocks import Connection
from polymarket_bot.storage.database import Database
from polymarket_bot.storage.errors import ConfigurationError, NotInitialized

_given: Database | None = None


async def init_db(config: DatabaseConfig, *, migrate: bool = False) -> Database:
    """Open the process's database and return it; again with the same settings, the same one.

    It is closed by `await (await get_db()).close()`; then another may be opened.

    Args:
        config: its settings.
        migrate: bring its schema forward, too.

    Raises:
        ConfigurationError: it is open with other settings.
        ServerUnavailable: no connection could be opened; and what else `Database.initialize` and
            `Database.migrate` raise. Then there is none.
    """
    global _given
    if _given is None or (_given.config != config and not _given.is_open):
        _given = Database(config)
    if _given.config != config:
        raise ConfigurationError(
            "the process's database is open with other settings",
            remedy="close it first: `await (await get_db()).close()`",
        )
    db = _given
    await db.initialize()
    if migrate:
        await db.migrate()
    return db


async def get_db() -> Database:
    """Return the process's database.

    Raises:
        NotInitialized: `init_db` was not called, or it is closed.
    """
    if _given is None or not _given.is_open:
        raise NotInitialized("call `await init_db(config)` first")
    return _given


async def get_transaction() -> AsyncGenerator[Connection]:
    """Yield a connection in a transaction of the process's database: a framework's dependency.

    It commits when the generator is run to its end, and rolls back when an exception is thrown
    into it or it is closed. Repositories take part in it when they are made on the connection:
    `TradeRepository(connection)`.

    Raises:
        NotInitialized: `init_db` was not called, or it is closed.
        StorageError: as of `Database.transaction`.
    """
    db = await get_db()
    async with db.separate_transaction() as connection:
        yield connection
