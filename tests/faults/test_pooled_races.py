"""Claims and processing through a transaction pooler: the locks are the transaction's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from polymarket_bot.storage import Database, DatabaseConfig
from tests.racing import race_together
from tests.test_claim_races import TABLE, judge, racers
from tests.test_processing_kills import TRADES, Crew, hold_to_once

from .pgbouncer import PgBouncer, pgbouncer_binary
from .support import require

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .servers import Server


@pytest.fixture
async def pooler(server: Server) -> AsyncIterator[PgBouncer]:
    binary = require(pgbouncer_binary(), "pgbouncer")
    async with (
        PgBouncer(binary, server) as running,
        Database(DatabaseConfig(url=server.url())) as direct,
    ):
        await direct.migrate()
        yield running


async def test_of_eight_processes_behind_a_pooler_one_wins_each_claim(
    server: Server, pooler: PgBouncer
) -> None:
    workers = racers(pooler.url(), ["claim"] * 8, "transaction")
    async with Database(DatabaseConfig(url=server.url())) as db:
        await race_together(db, TABLE, workers)
        await judge(db, workers)


async def test_behind_a_pooler_every_effect_is_there_once_though_workers_are_killed(
    server: Server, pooler: PgBouncer
) -> None:
    crew = Crew(pooler.url(), "", "transaction", trades=TRADES // 3)
    async with Database(DatabaseConfig(url=server.url())) as db:
        await crew.begin(db)
        await crew.under_fire(5)
        await crew.finish()
        await hold_to_once(db, crew, trades=TRADES // 3)
