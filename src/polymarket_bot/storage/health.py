"""Whether a database can be worked with, and what is wrong in words."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from polymarket_bot.storage.catalog import compare
from polymarket_bot.storage.connections.blocks import Connection
from polymarket_bot.storage.connections.executor import ConnectionExecutor
from polymarket_bot.storage.connections.holders import PoolStats
from polymarket_bot.storage.ledger import read_version
from polymarket_bot.storage.tables import ALL

_SERVER = """
SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS replica,
       current_setting('transaction_read_only')::boolean AS read_only
"""


@dataclass(frozen=True)
class HealthReport:
    """One report for everything.

    Attributes:
        healthy: nothing is wrong.
        problems: what is wrong, each with its remedy.
        server_version: PostgreSQL's version, None where it did not answer.
        latency_ms: how long the answer took.
        pool: the pool's figures, None where the database is not open.
        schema_version: what `Database.schema_version` returns, None where it was not asked.
    """

    healthy: bool
    problems: list[str] = field(default_factory=list)
    server_version: str | None = None
    latency_ms: float | None = None
    pool: PoolStats | None = None
    schema_version: int | None = None


async def examine(connection: Connection, pool: PoolStats) -> HealthReport:
    """Ask the server how it is, and hold its schema against the tables."""
    began = time.monotonic()
    row = await connection.fetchrow(_SERVER)
    latency = (time.monotonic() - began) * 1000
    assert row is not None  # noqa: S101 - a SELECT without FROM has a row
    problems = []
    if row["replica"] or row["read_only"]:
        problems.append(
            "the server takes no writes: name all hosts in the URL, with "
            "target_session_attrs=read-write"
        )
    if getattr(connection, "clear", False):
        problems.append("the connection to another machine is not encrypted: set tls=")
    if pool.requests_waiting:
        problems.append(
            f"{pool.requests_waiting} callers wait for a connection: hold them for less time, "
            "or raise max_connections"
        )
    db = ConnectionExecutor(connection)
    problems += (await compare(db, ALL)).words()
    version = await read_version(db)
    return HealthReport(not problems, problems, row["version"], latency, pool, version)
