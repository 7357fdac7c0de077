"""Work that waits: trades behind their watermark, late ones, candidates, exits, orders."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.mapping.statements import relation
from polymarket_bot.storage.monitoring.findings import Findings, HealthLimits, counted, duration
from polymarket_bot.storage.repositories.order_repo import UNANSWERED
from polymarket_bot.storage.sql import NOW, instant, only
from polymarket_bot.storage.tables import LATE_TRADES

_OF_CONDITION = f"FROM polymarket_trades WHERE {only('condition_id', 'each.condition_id')}"
_UNRESOLVED = """NOT EXISTS (SELECT FROM polymarket_resolutions AS resolved
                               WHERE resolved.condition_id = waiting.condition_id)"""

# From one condition to the next by the index, and not through all trades. Differences are made in
# NUMERIC: a time may be anything.
_BEHIND = f"""
WITH RECURSIVE each AS (
    SELECT min(condition_id) AS condition_id FROM polymarket_trades
    UNION ALL
    SELECT (SELECT trade.condition_id FROM polymarket_trades AS trade
            WHERE trade.condition_id > each.condition_id ORDER BY trade.condition_id LIMIT 1)
    FROM each WHERE each.condition_id IS NOT NULL
), trades AS MATERIALIZED (
    SELECT each.condition_id, last_timestamp AS mark,
           (SELECT timestamp {_OF_CONDITION} AND timestamp IS NOT NULL
            ORDER BY condition_id DESC, timestamp DESC LIMIT 1)::numeric AS newest,
           (SELECT timestamp {_OF_CONDITION}
            AND timestamp > COALESCE(last_timestamp, '-9223372036854775808')
            ORDER BY condition_id, timestamp LIMIT 1)::numeric AS waiting
    FROM each LEFT JOIN trade_watermarks USING (condition_id)
    WHERE each.condition_id IS NOT NULL
), states AS MATERIALIZED (
    SELECT *, newest - COALESCE(mark, waiting) AS seconds,
           {NOW} - waiting AS age,
           mark IS NOT NULL AND {NOW} - waiting > $1::float8 AND {_UNRESOLVED} AS stuck
    FROM trades AS waiting
)
SELECT count(*) AS conditions, count(*) FILTER (WHERE newest > COALESCE(mark, 0)) AS behind,
       GREATEST(max(seconds), 0) AS seconds, count(*) FILTER (WHERE stuck) AS stuck,
       count(*) FILTER (WHERE mark IS NULL) AS unmarked,
       max(age) FILTER (WHERE stuck) AS oldest,
       (array_agg(condition_id ORDER BY age DESC) FILTER (WHERE stuck))[1] AS worst
FROM states
"""
# One whose trade was deleted since is handed over to nobody.
_LATE = f"""
SELECT count(*) AS unhandled, count(*) FILTER (WHERE stuck) AS number,
       max(age) FILTER (WHERE stuck) AS oldest,
       (array_agg(condition_id ORDER BY age DESC) FILTER (WHERE stuck))[1] AS worst
