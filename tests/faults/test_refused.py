"""What is made on purpose: each has an error of its own, in time, with the remedy in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from polymarket_bot.storage import (
    AccessRefused,
    Database,
    DatabaseConfig,
    ReadOnlyServer,
    SchemaDrift,
    SchemaMissing,
    ServerExhausted,
    ServerUnavailable,
    StorageError,
    TlsRefused,
    TooManyConnections,
    TradeRepository,
    TriggerRepository,
)
from tests.makers import payload, trade, trigger

from .processes import free_port
from .proxy import Proxy
from .record import Trial
from .servers import PASSWORD, Server, Template
from .support import connected, hold_to_whole
from .test_secrets import QUOTED, SECRET, check

LIMIT = 30
"""Seconds that no call may take, whatever its own limits are."""

RUNS = "look whether the server runs and DATABASE_URL names its host and port"
URL = "check the user, the password and the database in DATABASE_URL"
FULL = """
SELECT count(*) = current_setting('max_connections')::int FROM pg_stat_activity
WHERE backend_type = 'client backend'
"""
GREEDY = """
CREATE FUNCTION greedy() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM repeat('x', 800000000); RETURN NULL; END $$;
CREATE TRIGGER greedy AFTER INSERT ON polymarket_trades EXECUTE FUNCTION greedy()
"""


@pytest.fixture
async def guarded(bundled: Template) -> AsyncIterator[Server]:
    """Give a small server that asks for the password."""
    settings = {"max_connections": "4", "superuser_reserved_connections": "0"}
    settings |= {"reserved_connections": "0", "max_wal_senders": "0"}
    async with Server(bundled, rules=PASSWORD, password=SECRET, settings=settings) as server:
        yield server


@pytest.fixture
async def db(guarded: Server) -> AsyncIterator[Database]:
    async with Database(config_for(guarded)) as database:
        await database.migrate()
        yield database


def config_for(server: Server, **changes: Any) -> DatabaseConfig:
    limits = {"connect_timeout": 1, "acquire_timeout": 1, "min_connections": 1}
    limits |= {"max_connections": 2, "command_timeout": 10}
    return DatabaseConfig(**{"url": server.url(password=SECRET), **limits, **changes})


async def refusal(
    kind: type[StorageError], remedy: str, attempt: Callable[[], Awaitable[object]]
) -> StorageError:
    """Return the error, which is of just this kind, in time, has its remedy, and no password."""
    with pytest.raises(StorageError) as caught:
        await asyncio.wait_for(attempt(), LIMIT)
    assert type(caught.value) is kind
    assert remedy in str(caught.value)
    check(caught.value)
    return caught.value


async def opening_is_refused(
    server: Server, kind: type[StorageError], remedy: str, **changes: Any
) -> None:
    """Hold opening to being refused, and the same server to being opened as it should be."""
    trial = Trial("refused")
    await refusal(kind, remedy, Database(config_for(server, **changes)).initialize)
    with trial.recovery():
        async with Database(config_for(server)) as db:
            assert await db.fetchval("SELECT 1") == 1
    trial.tell()


async def test_what_the_server_does_not_know_is_refused(guarded: Server) -> None:
    wrong = [
        guarded.url(password=f"{SECRET} not"),
        guarded.url(password=SECRET, user="nobody"),
        guarded.url(password=SECRET, database="none"),
        guarded.url(),
    ]
    for url in wrong:
        await opening_is_refused(guarded, AccessRefused, URL, url=url)


async def test_a_server_that_is_not_there_is_told_within_the_limit(guarded: Server) -> None:
    nowhere = guarded.url(password=SECRET, host="nowhere.invalid")
    closed = f"postgresql://predict:{QUOTED}@127.0.0.1:{free_port()}/predict"
    folder = f"postgresql://predict:{QUOTED}@/predict?host=/nowhere"
    for url in (nowhere, closed, folder):
        await opening_is_refused(guarded, ServerUnavailable, RUNS, url=url)


async def test_a_server_that_does_not_answer_is_told_within_the_limit(guarded: Server) -> None:
    async with Proxy.in_front_of(guarded.url()) as proxy:
        proxy.stall()
        silent = proxy.url_through(guarded.url(password=SECRET))
        await opening_is_refused(guarded, ServerUnavailable, RUNS, url=silent)


async def test_tls_that_a_server_has_not_is_refused(guarded: Server) -> None:
    await opening_is_refused(guarded, TlsRefused, "check tls=", tls="require")


async def test_a_server_without_a_free_connection_is_told_and_used_when_it_has_one(
    guarded: Server,
) -> None:
    trial, url = Trial("refused"), guarded.url(password=SECRET)
    async with Database(config_for(guarded)) as db:
        async with connected(url), connected(url), connected(url) as last:
            assert await last.fetchval(FULL)
            await refusal(
                TooManyConnections,
                "lower max_connections",
                Database(config_for(guarded)).initialize,
            )
            async with db.connection():  # its only one, and it gets no second
                await refusal(
                    TooManyConnections,
                    "lower max_connections",
                    lambda: asyncio.create_task(db.fetchval("SELECT 1")),
                )
        with trial.recovery():
            await hold_to_whole(db)
    trial.tell()


async def test_a_server_without_memory_says_so_and_has_stored_nothing(bundled: Template) -> None:
    trial, limit = Trial("refused"), 1 << 29
    settings = {"shared_buffers": "8MB"}
    async with (
        Server(bundled, settings=settings, memory=limit) as server,
        Database(DatabaseConfig(url=server.url())) as db,
    ):
        await db.migrate()
        trades = TradeRepository(db)
        await db.execute(GREEDY)
        for attempt in (
            lambda: trades.create(trade()),
            lambda: trades.create_many(map(trade, "abc")),
            lambda: trades.ingest([payload()]),
            lambda: db.fetchval("SELECT repeat('x', 800000000)"),
        ):
            error = await refusal(ServerExhausted, "nothing was written; free space or", attempt)
            assert getattr(error, "sqlstate", None) == "53200"
        assert await trades.count() == 0
        await db.execute("DROP TRIGGER greedy ON polymarket_trades")
        with trial.recovery():
            assert await trades.create_many(map(trade, "abc")) == 3
        await hold_to_whole(db)
    trial.tell()


async def test_a_server_without_room_for_locks_says_so_and_has_stored_nothing(
    bundled: Template,
) -> None:
    trial = Trial("refused")
    settings = {"max_connections": "10", "max_locks_per_transaction": "10"}
    async with (
        Server(bundled, settings=settings) as server,
        Database(DatabaseConfig(url=server.url(), max_connections=2)) as db,
    ):
        await db.migrate()
        triggers = TriggerRepository(db)

        async def claim_too_many() -> None:
            async with db.transaction():
                for number in range(10_000):
                    await triggers.claim(trigger(f"t{number}", condition_id=f"c{number}"))

        await refusal(ServerExhausted, "raise max_locks_per_transaction", claim_too_many)
        assert await triggers.count() == 0
        with trial.recovery():
            assert await triggers.claim(trigger("t0", condition_id="c0"))
            assert await triggers.create_many(trigger(f"t{n}") for n in range(1, 2_000)) > 0
        await hold_to_whole(db)
    trial.tell()


@asynccontextmanager
async def changed(server: Server, how: str, back: str) -> AsyncIterator[None]:
    """Change something on the server, and put it back."""
    async with connected(server.socket_url()) as operator:
        await operator.execute(how)
        yield
        await operator.execute(back)  # in a session that was open before


async def test_a_read_only_server_takes_no_write_and_says_where_to_look(
    guarded: Server, db: Database
) -> None:
    trial, trades = Trial("refused"), TradeRepository(db)
    setting = "default_transaction_read_only"
    how = f"ALTER DATABASE predict SET {setting} = on", f"ALTER DATABASE predict RESET {setting}"
    async with changed(guarded, *how), Database(config_for(guarded)) as told:
        writes = TradeRepository(told)
        for attempt in (
            lambda: writes.create(trade()),
            lambda: writes.create_many([trade()]),
            lambda: writes.ingest([payload()]),
            lambda: writes.delete(("c", "t")),
        ):
            await refusal(ReadOnlyServer, "target_session_attrs=read-write", attempt)
        assert await writes.count() == 0
    with trial.recovery():
        await trades.create(trade())
    assert await trades.count() == 1
    trial.tell()


async def test_a_schema_that_is_missing_is_told_and_can_be_made(guarded: Server) -> None:
    trial = Trial("refused")
    async with Database(config_for(guarded)) as db:
        trades = TradeRepository(db)
        for attempt in (
            trades.count,
            lambda: trades.create(trade()),
            lambda: trades.create_many([trade()]),
            lambda: trades.ingest([payload()]),
        ):
            await refusal(SchemaMissing, "polymarket-storage migrate", attempt)
        with trial.recovery():
            await db.migrate()
            assert (await trades.ingest([payload()])).inserted == 1
    trial.tell()


async def test_a_schema_that_drifted_is_told_at_start_and_on_use(
    guarded: Server, db: Database
) -> None:
    trial, trades = Trial("refused"), TradeRepository(db)
    verified = config_for(guarded, verify_schema=True)
    column = "ALTER TABLE polymarket_trades"
    async with changed(guarded, f"{column} RENAME side TO way", f"{column} RENAME way TO side"):
        await refusal(SchemaDrift, "polymarket_trades.side", Database(verified).initialize)
        await refusal(SchemaMissing, "polymarket-storage migrate", trades.get_all)
        await refusal(
            SchemaMissing, "polymarket-storage migrate", lambda: trades.ingest([payload()])
        )
    with trial.recovery():
        async with Database(verified) as opened:
            assert (await TradeRepository(opened).ingest([payload()])).inserted == 1
    trial.tell()
