"""How a database stands: sizes, how far watermarks are behind, pending work, positions, P&L."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.sql import quoted
from polymarket_bot.storage.types import plain_decimal

_TABLES = """
SELECT c.relname AS name, pg_total_relation_size(c.oid) AS bytes
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname = current_schema() AND has_table_privilege(c.oid, 'SELECT')
ORDER BY c.relname
"""
_BEHIND = """
SELECT count(*) AS conditions,
       count(*) FILTER (WHERE newest > COALESCE(last_timestamp, 0)) AS behind,
       COALESCE(max(newest - COALESCE(last_timestamp, oldest)), 0) AS seconds
FROM (
    SELECT condition_id, min(timestamp) AS oldest, max(timestamp) AS newest
    FROM polymarket_trades GROUP BY condition_id
) AS trades LEFT JOIN trade_watermarks USING (condition_id)
"""
# Sums are made in NUMERIC over the shortest decimals: REAL would lose digits.
_WORK = """
SELECT
    (SELECT count(*) FROM polymarket_candidates WHERE status = 'pending') AS candidates,
    (SELECT count(*) FROM trade_approvals WHERE status = 'pending') AS approvals,
    (SELECT count(*) FROM live_orders WHERE status IN ('submitted', 'partial')) AS orders,
    (SELECT count(*) FROM exit_events WHERE status = 'pending') AS exits,
    (SELECT count(*) FROM positions WHERE status = 'open') AS positions,
    (SELECT COALESCE(sum(entry_cost::text::numeric), 0)::text FROM positions
     WHERE status = 'open') AS exposure,
    (SELECT COALESCE(sum(realized_pnl::text::numeric), 0)::text FROM daily_pnl) AS realized
"""


@dataclass(frozen=True)
class TableSize:
    """A table's exact number of rows and its size on disk, indexes included, in bytes."""

    name: str
    rows: int
    bytes: int


@dataclass(frozen=True)
class StatusReport:
    """How a database stands.

    Attributes:
        server_version: PostgreSQL's version.
        database_bytes: size of the whole database.
        tables: every table of the schema that the user may read, by name.
        conditions: conditions that have trades.
        conditions_behind: those with trades later than their watermark.
        watermark_lag_seconds: the furthest that a watermark is behind its newest trade; where
            there is none, the oldest trade counts.
        pending: work that waits, by kind: candidates, approvals, orders, exits.
        open_positions: how many positions are open.
        exposure: the sum of their entry costs.
        realized_pnl: the sum over all days.
    """

    server_version: str
    database_bytes: int
    tables: tuple[TableSize, ...]
    conditions: int
    conditions_behind: int
    watermark_lag_seconds: int
    pending: dict[str, int]
    open_positions: int
    exposure: Decimal
    realized_pnl: Decimal


async def read_status(db: Executor) -> StatusReport:
    """Read how the database stands; rows are counted, which takes time on large tables.

    Raises:
        SchemaMissing: the production tables are not there.
    """
    behind, work = await db.fetchrow(_BEHIND), await db.fetchrow(_WORK)
    assert behind is not None  # noqa: S101 - aggregates return one row
    assert work is not None  # noqa: S101
    return StatusReport(
        server_version=await db.fetchval("SHOW server_version"),
        database_bytes=await db.fetchval("SELECT pg_database_size(current_database())"),
        tables=await _table_sizes(db),
        conditions=behind["conditions"],
        conditions_behind=behind["behind"],
        watermark_lag_seconds=max(0, behind["seconds"]),
        pending={kind: work[kind] for kind in ("candidates", "approvals", "orders", "exits")},
        open_positions=work["positions"],
        exposure=plain_decimal(work["exposure"]),
        realized_pnl=plain_decimal(work["realized"]),
    )


async def _table_sizes(db: Executor) -> tuple[TableSize, ...]:
    sizes = []
    for record in await db.fetch(_TABLES):
        rows = await db.fetchval(f"SELECT count(*) FROM {quoted(record['name'])}")
        sizes.append(TableSize(record["name"], rows, record["bytes"]))
    return tuple(sizes)
