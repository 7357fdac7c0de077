"""A database is made where it is missing."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from polymarket_bot.storage.config import DatabaseConfig
from polymarket_bot.storage.connections.driver import driver_errors
from polymarket_bot.storage.connections.sessions import Session
from polymarket_bot.storage.errors import AccessRefused
from polymarket_bot.storage.schema.maintenance import own_session
from polymarket_bot.storage.sql import quoted

_LIMIT = 3600.0  # seconds: a template may be large, and another one may be at it
_MADE_MEANWHILE = (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError)


async def create_database(config: DatabaseConfig) -> bool:
    """Create the database that the settings name where it is missing, and tell whether it was.

    Past a pooler, as a migration: that is the database of `direct_url` where there is one.

    Raises:
        AccessRefused: the server refuses the user or the password.
        ServerUnavailable: no connection could be opened; `TlsRefused` where TLS failed.
        ConfigurationError: there is a transaction pooler, and no `direct_url` past it.
    """
    if await _is_there(config):
        return False
    beside = "postgres" if await _is_there(config, "postgres") else "template1"
    async with own_session(config, database=beside) as connection:
        with driver_errors(), suppress(*_MADE_MEANWHILE):
            await _create(connection, _database_of(config.direct_url or config.dsn))
            return True
    return False


async def _is_there(config: DatabaseConfig, database: str | None = None) -> bool:
    """Tell whether the server has a database, that of the settings by default."""
    try:
        async with own_session(config, database=database):
            return True
    except AccessRefused as error:
        if error.sqlstate == asyncpg.InvalidCatalogNameError.sqlstate:
            return False
        raise


async def _create(connection: Session, name: str) -> None:
    statement = f"CREATE DATABASE {quoted(name)}"
    await connection.execute("SET statement_timeout = 0; SET lock_timeout = 0")
    try:
        await connection.execute(statement, timeout=_LIMIT)
    except asyncpg.ObjectInUseError:  # of others in template1, which may be at the same
        await connection.execute(f"{statement} TEMPLATE template0", timeout=_LIMIT)


def _database_of(url: str) -> str:
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    for name in ("dbname", "database"):
        if name in options:
            return options[name][-1]
    return unquote(parts.path.lstrip("/")) or unquote(parts.username or "postgres")
