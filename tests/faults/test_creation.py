"""A database is created over connections like all others: TLS, a pooler, another who is at it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from polymarket_bot.storage import ConfigurationError, Database, DatabaseConfig, TlsRefused
from polymarket_bot.storage.schema.creation import create_database
from tests.commands import run

from .pgbouncer import PgBouncer, pgbouncer_binary
from .proxy import Proxy
from .servers import TLS_ONLY, Server, Template
from .support import require

if TYPE_CHECKING:
    from pathlib import Path

    from .certificates import Certificates

LATER = "later"
IS_THERE = "SELECT count(*) = 1 FROM pg_database WHERE datname = 'later'"
TLS_REQUEST = 8  # bytes


@pytest.mark.parametrize("tls", ["require", "verify-full"])
async def test_nothing_is_said_to_a_server_without_tls_where_it_is_required(
    server: Server, proxy: Proxy, certificates: Certificates, tmp_path: Path, tls: str
) -> None:
    url = proxy.url_through(server.url(database=LATER, sslrootcert=certificates.authority))
    init = await run("init", "--url", url, cwd=tmp_path, DATABASE_TLS=tls)
    assert (init.status, "check tls=" in init.err) == (1, True), init.err
    with pytest.raises(TlsRefused):
        await create_database(DatabaseConfig(url=url, tls=tls))
    assert proxy.figures.connections > 1
    assert proxy.figures.bytes_to_server == TLS_REQUEST * proxy.figures.connections
    assert not await server.fetchval(IS_THERE)


async def test_only_a_server_whose_certificate_is_trusted_gets_a_database(
    debian: Template, certificates: Certificates
) -> None:
    async with Server(debian, rules=TLS_ONLY, certificate=certificates.foreign) as server:
        url = server.url(database=LATER, sslmode="disable", sslrootcert=certificates.authority)
        config = DatabaseConfig(url=url, tls="verify-full")
        with pytest.raises(TlsRefused):
            await create_database(config)
        assert not await server.fetchval(IS_THERE)
        server.certificate = certificates.good
        await server.restart()
        assert await create_database(config)
        async with Database(config) as db:
            await db.migrate()


async def test_a_database_behind_a_pooler_is_created_past_it(
    server: Server, tmp_path: Path
) -> None:
    binary = require(pgbouncer_binary(), "pgbouncer")
    async with PgBouncer(binary, server) as pool:
        url, direct = pool.url(database=LATER), server.url(database=LATER)
        with pytest.raises(ConfigurationError, match="set direct_url"):
            await create_database(DatabaseConfig(url=url, pooler="transaction"))
        assert not await server.fetchval(IS_THERE)
        ways = {"DATABASE_POOLER": "transaction", "DATABASE_DIRECT_URL": direct}
        init = await run("init", "--json", "--url", url, cwd=tmp_path, **ways)
        assert init.status == 0, init.err
        assert init.json == {"url": url, "database_created": True, "tables": 19}


@pytest.mark.parametrize("beside", ["postgres", "template1"])
async def test_of_those_who_create_a_database_at_once_one_does(server: Server, beside: str) -> None:
    if beside == "postgres":
        await server.fetchval("CREATE DATABASE postgres")
    config = DatabaseConfig(url=server.url(database=LATER), command_timeout=2, lock_timeout=0.01)
    created = await asyncio.gather(*(create_database(config) for _ in range(4)))
    assert sorted(created) == [False, False, False, True]
