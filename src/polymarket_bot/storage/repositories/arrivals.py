"""How trades are let in while others process them.

What arrives at or behind its condition's watermark would never be looked at: it is recorded in
`ops.late_trades`, in the transaction that stores it. From the look at the watermark to its COMMIT
that transaction shares the condition's gate, which a process has for itself from its last read to
its COMMIT. So either it sees the watermark that was moved, or the last read sees its trades.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import cache, partial
from typing import Any, NamedTuple, TypeVar

from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.mapping import bulk
from polymarket_bot.storage.mapping.batch import Batch
from polymarket_bot.storage.mapping.statements import insert_new, relation
from polymarket_bot.storage.models.trades import PolymarketTrade
from polymarket_bot.storage.repositories import locks
from polymarket_bot.storage.sql import NOW
from polymarket_bot.storage.tables import LATE_TRADES, TRADES

T = TypeVar("T")

_IS_RECORDING = f"SELECT to_regclass('{LATE_TRADES.schema}.{LATE_TRADES.name}') IS NOT NULL"
_GATES = 256  # a batch of many conditions must not fill the server's table of locks
_REFUSED = "trades cannot be stored"

RECORD = f"INSERT INTO {relation(LATE_TRADES)} AS known (condition_id, trade_id, arrived_at)"
"""Records late trades; a SELECT of `condition_id, trade_id, statement_timestamp()` follows."""

ANEW = """
ON CONFLICT (condition_id, trade_id)
DO UPDATE SET arrived_at = EXCLUDED.arrived_at, handled_at = NULL
"""
"""What `RECORD` ends with: a trade that was deleted and has come again is late again."""

# The watermark is read for each trade, since a join would scan those of all conditions. Where there
# is none, new is what comes after 0.
_IS_LATE = """
timestamp <= COALESCE((
    SELECT last_timestamp FROM trade_watermarks AS mark
    WHERE mark.condition_id = stored.condition_id
), 0)
"""
_RECORDED = f"""
recorded AS (
    {RECORD} SELECT condition_id, trade_id, statement_timestamp() FROM stored WHERE late {ANEW}
)
"""
# There is an id once something was stored; to ask for one before would use it up.
_COUNTED = f"""
SELECT count(*) AS stored, count(*) FILTER (WHERE late) AS late, {NOW} AS clock, {locks.ISOLATION},
       CASE WHEN count(*) > 0 THEN pg_current_xact_id()::text END AS xid
FROM stored
"""
# ON CONFLICT DO UPDATE locks the row that it replaces, and the new version keeps the lock in xmax;
# a row that it inserts has none. Whoever asked before the write would not know what another one
# stores or deletes while the write waits.
_RECORD_NEW = f"""
{RECORD} SELECT DISTINCT condition_id, trade_id, statement_timestamp()
FROM unnest($1::text[], $2::text[]) AS given (condition_id, trade_id)
JOIN polymarket_trades AS stored USING (condition_id, trade_id)
WHERE stored.xmax = 0 AND {_IS_LATE} ORDER BY condition_id, trade_id {ANEW}
"""


class Arrived(NamedTuple):
    """What became of a batch: how many were new, and how many of these late."""

    stored: int
    late: int


def gate(condition_id: object) -> int:
    """Return the number of a condition's gate; some conditions have one in common."""
    name = str(condition_id).encode(errors="surrogatepass")
    place = locks.number("trade gate", name) % _GATES
    return locks.number("trade gate", place.to_bytes(2))


async def store(db: Executor, trades: Iterable[PolymarketTrade]) -> Arrived:
    """Store the new ones among `trades`, all or none, and record the late ones.

    Raises:
        InvalidInput: one of them is no `PolymarketTrade`, or a value does not fit.
        FutureTime: the timestamp of one lies in the future.
        TransactionError: inside a block that is not READ COMMITTED.
        LockTimeout: a process has held one of the gates for too long.
    """
    batch = bulk.new_rows(TRADES, trades)
    if not batch.rows:
        return Arrived(0, 0)
    records = await _recording(db)

    async def store() -> Arrived:
        statement = partial(_store, records)
        counts = [await chunk.insert(db, statement) for chunk in batch.chunked()]
        if records:
            locks.hold_to_isolation(counts, _REFUSED)
        if xid := next((count["xid"] for count in counts if count["xid"]), None):
            db.told(xid)
        return Arrived(sum(c["stored"] for c in counts), sum(c["late"] for c in counts))

    return await db.atomically(store, isolation="read_committed", first=_enter(batch))


@cache
def _store(records: bool, source: str) -> str:
    """Store trades, and record the late ones where that is to be."""
    stored = insert_new(TRADES, ("condition_id", "trade_id", f"{_IS_LATE} AS late"), source)
    parts = (f"stored AS ({stored})", *([_RECORDED] if records else []))
    return f"WITH {', '.join(parts)} {_COUNTED}"


async def storing(
    db: Executor, trades: Iterable[PolymarketTrade], write: Callable[[], Awaitable[T]]
) -> T:
    """Await `write()`, which upserts `trades`, and record the late new ones.

    Raises as `store`, and what `write` raises.
    """
    batch = Batch(TRADES, TRADES.written, [TRADES.values_of(trade) for trade in trades])

    async def store() -> T:
        locks.hold_to_isolation(await db.fetch(f"SELECT {locks.ISOLATION}"), _REFUSED)
        written = await write()
        await db.execute(_RECORD_NEW, _column(batch, "condition_id"), _column(batch, "trade_id"))
        return written

    if not await _recording(db):
        return await write()
    return await db.atomically(store, isolation="read_committed", first=_enter(batch))


def _enter(batch: Batch) -> str:
    """Return SQL that goes through the gates of a batch."""
    return locks.lock_shared({gate(name) for name in set(_column(batch, "condition_id"))})


async def _recording(db: Executor) -> bool:
    """Tell whether late trades are recorded here; once they are, it is asked no more."""
    if not db.learned.get(_IS_RECORDING):
        db.learned[_IS_RECORDING] = bool(await db.fetchval(_IS_RECORDING, repeatable=True))
    return db.learned[_IS_RECORDING]


def _column(batch: Batch, name: str) -> list[Any]:
    place = batch.columns.index(name)
    return [row[place] for row in batch.rows]
