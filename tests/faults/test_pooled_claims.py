"""Claims through a transaction pooler: the locks are the transaction's, so one still wins."""

from __future__ import annotations

from polymarket_bot.storage import Database, DatabaseConfig
from tests.racing import race
from tests.test_claim_races import judge, racers

from .pgbouncer import PgBouncer, pgbouncer_binary
from .servers import Installation, Server, Template
from .support import require


async def test_of_eight_processes_behind_a_pooler_one_wins_each_claim() -> None:
    binary = require(pgbouncer_binary(), "pgbouncer")
    async with (
        Template(Installation.bundled()) as template,
        Server(template) as server,
        PgBouncer(binary, server) as pooler,
        Database(DatabaseConfig(url=server.url())) as db,
    ):
        await db.migrate()
        workers = racers(pooler.url(), ["claim"] * 8, "transaction")
        await race(workers)
        await judge(db, workers)
