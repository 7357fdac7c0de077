"""The seed files: where they are, and how they are applied."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from polymarket_bot.storage.connections.driver import driver_errors
from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.errors import ConfigurationError
from polymarket_bot.storage.sql import quoted

_PACKAGED = Path(__file__).parent / "seed"
_CHECKOUT = Path(__file__).parents[3] / "seed"
_STATEMENT_END = re.compile(r";[ \t]*$", re.MULTILINE)
_LOCK = 0x706D_6273_6565_64  # "pmbseed"


def seed_files() -> list[Path]:
    """Return the SQL files that make the schema, in the order in which they are applied.

    Raises:
        ConfigurationError: the installation lacks them.
    """
    for folder in (_PACKAGED, _CHECKOUT):
        if files := sorted(folder.glob("[0-9][0-9]_*.sql")):
            return files
    raise ConfigurationError(
        f"no seed files in {_PACKAGED}", remedy="install polymarket-bot-storage again"
    )


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


async def apply_seeds(db: Executor) -> None:
    """Create what is missing of the schema; what is there is left as it is.

    All in one transaction, one statement a call; several processes may do it at once.
    """
    async with db.transaction():
        await db.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        for file in seed_files():
            for statement in _statements(file.read_text(encoding="utf-8")):
                await db.execute(statement)


def _statements(script: str) -> list[str]:
    """Cut a script into statements, each of which ends with a semicolon at a line's end."""
    return [part for part in _STATEMENT_END.split(script) if _has_code(part)]


def _has_code(part: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("--") for line in part.splitlines())
