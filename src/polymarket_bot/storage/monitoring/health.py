"""Whether a database can be worked with, and what is wrong in words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import asyncpg

from polymarket_bot.storage.connections.blocks import Connection
from polymarket_bot.storage.connections.executor import ConnectionExecutor, Executor
from polymarket_bot.storage.connections.holders import PoolStats
from polymarket_bot.storage.errors import ConnectionLost, ServerUnavailable, StatementTimeout
from polymarket_bot.storage.monitoring.activity import look_at_dead_rows, look_at_transactions
from polymarket_bot.storage.monitoring.findings import Findings, HealthLimits, duration
from polymarket_bot.storage.schema.catalog import compare
from polymarket_bot.storage.schema.ledger import read_version
from polymarket_bot.storage.schema.seeds import seeds
from polymarket_bot.storage.tables import ALL

_SERVER = """
SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS replica,
       current_setting('transaction_read_only')::boolean AS read_only,
       source IN ('user', 'database user', 'client') AS by_login, quote_ident(current_user) AS login
FROM pg_settings WHERE name = 'default_transaction_read_only'
"""


@dataclass(frozen=True)
class HealthReport:
    """One report for everything that can be told without counting rows.

    Attributes:
        healthy: nothing is wrong.
        problems: what is wrong, each with its remedy.
        server_version: PostgreSQL's version, None where it did not answer.
        latency_ms: how long the answer took, None without one.
        pool: the pool's figures, None without an answer.
        schema_version: what `Database.schema_version` returns, None where it could not be read.
        notes: what may be as it should be, or is hidden from this user.
    """

    healthy: bool
    problems: list[str] = field(default_factory=list)
    server_version: str | None = None
    latency_ms: float | None = None
    pool: PoolStats | None = None
    schema_version: int | None = None
    notes: list[str] = field(default_factory=list)


async def examine(connection: Connection, pool: PoolStats, limits: HealthLimits) -> HealthReport:
    """Ask the server how it is, and hold its schema against the tables.

    It reads the catalog and the server's statistics, and no row of any table but one: a probe may
    ask every few seconds.

    Raises:
        ServerUnavailable: the server does not answer.
    """
    db = ConnectionExecutor(connection)
    began = time.monotonic()
    row = await _asked(db)
    latency = (time.monotonic() - began) * 1000
    found = Findings()
    _look_at_writing(row, found)
    if getattr(connection, "clear", False):
        found.problems.append("the connection to another machine is not encrypted: set tls=")
    found.problems += _pool_words(pool, limits)
    version = await found.look("the schema's version", read_version(db))
    await found.look("the schema", _look_at_schema(db, version, found))
    await found.look("transactions", look_at_transactions(db, limits, found))
    await found.look("dead rows", look_at_dead_rows(db, limits, found))
    problems = found.problems
    return HealthReport(not problems, problems, row["version"], latency, pool, version, found.notes)


async def _asked(db: Executor) -> asyncpg.Record:
    try:
        row = await db.fetchrow(_SERVER)
    except (ConnectionLost, StatementTimeout) as error:  # nothing takes long in it
        raise ServerUnavailable(error.__cause__ or error) from error
    assert row is not None  # noqa: S101 - there is one setting of that name
    return row


def _look_at_writing(server: asyncpg.Record, found: Findings) -> None:
    """Tell a server that takes no writes; that a login is not to write is only noted."""
    if server["read_only"] and server["by_login"] and not server["replica"]:
        found.notes.append(
            "this login takes no writes, by its own default_transaction_read_only; where it is to: "
            f"ALTER ROLE {server['login']} RESET default_transaction_read_only"
        )
    elif server["read_only"] or server["replica"]:
        found.problems.append(
            "the server takes no writes: name all hosts in the URL, with "
            "target_session_attrs=read-write"
        )


def _pool_words(pool: PoolStats, limits: HealthLimits) -> Iterator[str]:
    if pool.requests_waiting:
        yield (
            f"{pool.requests_waiting} callers wait for a connection: hold them for less time, "
            "or raise max_connections"
        )
    for holder in pool.holders:
        if holder.since > limits.held:
            yield (
                f"a connection of the pool is held for more than {duration(limits.held)}, by "
                f"{holder}: give it back between two uses, or open one outside the pool"
            )


async def _look_at_schema(db: Executor, version: int | None, found: Findings) -> None:
    """Tell drift, and a version that is not the newest; one without harm is only noted."""
    harm = (await compare(db, ALL)).words()
    newest = max(seed.version for seed in seeds())
    if version is not None and version < newest:
        behind = f"the schema is recorded at version {version}, and this package has {newest}"
        if not harm:
            found.notes.append(f"{behind}: all is there; polymarket-storage migrate records it")
        elif version:
            found.problems.append(f"{behind}: polymarket-storage migrate")
    elif version is not None and version > newest:
        found.notes.append(
            f"the schema is at version {version}, and this package knows {newest}: a newer one was "
            "here; upgrade this one"
        )
    found.problems += harm
