"""Whether a database can be worked with, and what is wrong in words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from polymarket_bot.storage.connections.blocks import Connection
from polymarket_bot.storage.connections.executor import ConnectionExecutor, Executor
from polymarket_bot.storage.connections.holders import PoolStats
from polymarket_bot.storage.monitoring.activity import look_at_dead_rows, look_at_transactions
from polymarket_bot.storage.monitoring.findings import Findings, HealthLimits, duration
from polymarket_bot.storage.schema.catalog import compare
from polymarket_bot.storage.schema.ledger import read_version
from polymarket_bot.storage.schema.seeds import seeds
from polymarket_bot.storage.tables import ALL

_SERVER = """
SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS replica,
       current_setting('transaction_read_only')::boolean AS read_only
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
    """
    began = time.monotonic()
    row = await connection.fetchrow(_SERVER)
    latency = (time.monotonic() - began) * 1000
    assert row is not None  # noqa: S101 - a SELECT without FROM has a row
    found = Findings()
    if row["replica"] or row["read_only"]:
        found.problems.append(
            "the server takes no writes: name all hosts in the URL, with "
            "target_session_attrs=read-write"
        )
    if getattr(connection, "clear", False):
        found.problems.append("the connection to another machine is not encrypted: set tls=")
    found.problems += _pool_words(pool, limits)
    db = ConnectionExecutor(connection)
    version = await found.look("the schema's version", read_version(db))
    await found.look("the schema", _look_at_schema(db, version, found))
    await found.look("transactions", look_at_transactions(db, limits, found))
    await found.look("dead rows", look_at_dead_rows(db, limits, found))
    problems = found.problems
    return HealthReport(not problems, problems, row["version"], latency, pool, version, found.notes)


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
