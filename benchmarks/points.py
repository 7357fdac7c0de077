"""Calls of one row: reads, and moves of a watermark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import peers
from benchmarks.harness import Call, Case, Pair, Plan, timed
from benchmarks.rows import ABSENT, NOW, THRESHOLD, condition, fill_marks, fill_triggers, token
from benchmarks.server import Place, Stage
from benchmarks.statements import sent
from polymarket_bot.storage import TradeWatermarkRepository, TriggerRepository

if TYPE_CHECKING:
    from benchmarks.server import Held
    from polymarket_bot.storage.connections.blocks import Connection
    from polymarket_bot.storage.connections.executor import Executor

    Source = Executor | Connection

ROWS = 1_000
READS = 2_000
UPDATES = 300
MARKS = 1_000

_UPSERT = """
INSERT INTO trade_watermarks AS stored (condition_id, last_timestamp, updated_at)
VALUES ($1, $2, $3) ON CONFLICT (condition_id) DO UPDATE
SET last_timestamp = GREATEST(stored.last_timestamp, EXCLUDED.last_timestamp),
    updated_at = EXCLUDED.updated_at
RETURNING condition_id, last_timestamp, updated_at
"""
_UPDATED_AT = "2025-10-09T08:53:20.000000+00:00"
MOVED = condition(ROWS - 1)
_marks = count(NOW + 1)


class _Read(NamedTuple):
    """A point read.

    Attributes:
        name: of the method.
        on: returns the call on a repository of a database or a connection.
        answer: what it returns.
    """

    name: str
    on: Callable[[Source], Call]
    answer: object


def _has_triggered(source: Source) -> Call:
    return partial(TriggerRepository(source).has_triggered, token(0), THRESHOLD)


def _should_trigger(source: Source) -> Call:
    """Neither the token nor its condition has triggered: both are looked for."""
    return partial(TriggerRepository(source).should_trigger, token(0), condition(0), ABSENT)


def _get_timestamp(source: Source) -> Call:
    return partial(TradeWatermarkRepository(source).get_timestamp, condition(0))


_READS = (
    _Read("has_triggered", _has_triggered, answer=True),
    _Read("get_timestamp", _get_timestamp, answer=NOW),
)


def cases(plan: Plan) -> Iterator[Case]:
    """Yield the cases."""
    for read in _READS:
        yield from _reads(read, plan.calls(READS))
    yield Case(
        "should_trigger / point select",
        "fetchval of one select by a primary key, held connection",
        1.5,
        partial(_against_point, plan.calls(READS)),
        on_uvloop=True,
    )
    yield Case(
        "watermark update / upsert",
        "fetchrow of an upsert, held connection",
        1.3,
        partial(_update, plan.calls(UPDATES)),
        on_uvloop=True,
    )
    marks = plan.calls(MARKS)
    yield Case(
        f"update_many of {marks:,} / as many updates",
        "this package's update of one after the other",
        20.0,
        partial(_update_many, marks),
        kind="rates",
        unit="ms",
    )


def _reads(read: _Read, calls: int) -> Iterator[Case]:
    yield Case(
        f"{read.name} / fetchval",
        "fetchval of the same statement, held connection",
        1.3,
        partial(_against_held, read, calls),
        on_uvloop=True,
    )
    yield Case(
        f"{read.name} / psycopg_pool",
        "psycopg's pool with the same statement, prepared, in autocommit",
        1.0,
        partial(_against_psycopg, read, calls),
        on_uvloop=True,
        needs=peers.PSYCOPG,
    )


async def _place(stage: Stage) -> Place:
    async def fill(held: Held) -> None:
        await fill_triggers(held, ROWS)
        await fill_marks(held, ROWS)

    return await stage.place("points", fill)


async def _against_held(read: _Read, calls: int, stage: Stage) -> Pair:
    place = await _place(stage)
    query, args = await sent(place.held, read.on(place.held))
    return Pair(
        timed(read.on(place.db), read.answer, times=calls),
        timed(partial(place.held.fetchval, query, *args), read.answer, times=calls),
    )


async def _against_psycopg(read: _Read, calls: int, stage: Stage) -> Pair:
    place = await _place(stage)
    query, args = await sent(place.held, read.on(place.held))
    pool = await stage.enter(peers.psycopg_pool(place.url))
    return Pair(
        timed(read.on(place.db), read.answer, times=calls),
        timed(peers.psycopg_fetchval(pool, query, args), read.answer, times=calls),
    )


async def _against_point(calls: int, stage: Stage) -> Pair:
    place = await _place(stage)
    query, args = await sent(place.held, _has_triggered(place.held))
    return Pair(
        timed(_should_trigger(place.db), expected=True, times=calls),
        timed(partial(place.held.fetchval, query, *args), expected=True, times=calls),
    )


async def _update(calls: int, stage: Stage) -> Pair:
    place = await _place(stage)
    marks = TradeWatermarkRepository(place.db)

    async def ours() -> bool:
        mark = next(_marks)
        return (await marks.update(MOVED, mark)).last_timestamp == mark

    async def base() -> bool:
        mark = next(_marks)
        row = await place.held.fetchrow(_UPSERT, MOVED, mark, _UPDATED_AT)
        return row is not None and row["last_timestamp"] == mark

    return Pair(timed(ours, expected=True, times=calls), timed(base, expected=True, times=calls))


async def _update_many(many: int, stage: Stage) -> Pair:
    place = await _place(stage)
    marks = TradeWatermarkRepository(place.db)
    keys = [condition(number) for number in range(ROWS, ROWS + many)]

    async def ours() -> int:
        mark = next(_marks)
        return await marks.update_many(dict.fromkeys(keys, mark))

    async def base() -> int:
        mark = next(_marks)
        moved = [await marks.update(key, mark) for key in keys]
        return sum(row.last_timestamp == mark for row in moved)

    return Pair(timed(ours, many), timed(base, many))
