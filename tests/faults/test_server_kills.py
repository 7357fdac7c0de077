"""A server that is killed, as a whole or one backend of it, while tasks write."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from polymarket_bot.storage import Database, DatabaseConfig

from .record import SEED, Trial, count
from .servers import Server
from .support import eventually, hold_to_whole
from .tokens import ALL, TABLE, Writers

KILLS = count("SERVER_KILLS", 4)
BACKENDS = count("BACKEND_KILLS", 10)
GO_ON = 5.0
"""Within how many seconds of the server's return everybody works again."""

CLIENTS = """
SELECT array_agg(pid) FROM pg_stat_activity
WHERE application_name LIKE 'polymarket%' AND pid <> pg_backend_pid()
"""


@asynccontextmanager
async def writing(server: Server) -> AsyncIterator[Writers]:
    """Have tasks write; at the end hold what is stored to what they were told."""
    await server.fetchval(TABLE)
    async with Database(DatabaseConfig(url=server.url())) as db:
        writers = Writers(db)
        async with writers.at_work():
            await writers.go_on()
            yield writers
        writers.check(await server.fetchval(ALL))
        await hold_to_whole(db)


async def test_writers_go_on_each_time_the_server_comes_back(server: Server) -> None:
    chance, trial = random.Random(SEED), Trial("server killed")  # noqa: S311 - repeatable
    async with writing(server) as writers:
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0, 0.05))
            await server.kill()
            await server.start()
            with trial.recovery():
                await writers.go_on(limit=GO_ON)
    trial.tell()


async def test_writers_go_on_each_time_a_backend_is_killed(server: Server) -> None:
    chance, trial = random.Random(SEED), Trial("backend killed")  # noqa: S311 - repeatable
    async with writing(server) as writers:
        for _ in range(BACKENDS):
            os.kill(chance.choice(await server.fetchval(CLIENTS)), signal.SIGKILL)
            await eventually(server.answers)  # it ends all sessions, and recovers
            with trial.recovery():
                await writers.go_on(limit=GO_ON)
            await asyncio.sleep(chance.uniform(0, 0.05))
    trial.tell()
