"""How a database stands: what is wrong, what waits, sizes, positions, P&L."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.monitoring.backlog import (
    Lag,
    look_at_late_trades,
    look_at_waiting,
    look_at_watermarks,
)
from polymarket_bot.storage.monitoring.findings import Findings, HealthLimits
from polymarket_bot.storage.monitoring.health import HealthReport
from polymarket_bot.storage.sql import quoted
from polymarket_bot.storage.types import plain_decimal

_ESTIMATED_FROM = 1_000_000
_BYTES = "SELECT pg_database_size(current_database())"
_TABLES = """
SELECT c.relname AS name, pg_total_relation_size(c.oid) AS bytes, c.reltuples::bigint AS estimate
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname = current_schema() AND has_table_privilege(c.oid, 'SELECT')
ORDER BY c.relname
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
    """A table's number of rows and its size on disk, indexes included, in bytes.

    Attributes:
        name: the table.
        rows: how many rows it has.
        bytes: its size.
        estimated: the rows were not counted: from a million on, the server's estimate is told.
    """

    name: str
    rows: int
    bytes: int
    estimated: bool


@dataclass(frozen=True)
class Figures:
    """How much there is.

    Attributes:
        server_version: PostgreSQL's version.
        database_bytes: size of the whole database.
        tables: every table of the schema that the user may read, by name.
        conditions: see `Lag`, as the next two.
        conditions_behind: those with trades later than their watermark.
        watermark_lag_seconds: the furthest that a watermark is behind its newest trade.
        late_trades: those that wait to be handed over, None where that could not be read.
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
    late_trades: int | None
    pending: dict[str, int]
    open_positions: int
    exposure: Decimal
    realized_pnl: Decimal


@dataclass(frozen=True)
class StatusReport:
    """How a database stands.

    Attributes:
        problems: what is wrong, each with its remedy.
        notes: what may be as it should be.
        figures: how much there is, None where the tables cannot be read; a problem says why.
    """

    problems: list[str]
    notes: list[str]
    figures: Figures | None = None

    @property
    def healthy(self) -> bool:
        """Nothing is wrong."""
        return not self.problems


async def read_status(db: Executor, health: HealthReport, limits: HealthLimits) -> StatusReport:
    """Add to `health` what only the rows tell; on large tables that takes seconds.

    Raises:
        ConnectionLost: and `ServerUnavailable`; all else is a problem of the report.
    """
    found = Findings([*health.problems], [*health.notes])
    lag = await found.look("watermarks", look_at_watermarks(db, limits, found))
    late = await found.look("late trades", look_at_late_trades(db, limits, found))
    await look_at_waiting(db, limits, found)
    figures = None
    if lag is not None:
        figures = await found.look("sizes and sums", _read_figures(db, lag, late))
    return StatusReport(found.problems, found.notes, figures)


async def _read_figures(db: Executor, lag: Lag, late: int | None) -> Figures:
    work = await db.fetchrow(_WORK, repeatable=True)
    assert work is not None  # noqa: S101 - a SELECT without FROM has a row
    return Figures(
        server_version=await db.fetchval("SHOW server_version", repeatable=True),
        database_bytes=await db.fetchval(_BYTES, repeatable=True),
        tables=await _table_sizes(db),
        conditions=lag.conditions,
        conditions_behind=lag.behind,
        watermark_lag_seconds=lag.seconds,
        late_trades=late,
        pending={kind: work[kind] for kind in ("candidates", "approvals", "orders", "exits")},
        open_positions=work["positions"],
        exposure=plain_decimal(work["exposure"]),
        realized_pnl=plain_decimal(work["realized"]),
    )


async def _table_sizes(db: Executor) -> tuple[TableSize, ...]:
    sizes = []
    for record in await db.fetch(_TABLES, repeatable=True):
        rows, estimated = record["estimate"], record["estimate"] >= _ESTIMATED_FROM
        if not estimated:
            counting = f"SELECT count(*) FROM {quoted(record['name'])}"
            rows = await db.fetchval(counting, repeatable=True)
        sizes.append(TableSize(record["name"], rows, record["bytes"], estimated))
    return tuple(sizes)
