"""New trades of a condition, handed over once, with the watermark's move."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeAlias

from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.errors import InvalidInput, TransactionError
from polymarket_bot.storage.mapping.statements import relation, select_list
from polymarket_bot.storage.models.trades import PolymarketTrade
from polymarket_bot.storage.repositories import locks
from polymarket_bot.storage.repositories.arrivals import ANEW, RECORD, gate
from polymarket_bot.storage.repositories.trade_stream import oldest
from polymarket_bot.storage.repositories.trade_watermark_repo import TradeWatermarkRepository
from polymarket_bot.storage.sql import hidden, only
from polymarket_bot.storage.tables import LATE_TRADES, TRADES

Handler: TypeAlias = Callable[[list[PolymarketTrade]], Awaitable[object]]
"""What is given trades, ordered by (timestamp, trade_id)."""

_REFUSED = "new trades cannot be processed"

# Each is looked up by its key: in the order of time, all trades would be gone through for them.
_LATE = f"""
SELECT {select_list(TRADES)} FROM (
    SELECT trade.* FROM {relation(LATE_TRADES)} AS late, LATERAL (
        SELECT * FROM polymarket_trades
        WHERE condition_id = $1 AND trade_id = late.trade_id OFFSET 0
    ) AS trade
    WHERE late.condition_id = $1 AND handled_at IS NULL AND trade.timestamp <= $2
) AS trades
ORDER BY trades.timestamp, trade_id LIMIT $3
"""


def _settled(now: str, settle: str) -> str:
    """Return SQL of the latest time of trades that nobody waits for any more."""
    clock = f"COALESCE({now}::bigint, extract(epoch FROM statement_timestamp()))"
    return f"floor({clock} - {settle}::float8)"


_NEW = oldest(_settled("$4", "$5"))
# Whether there is anything to do, in one round trip and without a lock.
_LOOK = f"""
SELECT mark, {locks.ISOLATION}, EXISTS (
    SELECT FROM {relation(LATE_TRADES)} WHERE condition_id = $1 AND handled_at IS NULL
) OR COALESCE((
    SELECT timestamp FROM polymarket_trades
    WHERE {only("condition_id", "$1")} AND timestamp > mark ORDER BY condition_id, timestamp LIMIT 1
) <= {_settled("$2", "$3")}, false) AS waiting
FROM (
    SELECT COALESCE(max(last_timestamp), 0) AS mark FROM trade_watermarks WHERE condition_id = $1
) AS marked
"""
_PASSED = f"""
{RECORD} SELECT condition_id, trade_id, statement_timestamp() FROM polymarket_trades
WHERE condition_id = {hidden("$1")} AND trade_id <> ALL ($4::text[])
  AND timestamp BETWEEN {hidden("$2 + 1", "bigint")} AND {hidden("$3", "bigint")} {ANEW}
"""
_HELD = "SELECT last_timestamp FROM trade_watermarks WHERE condition_id = $1 FOR UPDATE"
_HANDLED = f"""
UPDATE {relation(LATE_TRADES)} SET handled_at = statement_timestamp()
WHERE condition_id = $1 AND handled_at IS NULL AND trade_id = ANY ($2::text[])
"""

_handling: set[tuple[object, str]] = set()
"""The conditions in work, each with the connection that has its lock."""


@dataclass(frozen=True)
class ProcessReport:
    """What one call has handed over.

    Attributes:
        handled: new trades.
        late: trades that had arrived at or behind the watermark; not among `handled`.
        watermark: where it is now, in Unix seconds; 0 where there is none.
        busy: another one has the condition, so nothing was done.
    """

    handled: int = 0
    late: int = 0
    watermark: int = 0
    busy: bool = False


@dataclass(frozen=True)
class Work:
    """What to hand over, and to whom.

    Attributes:
        condition_id: the condition.
        handler: what is given the new trades.
        on_late: what is given the late ones.
        limit: how many of each; a second is never split.
        settle: how many seconds old a trade is at least.
        now: the clock in Unix seconds, None for the database's.
    """

    condition_id: str
    handler: Handler
    on_late: Handler
    limit: int
    settle: float
    now: int | None


async def process(db: Executor, work: Work) -> ProcessReport:
    """Hand over what is late and what is new; commit the handlers' writes with the watermark.

    Raises:
        TransactionError: called by the condition's own handler in its transaction, or inside a
            block that is not READ COMMITTED.
        LockTimeout: ingest has held the condition's gate for too long.
        InvalidInput: a handler is no async function.
    """
    row = await db.fetchrow(_LOOK, work.condition_id, work.now, work.settle, repeatable=True)
    if row is not None and not row["waiting"] and locks.sees_all(row):
        return ProcessReport(watermark=row["mark"])

    async def turn() -> ProcessReport:
        with _in_work(db, work.condition_id):
            return await _turn(db, work)

    return await db.atomically(turn, isolation="read_committed")


async def _turn(db: Executor, work: Work) -> ProcessReport:
    condition = work.condition_id
    free = await locks.try_lock(db, _worker(condition), _REFUSED)
    before = await TradeWatermarkRepository(db).get_timestamp(condition)
    if not free:
        return ProcessReport(watermark=before, busy=True)
    late = await _read(db, _LATE, condition, before, work.limit)
    new = await _read(db, _NEW, condition, before, work.limit, work.now, work.settle)
    last = (new[-1].timestamp if new else None) or before
    ids = [trade.trade_id for trade in (*late, *new)]
    report = ProcessReport(len(new), len(late), before)
    await _hand_over(work.on_late, late)
    await _hand_over(work.handler, new)
    if report.handled:
        await locks.lock(db, [gate(condition)], _REFUSED)
        mark = await db.fetchval(_HELD, condition) or 0
        if mark >= before:  # or it was put back meanwhile, and stays there
            await db.execute(_PASSED, condition, before, last, ids)
            mark = (await TradeWatermarkRepository(db).update(condition, last)).last_timestamp
        report = replace(report, watermark=mark)
    if ids:
        await db.execute(_HANDLED, condition, ids)
    return report


async def _read(db: Executor, query: str, *args: object) -> list[PolymarketTrade]:
    return [TRADES.from_record(record) for record in await db.fetch(query, *args)]


async def _hand_over(handler: Handler, trades: list[PolymarketTrade]) -> None:
    if trades:
        answer = handler(trades)
        if not inspect.isawaitable(answer):
            raise InvalidInput("handler", handler, "expected an async function of a list of trades")
        await answer


@contextmanager
def _in_work(db: Executor, condition_id: str) -> Iterator[None]:
    """Refuse a call of a condition's own handler: it would be handed the same trades again.

    The lock keeps out others only: its own session gets it again.
    """
    mine = (db.session, condition_id)
    if mine in _handling:
        raise TransactionError(
            f"the handler of condition {condition_id!r} processes its own condition",
            remedy="let it return; what is new then comes with the next call",
        )
    _handling.add(mine)
    try:
        yield
    finally:
        _handling.discard(mine)


def _worker(condition_id: str) -> int:
    """Return the number of the lock that one worker has while it processes a condition."""
    return locks.number("trade worker", condition_id.encode())