FROM (
    SELECT *, age > $1::float8 AND {_UNRESOLVED} AS stuck
    FROM (
        SELECT condition_id, extract(epoch FROM statement_timestamp() - arrived_at)::float8 AS age
        FROM {relation(LATE_TRADES)} AS late
        WHERE handled_at IS NULL
          AND EXISTS (SELECT FROM polymarket_trades AS trade WHERE
                      (trade.condition_id, trade.trade_id) = (late.condition_id, late.trade_id))
    ) AS waiting
) AS states
"""


@dataclass(frozen=True)
class Lag:
    """How far watermarks are behind their trades.

    Attributes:
        conditions: conditions that have trades.
        behind: those with trades later than their watermark.
        seconds: the furthest that a watermark is behind its newest trade; where there is none, the
            oldest trade counts.
    """

    conditions: int
    behind: int
    seconds: int


async def look_at_watermarks(db: Executor, limits: HealthLimits, found: Findings) -> Lag:
    """Tell the watermarks behind which trades wait, of conditions that are not resolved."""
    row = await db.fetchrow(_BEHIND, limits.lag, repeatable=True)
    assert row is not None  # noqa: S101 - aggregates return one row
    if row["stuck"]:
        found.problems.append(
            f"trades wait behind the watermark of {counted(row['stuck'], 'condition')} for more "
            f"than {duration(limits.lag)}, the oldest for {duration(float(row['oldest']))}, of "
            f"{row['worst']!r}; its worker does not run, fails, or does not keep up: look at its "
            "log, or, where nobody is to process the condition any more, move the watermark up "
            "with TradeWatermarkRepository.update"
        )
    if row["unmarked"]:
        found.notes.append(
            f"conditions with trades and no watermark: {row['unmarked']:,} of "
            f"{row['conditions']:,}; nobody has processed them, so look for a worker if one should"
        )
    return Lag(row["conditions"], row["behind"], int(row["seconds"] or 0))


async def look_at_late_trades(db: Executor, limits: HealthLimits, found: Findings) -> int:
    """Tell the late trades that nobody is handed; return how many wait in all."""
    row = await db.fetchrow(_LATE, limits.lag, repeatable=True)
    assert row is not None  # noqa: S101 - aggregates return one row
    if row["number"]:
        found.problems.append(
            f"late trades that wait for more than {duration(limits.lag)}: {row['number']:,}, the "
            f"oldest for {duration(row['oldest'])}, of {row['worst']!r}; process_new hands them "
            "over: start the condition's worker, or, where nobody is to process it any more, set "
            "handled_at in ops.late_trades"
        )
    return int(row["unhandled"])


@dataclass(frozen=True)
class _Kind:
    """Rows that wait: what they are called, which, since when, how long they may, the remedy."""

    name: str
    table: str
    which: str
    since: str
    limit: str
    remedy: str
    wrong: bool = True


_KINDS = (
    _Kind(
        "candidates that are pending",
        "polymarket_candidates",
        "status = 'pending'",
        "created_at",
        "pending",
        "nobody decides: start the program that does, or reject what is too old; "
        "CandidateRepository.get_pending lists them",
    ),
    _Kind(
        "exits that are pending",
        "exit_events",
        "status = 'pending'",
        "created_at",
        "pending",
        "nobody carries them out: start the program that does, or end them with mark_executed or "
        "mark_failed; ExitEventRepository.get_pending lists them",
    ),
    _Kind(
        "orders without an answer of the exchange",
        "live_orders",
        UNANSWERED,
        "submitted_at",
        "unanswered",
        "they may have been placed: ask the exchange, then attach_order_id, or update them as "
        "rejected; LiveOrderRepository.get_unsubmitted lists them",
    ),
    _Kind(
        "orders that are open at the exchange",
        "live_orders",
        "status IN ('submitted', 'partial') AND order_id IS NOT NULL",
        "submitted_at",
        "pending",
        "look whether they are meant to rest there; LiveOrderRepository.get_active lists them",
        wrong=False,
    ),
)


async def look_at_waiting(db: Executor, limits: HealthLimits, found: Findings) -> None:
    """Tell candidates, exits and orders that wait for too long."""
    for kind in _KINDS:
        limit = getattr(limits, kind.limit)
        looking = db.fetchrow(_waiting(kind), limit, repeatable=True)
        row = await found.look(kind.name, looking)
        if row is not None:
            _tell_waiting(kind, row, limit, found)


def _waiting(kind: _Kind) -> str:
    return f"""
SELECT count(*) FILTER (WHERE age > $1::float8) AS number, max(age) AS oldest,
       count(*) FILTER (WHERE age IS NULL) AS unreadable
FROM (
    SELECT extract(epoch FROM statement_timestamp() - {instant(kind.since)})::float8 AS age
    FROM {kind.table} WHERE {kind.which}
) AS waiting
"""


def _tell_waiting(kind: _Kind, row: asyncpg.Record, limit: float, found: Findings) -> None:
    if row["number"]:
        words = found.problems if kind.wrong else found.notes
        words.append(
            f"{kind.name} for more than {duration(limit)}: {row['number']:,}, the oldest for "
            f"{duration(row['oldest'])}; {kind.remedy}"
        )
    if row["unreadable"]:
        found.notes.append(
            f"{kind.name}, of which {kind.since} is no time: {row['unreadable']:,}; how long they "
            f"wait cannot be told: put {kind.table}.{kind.since} right"
        )
