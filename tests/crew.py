"""Workers of a feed, run as processes: `python -m tests.crew`. One stores it, one processes it.

Each goes on until its standard input is closed, and then finishes what is left.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from polymarket_bot.storage import (
    Database,
    DatabaseConfig,
    PaperTrade,
    PaperTradeRepository,
    PolymarketTrade,
    StorageError,
    TradeRepository,
)
from tests.makers import NOW

T = TypeVar("T")

A_SECOND = 3  # trades of a condition


@dataclass
class Crew:
    """What a worker knows.

    Attributes:
        db: the database.
        conditions: how many there are.
        trades: how many there are in all.
        chance: this worker's own random numbers.
        stopped: set when the standard input was closed.
        patient: whether it tries again what fails, since the server is killed.
    """

    db: Database
    conditions: int
    trades: int
    chance: random.Random
    stopped: asyncio.Event
    patient: bool

    async def surely(self, do: Callable[[], Awaitable[T]]) -> T:
        """Do it, again and again where the server is gone."""
        while True:
            try:
                return await do()
            except StorageError:
                if not self.patient:
                    raise
                await asyncio.sleep(0.05)

    async def pause(self) -> None:
        """Do nothing for a while, sometimes."""
        if self.chance.random() < 0.3:
            await asyncio.sleep(self.chance.random() / 50)


def feed(crew: Crew) -> list[PolymarketTrade]:
    """Return all trades in the order of one source: a fifth of them come much too late."""
    delays = [
        crew.chance.uniform(0, crew.trades / 2 if crew.chance.random() < 0.2 else 50)
        for _ in range(crew.trades)
    ]
    order = sorted(range(crew.trades), key=lambda number: number + delays[number])
    return [_trade(number, crew.conditions) for number in order]


def _trade(number: int, conditions: int) -> PolymarketTrade:
    return PolymarketTrade(
        trade_id=f"{number:06}",
        condition_id=f"c{number % conditions}",
        token_id="t",  # noqa: S106
        price=0.5,
        timestamp=NOW + number // (conditions * A_SECOND),
    )


async def ingest(crew: Crew) -> AsyncIterator[list[Any]]:
    """Store the feed from any place on, round and round; at the end a whole round."""
    trades, stored = TradeRepository(crew.db), feed(crew)
    place = crew.chance.randrange(len(stored))
    stored = stored[place:] + stored[:place]
    while True:
        last = crew.stopped.is_set()
        while stored and (last or not crew.stopped.is_set()):
            page = stored[: crew.chance.randrange(1, 150)]
            report = await crew.surely(partial(_page, crew, trades, page))
            stored = stored[len(page) :]
            yield [report, last]
        if last:
            return
        stored = feed(crew)


async def _page(crew: Crew, trades: TradeRepository, page: list[PolymarketTrade]) -> list[int]:
    """Store a page, sometimes in a transaction that takes its time to commit."""
    async with crew.db.transaction():
        report = await trades.ingest(page)
        await crew.pause()
    return [report.read, report.inserted, report.duplicates, report.late]


async def work(crew: Crew) -> AsyncIterator[list[Any]]:
    """Process all conditions, round and round; at the end until nothing is left."""
    trades, paper = TradeRepository(crew.db), PaperTradeRepository(crew.db)
    conditions = [f"c{number}" for number in range(crew.conditions)]
    while True:
        last, found = crew.stopped.is_set(), 0
        crew.chance.shuffle(conditions)
        for condition in conditions:
            report = await crew.surely(
                partial(
                    trades.process_new,
                    condition,
                    partial(_note, crew, paper, "new"),
                    on_late=partial(_note, crew, paper, "late"),
                    limit=crew.chance.randrange(1, 60),
                )
            )
            found += report.handled + report.late + report.busy
            yield [condition, report.handled, report.late]
        if last and not found:
            return


async def process_ahead(db: Database, conditions: int, trades: int, chance: random.Random) -> None:
    """Store and process one trade of each condition: the tenth that is older then comes late."""
    crew = Crew(db, conditions, trades, chance, asyncio.Event(), patient=False)
    first = trades // 10
    ahead = [_trade(number, conditions) for number in range(first, first + conditions)]
    await TradeRepository(db).ingest(ahead)
    crew.stopped.set()
    async for _ in work(crew):
        pass


async def _note(
    crew: Crew, paper: PaperTradeRepository, how: str, trades: list[PolymarketTrade]
) -> None:
    """Write down each trade that was handed over: nothing keeps one from being there twice."""
    await crew.pause()
    await paper.create_many(
        PaperTrade(
            candidate_id=0,
            token_id=trade.trade_id,
            condition_id=trade.condition_id,
            threshold=0,
            decision=how,
            created_at="2025-10-09T12:00:00Z",
        )
        for trade in trades
    )
    await crew.pause()


KINDS = {"ingest": ingest, "work": work}


async def main(
    url: str,
    kind: str,
    seed: str,
    conditions: str,
    trades: str,
    patient: str = "",
    pooler: str = "",
) -> None:
    """Begin when a line arrives; print one line of JSON for each thing done."""
    config = DatabaseConfig(
        url=url, pooler=pooler or None, min_connections=1, max_connections=2, lock_timeout=30
    )
    async with Database(config) as db:
        stopped, chance = asyncio.Event(), random.Random(seed)  # noqa: S311 - repeatable
        crew = Crew(db, int(conditions), int(trades), chance, stopped, bool(patient))
        print("ready", flush=True)  # noqa: T201 - to the test
        await asyncio.to_thread(sys.stdin.readline)
        told = asyncio.create_task(_until_told(stopped))
        async for outcome in KINDS[kind](crew):
            print(json.dumps(outcome), flush=True)  # noqa: T201 - to the test
        await told


async def _until_told(stopped: asyncio.Event) -> None:
    await asyncio.to_thread(sys.stdin.read)
    stopped.set()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
