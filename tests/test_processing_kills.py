"""Workers and ingesters are killed at any instant: every trade's effect is there once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from polymarket_bot.storage import Database
from tests.crew import process_ahead
from tests.faults.record import SEED, TOLD, count, tell
from tests.questions import deadlocks
from tests.racing import Racer

KILLS = count("PROCESS_KILLS", 20)
TRADES = count("TRADES", 3_000)
CONDITIONS = count("CONDITIONS", 10)
KINDS = ("work", "work", "work", "ingest", "ingest")
LATE = "SELECT count(*) FROM ops.late_trades"
HANDED_OVER = """
SELECT decision, paper.condition_id, timestamp, trade_id FROM paper_trades AS paper
JOIN polymarket_trades AS trade
  ON trade.condition_id = paper.condition_id AND trade.trade_id = paper.token_id
ORDER BY paper.id
"""


class Crew:
    """Three workers and two ingesters, each replaced when it was killed."""

    def __init__(self, url: str, *options: str, trades: int = TRADES) -> None:
        self._url, self._options, self._trades = url, options, trades
        self._chance = random.Random(SEED)  # noqa: S311 - repeatable, no secret
        self.all: list[Racer] = []

    def _hire(self, kind: str) -> Racer:
        seed = SEED + len(self.all)
        racer = Racer(
            *(self._url, kind, seed, CONDITIONS, self._trades, *self._options), module="tests.crew"
        )
        self.all.append(racer)
        return racer

    async def begin(self, db: Database) -> None:
        """See to it that some trades come late, however fast the ingesters are."""
        await process_ahead(db, CONDITIONS, self._trades, self._chance)

    async def under_fire(self, kills: int) -> None:
        """Let them work, and kill one after the other, `kills` in all."""
        each = [kills // len(KINDS) + (place < kills % len(KINDS)) for place in range(len(KINDS))]
        await asyncio.gather(*map(self._dangerous, KINDS, each))

    async def _dangerous(self, kind: str, kills: int) -> None:
        for _ in range(kills):
            racer = self._hire(kind)
            await racer.start()
            await racer.race(self._chance.uniform(0.001, 0.6))
            assert racer.status == -9, f"{TOLD}: a {kind} ended by itself"

    async def finish(self, meanwhile: Iterable[asyncio.Task[None]] = ()) -> None:
        """Let them store and process what is left, once the others' tasks have ended."""
        crew = [self._hire(kind) for kind in KINDS]
        await asyncio.gather(*(racer.start() for racer in crew))
        running = {racer: asyncio.create_task(racer.race()) for racer in crew}
        await asyncio.gather(*meanwhile)
        for kind in ("ingest", "work"):
            team = [racer for racer in crew if racer.arguments[1] == kind]
            for racer in team:
                racer.stop()
            await asyncio.gather(*(running[racer] for racer in team))
        assert [racer.status for racer in crew] == [0] * len(crew), TOLD

    def said(self, kind: str) -> list[list[Any]]:
        """Return what those of a kind had acknowledged."""
        return [
            outcome
            for racer in self.all
            if racer.arguments[1] == kind
            for outcome in racer.outcomes
        ]


async def hold_to_once(db: Database, crew: Crew, trades: int = TRADES) -> None:
    """Hold the effects against the trades: each once, and the new ones in their order."""
    assert await db.fetchval("SELECT count(*) FROM polymarket_trades") == trades, TOLD
    rows = await db.fetch(HANDED_OVER)
    assert len(rows) == trades, f"{TOLD}: {len(rows)} of {trades} were handed over"
    assert len({row["trade_id"] for row in rows}) == trades, f"{TOLD}: one was handed over twice"
    hold_to_order(rows)
    assert await db.fetchval(f"{LATE} WHERE handled_at IS NULL") == 0, TOLD
    late = sum(row["decision"] == "late" for row in rows)
    assert late == await db.fetchval(LATE), TOLD
    assert late > trades // 50, "too few were late for this to try anything"
    inserted = sum(report[1] for report, _ in crew.said("ingest"))
    assert inserted <= trades, f"{TOLD}: one was acknowledged twice"
    for report, _ in crew.said("ingest"):
        assert report[0] == report[1] + report[2], TOLD


def hold_to_order(rows: Iterable[Any]) -> None:
    """Hold the new trades of each condition to the order of time and id."""
    seen: dict[str, list[tuple[int, str]]] = {}
    for decision, condition, timestamp, trade_id in rows:
        if decision == "new":
            seen.setdefault(condition, []).append((timestamp, trade_id))
    for places in seen.values():
        assert all(before < after for before, after in pairwise(places)), TOLD


async def test_every_effect_is_there_once_though_workers_and_ingesters_are_killed(
    db: Database, db_url: str
) -> None:
    crew = Crew(db_url)
    await crew.begin(db)
    await crew.under_fire(KILLS)
    await crew.finish()
    await hold_to_once(db, crew)
    assert await deadlocks(db) == 0, TOLD
    tell("worker killed", times=len([racer for racer in crew.all if racer.status == -9]))
