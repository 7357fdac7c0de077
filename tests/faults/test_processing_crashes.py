"""The server is killed while workers process and ingest: every trade's effect is there once."""

from __future__ import annotations

import asyncio
import random

from polymarket_bot.storage import Database, DatabaseConfig
from tests.test_processing_kills import TRADES, Crew, hold_to_once

from .record import SEED, count, tell
from .servers import Server

CRASHES = count("CRASHES", 3)


async def test_every_effect_is_there_once_though_the_server_is_killed(server: Server) -> None:
    async with Database(DatabaseConfig(url=server.url())) as db:
        await db.migrate()
        crew = Crew(server.url(), "patient", trades=2 * TRADES)
        await crew.begin(db)
        await crew.finish([asyncio.create_task(crashes(server))])
        await hold_to_once(db, crew, trades=2 * TRADES)
    tell("server killed", times=CRASHES)


async def crashes(server: Server) -> None:
    """Kill the server and start it again, some times."""
    chance = random.Random(SEED)  # noqa: S311 - repeatable, no secret
    for _ in range(CRASHES):
        await asyncio.sleep(chance.uniform(0.2, 1.2))
        await server.kill()
        await server.start()
