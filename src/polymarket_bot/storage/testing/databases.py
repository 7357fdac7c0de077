"""Databases for tests: made, cloned, dropped."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from polymarket_bot.storage.config import DatabaseConfig, with_database
from polymarket_bot.storage.database import Database
from polymarket_bot.storage.schema.seeds import seed_files
from polymarket_bot.storage.sql import quoted

_LOCK = 7_062_001
_PATIENCE = 120.0  # other workers wait while one makes the template


async def reached(url: str) -> str:
    """Return the URL as every driver reads it, once the server has answered.

    Raises:
        ValidationError: it is no PostgreSQL URL.
        ServerUnavailable: no connection could be opened.
    """
    async with _opened(url) as server:
        return server.config.url


async def create_from(server_url: str, name: str, template: str) -> None:
    """Create a database as a copy of another.

    By copying files where the server waits for no disk, else through its log: a copy of files
    has it write everything to disk first.
    """
    async with _opened(server_url) as server:
        strategy = "file_copy" if await server.fetchval("SHOW fsync") == "off" else "wal_log"
        await server.execute(
            f"CREATE DATABASE {quoted(name)} TEMPLATE {quoted(template)} STRATEGY {strategy}"
        )


async def drop(server_url: str, name: str) -> None:
    """Drop a database with whatever is connected to it."""
    async with _opened(server_url) as server:
        await server.execute(f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)")


async def make_template(server_url: str) -> str:
    """Make the database that tests are cloned from, where it is missing; return its name.

    One for each content of the seeds, and for each user, since only its owner can clone it.
    """
    async with _opened(server_url) as server, server.transaction():
        await server.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        name = f"polymarket_template_{await _fingerprint(server)}"
        if not await server.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            await _build(server_url, name)
    return name


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Database]:
    config = DatabaseConfig(
        url=url,
        direct_url=url,  # that of the environment would lead to another database
        migrate_on_start=False,  # it may be the user's own
        verify_schema=False,
        min_connections=1,
        max_connections=1,
        command_timeout=_PATIENCE,
        lock_timeout=_PATIENCE,
        idle_in_transaction_timeout=_PATIENCE,
    )
    async with Database(config) as db:
        yield db


async def _fingerprint(server: Database) -> str:
    """Return what tells templates apart."""
    user = await server.fetchval("SELECT current_user::text")
    digest = hashlib.sha256(repr((user, server.config.schema_name)).encode())
    for file in seed_files():
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


async def _build(server_url: str, name: str) -> None:
    """Build under another name first: an interrupted run leaves no half template."""
    draft = f"{name}_draft"
    await drop(server_url, draft)
    await create_from(server_url, draft, "template0")
    async with _opened(with_database(server_url, draft)) as db:
        await db.migrate()
    async with _opened(server_url) as server:
        await server.execute(f"ALTER DATABASE {quoted(draft)} RENAME TO {quoted(name)}")
