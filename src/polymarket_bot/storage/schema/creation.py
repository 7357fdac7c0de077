"""A database is made where it is missing."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from polymarket_bot.storage.connections.driver import driver_errors
from polymarket_bot.storage.sql import quoted


async def create_database(url: str) -> bool:
    """Create the database that `url` names where it is missing, and tell whether it was.

    Raises:
        AccessRefused: the server refuses the user or the password.
        ServerUnavailable: no connection could be opened.
    """
    if not await _is_missing(url):
        return False
    with driver_errors(opening=True):
        connection = await _connect_beside(url)
    try:
        with driver_errors(), suppress(asyncpg.DuplicateDatabaseError):  # another was faster
            await connection.execute(f"CREATE DATABASE {quoted(_database_of(url))}")
            return True
    finally:
        await connection.close()
    return False


async def _is_missing(url: str) -> bool:
    with driver_errors(opening=True):
        try:
            connection = await asyncpg.connect(url)
        except asyncpg.InvalidCatalogNameError:
            return True
        await connection.close()
        return False


async def _connect_beside(url: str) -> asyncpg.Connection[asyncpg.Record]:
    """Connect to a database that is there on the same server."""
    try:
        return await asyncpg.connect(url, database="postgres")
    except asyncpg.InvalidCatalogNameError:
        return await asyncpg.connect(url, database="template1")


def _database_of(url: str) -> str:
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    for name in ("dbname", "database"):
        if name in options:
            return options[name][-1]
    return unquote(parts.path.lstrip("/")) or unquote(parts.username or "postgres")
