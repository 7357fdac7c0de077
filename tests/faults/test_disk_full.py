"""Disks that are full: the server's, its log's, and the client's own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from polymarket_bot.storage import (
    ConnectionLost,
    Database,
    DatabaseConfig,
    PolymarketTrade,
    ServerExhausted,
    StorageError,
    TradeRepository,
)
from tests.commands import run
from tests.hostile_values import INCOMPRESSIBLE
from tests.makers import NOW, payload

from .disks import SmallDisk, small_disk
from .processes import give_to
from .record import Trial, count
from .servers import Server
from .support import eventually, hold_to_whole

ROUNDS = count("ROUNDS", 2)
PAGE = 600  # enough to go through a temporary table
LONG = INCOMPRESSIBLE[:900]
PAGES = """
SELECT left(trade_id, 4)::int AS page, count(*) AS trades FROM polymarket_trades GROUP BY 1
"""


def page(number: int) -> list[PolymarketTrade]:
    return [
        PolymarketTrade(
            trade_id=f"{number:04}-{n:04}", condition_id="c", outcome=LONG, timestamp=NOW + n
        )
        for n in range(PAGE)
    ]


async def hold_to_pages(db: Database, stored: set[int], *unknown: int) -> None:
    """Hold what is stored to the pages that were acknowledged, each of them whole.

    Of some it may be unknown whether they are there.
    """
    found = {row["page"]: row["trades"] for row in await db.fetch(PAGES)}
    assert stored <= found.keys() <= stored | set(unknown)
    assert set(found.values()) == {PAGE}


class Filler:
    """Stores page after page, by one method and the other."""

    def __init__(self, db: Database) -> None:
        self.stored: set[int] = set()
        self._trades = TradeRepository(db)
        self.number = 0
        self.enough = False

    async def store(self) -> None:
        self.number += 1
        number, trades = self.number, page(self.number)
        if number % 2:
            await self._trades.create_many(trades)
        else:
            await self._trades.ingest(trades)
        self.stored.add(number)

    async def fill(self) -> StorageError | None:
        """Store until that is enough, or fails; return how."""
        try:
            while not self.enough:
                await self.store()
        except StorageError as error:
            return error
        return None


@asynccontextmanager
async def tables_on(server: Server, size: str) -> AsyncIterator[SmallDisk]:
    """Have the tables that will be made in a small disk of their own."""
    folder = server.folder / "small"
    folder.mkdir()
    account = server.installation.account
    with small_disk(folder, size, account.uid if account else os.geteuid()) as disk:
        await server.fetchval(f"CREATE TABLESPACE small LOCATION '{folder}'")
        await server.fetchval("ALTER DATABASE predict SET default_tablespace = small")
        try:
            yield disk
        finally:
            await server.kill()


async def test_a_server_without_room_for_rows_says_so_and_goes_on_with_room(
    server: Server,
) -> None:
    trial = Trial("disk full")
    async with (
        tables_on(server, "16m") as disk,
        Database(DatabaseConfig(url=server.url())) as db,
    ):
        await db.migrate()
        filler = Filler(db)
        for number in range(ROUNDS):
            error = await filler.fill()
            assert isinstance(error, ServerExhausted)
            assert error.sqlstate == "53100"
            assert "nothing was written; free space" in str(error)
            await hold_to_pages(db, filler.stored)
            disk.resize(f"{16 * (number + 2)}m")
            with trial.recovery():
                await filler.store()
            await hold_to_pages(db, filler.stored)
        assert len(filler.stored) > 2 * ROUNDS
        await hold_to_whole(db)
    trial.tell()


@asynccontextmanager
async def log_on(server: Server, size: str) -> AsyncIterator[SmallDisk]:
    """Have the server's log in a small disk of its own."""
    await server.stop()
    log, aside = server.folder / "data" / "pg_wal", server.folder / "aside"
    await asyncio.to_thread(shutil.copytree, log, aside)
    account = server.installation.account
    owner = account.uid if account else os.geteuid()
    with small_disk(log, size, owner) as disk:
        await asyncio.to_thread(shutil.copytree, aside, log, dirs_exist_ok=True)
        give_to(account, *log.rglob("*"), log)
        await server.start()
        try:
            yield disk
        finally:
            await server.kill()


async def test_a_server_without_room_for_its_log_loses_nothing_that_it_acknowledged(
    server: Server,
) -> None:
    trial = Trial("disk full")
    async with (
        log_on(server, "24m") as disk,
        Database(DatabaseConfig(url=server.url(), acquire_timeout=1)) as db,
    ):
        await db.migrate()
        filler = Filler(db)
        filling = asyncio.create_task(filler.fill())
        await eventually(lambda: filling.done() or not server.is_running)
        filler.enough = True
        disk.resize("256m")
        with trial.recovery():
            if not server.is_running:  # without room it cannot recover by itself
                await server.start()
            await eventually(server.answers)
        error = await filling
        assert error is None or isinstance(error, ServerExhausted | ConnectionLost)
        await hold_to_pages(db, filler.stored, filler.number)
        await filler.store()
        await hold_to_whole(db)
    trial.tell()


async def test_a_rejects_file_without_room_is_named_and_costs_no_trade(
    db: Database, db_url: str, tmp_path: Path
) -> None:
    trial, folder = Trial("disk full"), tmp_path / "small"
    folder.mkdir()
    feed = tmp_path / "feed.jsonl"
    bad = json.dumps(payload(price=7, title=LONG))
    good = [json.dumps(payload(size=n + 1)) for n in range(100)]
    feed.write_text("".join(f"{one}\n{bad}\n" for one in good))
    rejects = folder / "refused.jsonl"
    command = ("ingest", feed, "--json", "--url", db_url, "--rejects", rejects)
    with small_disk(folder, "64k") as disk:
        outcome = await run(*command, cwd=tmp_path)
        assert outcome.status == 1
        assert "Traceback" not in outcome.err
        assert str(rejects) in outcome.json["error"]
        assert "No space left on device; make room" in outcome.json["error"]
        assert not rejects.exists()
        disk.resize("1m")
        with trial.recovery():
            total = (await run(*command, cwd=tmp_path)).json["total"]
        assert (total["read"], total["refused"]) == (200, 100)
        assert len(rejects.read_text().splitlines()) == 100
    assert await db.fetchval("SELECT count(*) FROM polymarket_trades") == 100
    trial.tell()
