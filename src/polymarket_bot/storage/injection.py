"""One database for the whole process, for those who want it handed to them."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from polymarket_bot.storage.config import DatabaseConfig, as_it_is
from polymarket_bot.storage.connections.blocks import Connection
from polymarket_bot.storage.connections.tasks import Turns
from polymarket_bot.storage.database import Database
from polymarket_bot.storage.errors import ConfigurationError, NotInitialized

_given: Database | None = None
_opening = Turns()


async def init_db(config: DatabaseConfig, *, migrate: bool = False) -> Database:
    """Open the process's database and return it; again with the same settings, the same one.

    It is closed by `await (await get_db()).close()`; then another may be opened, as when its
    event loop was closed. Tasks that call this at once wait for each other.

    Args:
        config: its settings.
        migrate: bring its schema forward, too.

    Raises:
        ConfigurationError: it is open with other settings.
        ServerUnavailable: no connection could be opened; and what else `Database.initialize` and
            `Database.migrate` raise. Then there is none, unless it was open before.
    """
    global _given
    async with _opening.lock():
        db = _for(config)
        was_open = db.is_open
        try:
            if migrate and not was_open:
                await _migrate(config)  # before the schema is verified
            await db.initialize()
            if migrate and was_open:
                await db.migrate()
        except BaseException:
            if not was_open:
                await db.close(0)
            raise
        _given = db
        return db


async def _migrate(config: DatabaseConfig) -> None:
    async with Database(as_it_is(config)) as db:
        await db.migrate()


def _for(config: DatabaseConfig) -> Database:
    if _given is None or (_given.config != config and not _given.is_open):
        return Database(config)
    if _given.config != config:
        raise ConfigurationError(
            "the process's database is open with other settings",
            remedy="close it first: `await (await get_db()).close()`",
        )
    return _given


async def get_db() -> Database:
    """Return the process's database.

    Raises:
        NotInitialized: `init_db` was not called, or it or its event loop is closed.
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
