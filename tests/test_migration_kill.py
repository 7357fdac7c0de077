"""A runner that is killed at any instant leaves what the next one completes."""

from __future__ import annotations

import asyncio
import math
import random
import sys
import time
from typing import TYPE_CHECKING

from polymarket_bot.storage import Database, DatabaseConfig, seed_files
from tests.faults.record import SEED, TOLD, count, tell
from tests.schemas import dump, load

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = count("ROUNDS", 8)
FILL = """
INSERT INTO polymarket_trades (condition_id, trade_id, token_id, timestamp)
SELECT 'c' || n % 100, 't' || n, 'k' || n % 200, 1760000000 + n FROM generate_series(1, 20000) AS n
"""
RUNNER = """
import asyncio, sys
from polymarket_bot.storage import Database, DatabaseConfig

async def main(url, to):
    async with Database(DatabaseConfig(url=url, direct_url=url)) as db:
        print("ready", flush=True)
        await db.migrate(int(to))

asyncio.run(main(*sys.argv[1:]))
"""


class Runner:
    """Migrations in processes of their own, killed in the middle."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url, self._folder = url, folder
        self.killed = 0

    async def run(self, to: int, kill_after: float | None = None) -> float:
        """Migrate, with SIGKILL so many seconds after the connection.

        Return how long it took, or infinity when it was killed.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", RUNNER, self._url, str(to)),
            cwd=self._folder,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        await process.stdout.readline()
        began = time.monotonic()
        if kill_after is not None:
            await asyncio.sleep(kill_after)
            if process.returncode is None:
                process.kill()
        status = await process.wait()
        self.killed += status != 0
        assert kill_after is not None or status == 0
        return math.inf if status else time.monotonic() - began


async def test_a_migration_killed_at_any_instant_is_completed_by_the_next(
    empty_url: str, db_url: str, tmp_path: Path
) -> None:
    whole, chance = await dump(db_url), random.Random(SEED)  # noqa: S311 - instants, no secrets
    await load(empty_url, seed_files()[0])
    runner = Runner(empty_url, tmp_path)
    async with Database(DatabaseConfig(url=empty_url, direct_url=empty_url)) as db:
        await db.execute(FILL)
        up, down = await runner.run(3), await runner.run(1)
        for number in range(ROUNDS):
            told = f"{TOLD}, round {number}"
            up = min(up, await runner.run(3, chance.uniform(0, up)))
            if number % 2:
                await runner.run(1, chance.uniform(0, down))
            await db.migrate()
            assert list(await db.check_schema()) == [], told
            assert await dump(empty_url) == whole, told
            assert await db.fetchval("SELECT count(*) FROM ops.schema_version") == 3, told
            assert await db.fetchval("SELECT count(*) FROM polymarket_trades") == 20_000, told
            await db.migrate(1)
    assert runner.killed > ROUNDS // 2, "most of them ended before their kill"
    tell("worker killed", times=runner.killed)
