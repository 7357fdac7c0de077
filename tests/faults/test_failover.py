"""Servers that are killed, restarted, demoted or replaced while one `Database` goes on."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from polymarket_bot.storage import (
    ConnectionLost,
    Database,
    DatabaseConfig,
    Outcome,
    ReadOnlyServer,
    ServerUnavailable,
)

from .pgbouncer import PgBouncer, pgbouncer_binary
from .proxy import Action, Proxy
from .record import SEED, Trial, count
from .replica import Replica, multi_host_url
from .servers import Server, Template
from .support import eventually, hold_to_whole, require
from .tokens import ALL, INSERT, TABLE, Writers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FAILOVERS = count("FAILOVERS", 1)
GO_ON = 5.0
"""Within how many seconds of the promotion everybody works again."""


@pytest.fixture
async def primary(server: Server) -> Server:
    await server.fetchval(TABLE)
    return server


@pytest.fixture
async def replica(primary: Server) -> AsyncIterator[Replica]:
    """Give a standby that has every row before the primary acknowledges it."""
    async with Replica(primary) as running:
        await running.until_caught_up()
        await primary.fetchval("ALTER SYSTEM SET synchronous_standby_names = '*'")
        await reload(primary)
        state = "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
        await eventually(lambda: primary.fetchval(state))
        yield running


async def reload(server: Server) -> None:
    assert await server.fetchval("SELECT pg_reload_conf()")


async def demote(server: Server) -> None:
    """Make a server refuse writes, in the sessions that are open, too."""
    await server.fetchval("ALTER SYSTEM SET default_transaction_read_only = on")
    await reload(server)
    refuses = "SELECT current_setting('default_transaction_read_only') = 'on'"
    await eventually(lambda: server.fetchval(refuses))


@pytest.mark.parametrize("number", range(FAILOVERS))
async def test_writers_go_on_after_a_failover_and_nothing_acknowledged_is_lost(
    primary: Server, replica: Replica, number: int
) -> None:
    trial, chance = Trial("failover"), random.Random(SEED + number)  # noqa: S311 - repeatable
    async with Database(DatabaseConfig(url=multi_host_url(primary, replica))) as db:
        writers = Writers(db)
        async with writers.at_work():
            await writers.have_stored_more()
            await asyncio.sleep(chance.uniform(0, 0.05))
            await primary.kill()
            await replica.promote()
            with trial.recovery():
                await writers.go_on(limit=GO_ON)
            await writers.have_stored_more()
        writers.check(await replica.fetchval(ALL))
        assert await db.fetchval("SHOW port") == str(replica.port)
        await hold_to_whole(db)
    trial.tell()


@pytest.mark.parametrize("action", [Action.HOLD, Action.HOLD_REPLY])
async def test_the_outcome_of_a_commit_that_a_failover_cut_is_unknown(
    primary: Server, replica: Replica, action: Action
) -> None:
    async with Proxy.in_front_of(primary.url()) as proxy:
        url = multi_host_url(primary, replica).replace(f":{primary.port}", f":{proxy.port}")
        async with Database(DatabaseConfig(url=url)) as db:
            held = proxy.when("^commit", action)

            async def write() -> None:
                async with db.transaction():
                    await db.execute(INSERT, "held")

            writing = asyncio.create_task(write())
            await (held.requested if action is Action.HOLD else held.answered).wait()
            await primary.kill()
            proxy.refuse()
            proxy.cut_all()
            await replica.promote()
            for number in range(50):  # among them is one of the same transaction id
                await replica.fetchval(INSERT, f"after-{number}")
            with pytest.raises(ConnectionLost) as caught:
                await writing
            assert caught.value.outcome is Outcome.UNKNOWN
            stored = await db.fetchval("SELECT count(*) FROM tokens WHERE token = 'held'")
            assert stored == (action is Action.HOLD_REPLY)
            assert await db.fetchval(INSERT, "kept") == "kept"


@pytest.mark.parametrize("more", [0, 50])  # with none, the server has not yet come to that id
async def test_a_transaction_id_that_is_used_again_after_a_crash_is_not_taken_for_the_lost_one(
    bundled: Template, more: int
) -> None:
    settings = {"wal_writer_delay": "10s", "autovacuum": "off"}  # the lost one reaches no file
    async with Server(bundled, settings=settings) as server:
        await server.fetchval(TABLE)
        await server.fetchval("CHECKPOINT")
        async with (
            Proxy.in_front_of(server.url()) as proxy,
            Database(DatabaseConfig(url=proxy.url_through(server.url()))) as db,
        ):
            held = proxy.when("^commit", Action.HOLD)

            async def write() -> None:
                async with db.transaction():
                    await db.execute(INSERT, "held")

            writing = asyncio.create_task(write())
            await held.requested.wait()
            await server.kill()
            await server.start()
            for number in range(more):
                await server.fetchval(INSERT, f"after-{number}")
            with pytest.raises(ConnectionLost) as caught:
                await writing
            assert caught.value.outcome is not Outcome.COMMITTED
            assert more or caught.value.outcome is Outcome.ROLLED_BACK
            assert not await db.fetchval("SELECT count(*) FROM tokens WHERE token = 'held'")
            assert await db.fetchval(INSERT, "kept") == "kept"


async def test_a_demoted_primary_is_left_for_the_new_one(primary: Server, replica: Replica) -> None:
    async with Database(DatabaseConfig(url=multi_host_url(primary, replica))) as db:
        assert await db.fetchval(INSERT, "first") == "first"
        await replica.until_caught_up()
        await demote(primary)
        await replica.promote()
        with pytest.raises(ReadOnlyServer, match="target_session_attrs=read-write"):
            await db.execute(INSERT, "refused")
        assert await db.fetchval("SHOW port") == str(replica.port)
        assert await db.fetchval(INSERT, "second") == "second"
        async with db.transaction():
            await db.execute(INSERT, "third")
        assert sorted(await replica.fetchval(ALL)) == ["first", "second", "third"]


async def test_writers_leave_a_demoted_primary(primary: Server, replica: Replica) -> None:
    async with Database(DatabaseConfig(url=multi_host_url(primary, replica))) as db:
        writers = Writers(db)
        async with writers.at_work():
            await writers.have_stored_more()
            await demote(primary)
            await eventually(lambda: any(isinstance(e, ReadOnlyServer) for e in writers.failures))
            await replica.until_caught_up()
            await replica.promote()
            await writers.have_stored_more()
        writers.check(await replica.fetchval(ALL))


async def test_a_standby_refuses_writes_with_the_remedy_and_takes_them_once_promoted(
    primary: Server, replica: Replica
) -> None:
    async with Database(DatabaseConfig(url=primary.url())) as first:
        await first.migrate()
    await replica.until_caught_up()
    async with Database(DatabaseConfig(url=replica.url())) as db:
        for _ in range(2):
            with pytest.raises(ReadOnlyServer, match="target_session_attrs=read-write"):
                await db.execute(INSERT, "refused")
            with pytest.raises(ReadOnlyServer):
                async with db.transaction():
                    await db.execute(INSERT, "refused")
        assert not (await db.health()).healthy
        await primary.kill()
        await replica.promote()
        assert await db.fetchval(INSERT, "kept") == "kept"
        assert (await db.health()).healthy


async def test_a_start_waits_for_a_server_that_starts_and_no_longer_than_its_limit(
    server: Server,
) -> None:
    await server.stop()
    config = DatabaseConfig(url=server.url(), connect_timeout=0.2)
    with pytest.raises(ServerUnavailable, match="look whether the server runs"):
        await asyncio.wait_for(Database(config).initialize(), 60)
    db = Database(config.model_copy(update={"connect_timeout": 60}))
    opening = asyncio.create_task(db.initialize())
    await asyncio.sleep(0.1)
    assert not opening.done()
    await server.start()
    await opening
    assert await db.fetchval("SELECT 1") == 1
    await db.close()


@pytest.mark.parametrize("place", ["client and pool", "pool and server"])
@pytest.mark.parametrize("action", [Action.CUT_BEFORE, Action.CUT_AFTER, Action.CUT_WITHIN])
async def test_the_outcome_of_a_commit_lost_around_a_pooler_is_found_out(
    primary: Server, place: str, action: Action
) -> None:
    binary = require(pgbouncer_binary(), "pgbouncer")
    async with Proxy.in_front_of(primary.url()) as behind:
        port = behind.port if place == "pool and server" else None
        settings = {"server_login_retry": "0.1"}
        async with (
            PgBouncer(binary, primary, settings=settings, server_port=port) as pool,
            Proxy.in_front_of(pool.url()) as before,
            Database(
                DatabaseConfig(url=before.url_through(pool.url()), pooler="transaction")
            ) as db,
        ):
            (behind if port else before).when("^commit", action)
            with pytest.raises(ConnectionLost) as caught:
                async with db.transaction():
                    await db.execute(INSERT, "lost")
            unlocked = "SELECT count(*) = 0 FROM pg_locks WHERE relation = 'tokens'::regclass"
            await eventually(lambda: primary.fetchval(unlocked))
            stored = await primary.fetchval("SELECT count(*) FROM tokens")
            assert stored == (action is not Action.CUT_BEFORE)
            assert caught.value.outcome == (Outcome.COMMITTED if stored else Outcome.ROLLED_BACK)
            assert await db.fetchval(INSERT, "kept") == "kept"
