"""Random kills, again and again, while rows are being written."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import asyncpg

from polymarket_bot.storage.embedded import EmbeddedPostgres
from tests.faults.record import SEED, TOLD, Trial, count

from .support import BROKEN, QUICK, kill, query, query_when_back, server_pids, state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .support import OwnerProcess

    NewOwner = Callable[[], OwnerProcess]

ROUNDS = count("ROUNDS", 20)


class Writer:
    """Inserts numbers, and knows which of them were acknowledged."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.attempted = 0
        self.acknowledged: set[int] = set()

    async def write(self) -> None:
        """Insert until the connection breaks."""
        with contextlib.suppress(*BROKEN):
            connection = await asyncpg.connect(self.url)
            try:
                while True:
                    self.attempted += 1
                    await connection.execute("INSERT INTO numbers VALUES ($1)", self.attempted)
                    self.acknowledged.add(self.attempted)
            finally:
                connection.terminate()

    async def check(self) -> None:
        """Compare with what is stored: all that was acknowledged, nothing that was not tried."""
        stored = set(await query_when_back(self.url, "SELECT array_agg(number) FROM numbers") or ())
        assert self.acknowledged <= stored <= set(range(1, self.attempted + 1))


async def test_no_acknowledged_row_is_lost_whoever_is_killed(
    data_dir: Path, new_owner: NewOwner
) -> None:
    chance, trial = random.Random(SEED), Trial("embedded")  # noqa: S311 - repeatable, not secret
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        await query(server.url, "CREATE TABLE numbers (number bigint PRIMARY KEY)")
        writer = Writer(server.url)
    for number in range(ROUNDS):
        try:
            await _round(chance, data_dir, new_owner, writer, trial)
        except BaseException as error:
            error.add_note(f"{TOLD}, round {number + 1} of {ROUNDS}")
            raise
    assert not server_pids(data_dir)
    assert writer.acknowledged
    trial.tell()


async def _round(
    chance: random.Random, data_dir: Path, new_owner: NewOwner, writer: Writer, trial: Trial
) -> None:
    owners = [new_owner() for _ in range(chance.choice((1, 1, 2)))]
    await asyncio.gather(*(owner.url() for owner in owners))
    writing = asyncio.create_task(writer.write())
    await asyncio.sleep(chance.uniform(0, 0.2))
    victim = chance.choice(("owners", "server", "server twice", "keeper", "server and owners"))
    if "server" in victim:
        kill(state(data_dir)["postmaster"])
        if "owners" not in victim:
            await writing
            await writer.check()
        if "twice" in victim:
            kill(state(data_dir)["postmaster"])
    if victim == "keeper":
        kill(state(data_dir)["keeper"])
    for owner in owners:
        owner.kill(chance.choice((signal.SIGKILL, signal.SIGTERM)))
    await writing
    async with AsyncExitStack() as stack:
        with trial.recovery():
            server = EmbeddedPostgres(data_dir, settings=QUICK)
            await stack.enter_async_context(server)
            await writer.check()
        assert server.url == writer.url
