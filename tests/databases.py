"""Databases for tests: made, cloned, dropped."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from polymarket_bot.storage import Database, DatabaseConfig, apply_seeds, seed_files

_LOCK = 7_062_001


def with_database(url: str, name: str) -> str:
    """Return `url` with another database's name."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def create_from(server_url: str, name: str, template: str) -> None:
    """Create a database as a copy of another."""
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    finally:
        await connection.close()


async def drop(server_url: str, name: str) -> None:
    """Drop a database with whatever is connected to it."""
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await connection.close()


async def make_template(server_url: str) -> str:
    """Make the database that tests are cloned from, once for each content of the seeds."""
    seeds = b"".join(file.read_bytes() for file in seed_files())
    name = f"polymarket_template_{hashlib.sha256(seeds).hexdigest()[:12]}"
    connection = await asyncpg.connect(server_url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            if not await _exists(connection, name):
                await _build(server_url, name)
    finally:
        await connection.close()
    return name


async def _exists(connection: asyncpg.Connection[asyncpg.Record], name: str) -> bool:
    found = await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name)
    return found is not None


async def _build(server_url: str, name: str) -> None:
    """Build under another name first: an interrupted run leaves no half template."""
    draft = f"{name}_draft"
    await drop(server_url, draft)
    await create_from(server_url, draft, "template0")
    async with Database(DatabaseConfig(url=with_database(server_url, draft))) as db:
        await apply_seeds(db)
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f'ALTER DATABASE "{draft}" RENAME TO "{name}"')
    finally:
        await connection.close()
