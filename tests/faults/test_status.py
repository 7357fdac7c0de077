"""`status` on servers that are away, take no writes, or keep prepared transactions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from polymarket_bot.storage import Database, DatabaseConfig
from tests.alarms import said, status
from tests.commands import start
from tests.test_watch import HEALTHY, left, line, until

from .proxy import Proxy
from .replica import Replica
from .servers import Server, Template

if TYPE_CHECKING:
    from pathlib import Path

NO_WRITES = "the server takes no writes: …"
RUNS = "look whether the server runs and DATABASE_URL names its host and port"
PREPARED = "the transaction prepared as … is open for …: …"


async def migrated(server: Server) -> None:
    async with Database(DatabaseConfig(url=server.url())) as db:
        await db.migrate()


async def test_a_replica_is_told_until_it_is_promoted(server: Server, tmp_path: Path) -> None:
    await migrated(server)
    async with Replica(server) as replica:
        await replica.until_caught_up()
        told = await status(replica.url(), tmp_path)
        assert (told.status, said(told.problems, NO_WRITES)) == (1, True)
        await replica.promote()
        assert (await status(replica.url(), tmp_path)).status == 0


async def test_a_server_made_read_only_is_told_until_it_takes_writes_again(
    server: Server, tmp_path: Path
) -> None:
    await migrated(server)
    for state, problems in (("on", [NO_WRITES]), ("off", [])):
        await server.fetchval(f"ALTER SYSTEM SET default_transaction_read_only = {state}")
        await server.restart()
        told = await status(server.url(), tmp_path)
        assert (told.status, said(told.problems, *problems)) == (len(problems), True)


async def test_a_server_that_does_not_answer_is_told_with_the_remedy(
    server: Server, proxy: Proxy
) -> None:
    await migrated(server)
    url = proxy.url_through(server.url())
    config = DatabaseConfig(
        url=url, min_connections=1, max_connections=1, command_timeout=1, connect_timeout=1
    )
    async with Database(config) as db:
        assert (await db.health()).healthy
        proxy.half_open()
        report = await db.health()
        assert not report.healthy
        assert [problem.partition("; ")[2] for problem in report.problems] == [RUNS]
        assert (await db.health()).healthy


async def test_a_prepared_transaction_is_told_until_it_ends(
    bundled: Template, tmp_path: Path
) -> None:
    async with Server(bundled, settings={"max_prepared_transactions": "1"}) as server:
        await migrated(server)
        async with Database(DatabaseConfig(url=server.url())) as db, db.connection() as connection:
            await connection.execute("BEGIN")
            await connection.execute("INSERT INTO polymarket_trades VALUES ('c', 't')")
            await connection.execute("PREPARE TRANSACTION 'payment'")
        told = await status(server.url(), tmp_path, "--max-transaction", "0")
        assert said(told.problems, PREPARED)
        assert "prepared as 'payment' by user predict" in told.problems[0]
        await server.fetchval("ROLLBACK PREPARED 'payment'")
        assert (await status(server.url(), tmp_path, "--max-transaction", "0")).status == 0


async def test_a_watch_goes_on_when_the_server_comes_back(server: Server, tmp_path: Path) -> None:
    await migrated(server)
    arguments = ("status", "--watch", "0.1", "--url", server.url())
    lines = await start(*arguments, cwd=tmp_path)
    objects = await start(*arguments, "--json", cwd=tmp_path)
    await until(lines, HEALTHY)
    await until(objects, '"healthy": true')
    for end in (server.stop, server.kill):
        await end()
        assert " not healthy: " in await until(lines, "look whether the server runs")
        assert json.loads(await until(objects, '"error": '))["healthy"] is False
        await server.start()
        await until(lines, HEALTHY)
        await until(objects, '"healthy": true')
    assert await left(lines) == await left(objects) == ""


async def test_a_watch_may_begin_before_the_server_does(server: Server, tmp_path: Path) -> None:
    await migrated(server)
    await server.stop()
    process = await start("status", "--watch", "0.1", "--url", server.url(), cwd=tmp_path)
    assert " not healthy: " in await line(process)
    await server.start()
    await until(process, HEALTHY)
    assert await left(process) == ""
