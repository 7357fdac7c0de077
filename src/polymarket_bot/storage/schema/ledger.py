"""Which seed files were applied to a database, as it has recorded them in `ops.schema_version`."""

from __future__ import annotations

from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.errors import MigrationRefused
from polymarket_bot.storage.schema.seeds import Seed, seeds

_MADE_BY = ("CREATE SCHEMA ", "CREATE TABLE IF NOT EXISTS ops.schema_version ")
_IS_THERE = "SELECT to_regclass('ops.schema_version') IS NOT NULL"
_VERSION = "SELECT COALESCE(max(version), 0) FROM ops.schema_version"
_ALL = "SELECT version, name, checksum FROM ops.schema_version ORDER BY version"
_ADD = """
INSERT INTO ops.schema_version (version, name, checksum, applied_at, duration, description)
VALUES ($1, $2, $3, statement_timestamp(), $4, $5) ON CONFLICT (version) DO NOTHING
"""
_REMOVE = "DELETE FROM ops.schema_version WHERE version = $1"


async def read_version(db: Executor) -> int:
    """Return the number of the last seed file that is recorded as applied, 0 without any."""
    if not await db.fetchval(_IS_THERE, repeatable=True):
        return 0
    return int(await db.fetchval(_VERSION, repeatable=True))


async def read_versions(db: Executor) -> set[int]:
    """Return the numbers of the files that are recorded as applied.

    Raises:
        MigrationRefused: the database is newer than this package, or an applied file was changed.
    """
    if not await db.fetchval(_IS_THERE):
        return set()
    files, versions = {seed.version: seed for seed in seeds()}, set()
    for version, name, checksum in await db.fetch(_ALL):
        if version not in files:
            raise MigrationRefused(
                f"the database is at version {version} ({name}), and this package knows the "
                f"versions up to {max(files)}",
                remedy="upgrade the package, or let the newer one take it back: migrate --to",
            )
        if checksum != (found := files[version].checksum):
            raise MigrationRefused(
                f"{name} was applied with the SHA-256 {checksum}, and is {found} now",
                remedy="put the file back as it was: a change is a file of its own",
            )
        versions.add(version)
    return versions


async def prepare(db: Executor) -> None:
    """Make the place where versions are recorded, as the seed file that has it in it does."""
    if await db.fetchval(_IS_THERE):
        return
    for seed in seeds():
        for statement in seed.up.statements():
            if statement.startswith(_MADE_BY):
                await db.execute(statement)


async def record(db: Executor, seed: Seed, seconds: float) -> None:
    """Record a file as applied; one that is recorded stays as it was."""
    script = seed.up
    await db.execute(_ADD, seed.version, script.name, seed.checksum, seconds, script.description)


async def forget(db: Executor, seed: Seed) -> None:
    """Take a file out of the record."""
    await db.execute(_REMOVE, seed.version)
