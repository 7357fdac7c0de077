"""Many tasks on few connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import asyncpg

from benchmarks.harness import Call, Case, Pair, Plan, check, timed
from benchmarks.rows import (
    ABSENT,
    BUSY,
    NOW,
    THRESHOLD,
    condition,
    fill_marks,
    fill_trades,
    fill_triggers,
    token,
)
from benchmarks.server import CONNECTIONS, Stage
from benchmarks.statements import sent
from polymarket_bot.storage import TradeRepository, TradeWatermarkRepository, TriggerRepository

if TYPE_CHECKING:
    from benchmarks.server import Held
    from polymarket_bot.storage.connections.blocks import Connection
    from polymarket_bot.storage.connections.executor import Executor

TASKS = 16
TURNS = 50
LISTED = 10
ROWS = 1_000


def cases(plan: Plan) -> Iterator[Case]:
    """Yield the cases."""
    yield Case(
        f"{TASKS} tasks on {CONNECTIONS} connections / asyncpg's pool",
        "the same statements on asyncpg's pool of as many connections",
        1.3,
        partial(_mixed, plan.calls(TURNS)),
        kind="rates",
        on_uvloop=True,
    )


def _reads(source: Executor | Connection) -> list[Call]:
    """Return what each task asks in turn: three point reads, and a short list."""
    trades, triggers = TradeRepository(source), TriggerRepository(source)
    marks = TradeWatermarkRepository(source)
    return [
        partial(triggers.has_triggered, token(0), THRESHOLD),
        partial(marks.get_timestamp, condition(0)),
        partial(triggers.should_trigger, token(0), condition(0), ABSENT),
        partial(trades.get_recent, condition(0), BUSY * LISTED - 1, now=NOW),
    ]


def _right(answers: list[Any]) -> bool:
    triggered, mark, new, recent = answers
    return triggered is True and mark == NOW and new is True and len(recent) == LISTED


async def _fill(held: Held) -> None:
    await fill_trades(held, 10 * BUSY * LISTED)
    await fill_triggers(held, ROWS)
    await fill_marks(held, ROWS)


async def _mixed(turns: int, stage: Stage) -> Pair:
    place = await stage.place("crowd", _fill)
    statements = [await sent(place.held, read) for read in _reads(place.held)]
    pool = await stage.enter(_pool(place.url))
    bare: list[Call] = [partial(pool.fetchval, s.query, *s.args) for s in statements[:-1]]
    bare.append(partial(pool.fetch, statements[-1].query, *statements[-1].args))
    parts = TASKS * turns * len(bare)
    return Pair(
        timed(partial(_run, _reads(place.db), turns), None, parts=parts),
        timed(partial(_run, bare, turns), None, parts=parts),
    )


async def _run(reads: list[Call], turns: int) -> None:
    """Have the tasks ask, each in a row of its own, and all of them together."""

    async def task() -> None:
        for _ in range(turns):
            answers = [await read() for read in reads]
            check(_right(answers), expected=True)

    async with asyncio.TaskGroup() as group:
        for _ in range(TASKS):
            group.create_task(task())


@asynccontextmanager
async def _pool(url: str) -> AsyncIterator[Any]:
    async with asyncpg.create_pool(url, min_size=CONNECTIONS, max_size=CONNECTIONS) as pool:
        yield pool
