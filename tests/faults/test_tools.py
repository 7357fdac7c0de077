"""Servers, standbys, pools and certificates, tried with the bare driver."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from tests.embedded.support import has_ended

from .pgbouncer import PgBouncer, pgbouncer_binary
from .proxy import Proxy
from .replica import Replica, multi_host_url
from .servers import PASSWORD, TLS_ONLY, Server, Template
from .support import LOST, REQUIRE_ALL, connected, eventually, require, value

if TYPE_CHECKING:
    from .certificates import Certificates

ROOT = Path(__file__).parents[2]
KEPT = "CREATE TABLE kept AS SELECT 42 AS answer"
ANSWER = "SELECT answer FROM kept"
AWKWARD = "it's / secret"


def all_have_ended(pids: list[str]) -> bool:
    return all(has_ended(int(pid)) for pid in pids)


def shared_memory_segments() -> list[str]:
    """List the ids of System V's, where the system tells them in a file."""
    listing = Path("/proc/sysvipc/shm")
    lines = listing.read_text().splitlines() if listing.exists() else []
    return [line.split()[1] for line in lines]


def start_and_be_killed() -> tuple[str, list[str]]:
    """Have another process start servers and kill it: the folder and the pids of its servers."""
    command = (sys.executable, "-m", "tests.faults.killed_process")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        folder, *pids = process.stdout.readline().split()
        assert not any(has_ended(int(pid)) for pid in pids)
        process.kill()
    return folder, pids


async def test_a_killed_server_keeps_its_data_and_its_port(server: Server) -> None:
    await server.fetchval(KEPT)
    async with connected(server.url()) as client:
        before = server.url(), server.pid
        await server.kill()
        assert not server.processes()
        with pytest.raises(LOST):
            await client.fetchval(ANSWER)
    assert not await server.answers()
    await server.start()
    assert (server.url(), server.pid) != before
    assert server.url() == before[0]
    assert await value(server.url(), ANSWER) == 42


async def test_a_server_is_restarted_with_other_settings(server: Server) -> None:
    await server.fetchval(KEPT)
    server.settings["work_mem"] = "5MB"
    await server.restart()
    assert await value(server.url(), "SHOW work_mem") == "5MB"
    assert await value(server.url(), ANSWER) == 42


async def test_a_killed_backend_makes_all_sessions_end(server: Server) -> None:
    async with connected(server.url()) as one, connected(server.url()) as other:
        os.kill(await one.fetchval("SELECT pg_backend_pid()"), signal.SIGKILL)
        with pytest.raises(LOST):
            await other.fetchval("SELECT pg_sleep(600)")
    await eventually(server.answers)


async def test_a_server_asks_for_its_password(bundled: Template) -> None:
    async with Server(bundled, rules=PASSWORD, password=AWKWARD) as server:
        assert await value(server.url(password=AWKWARD), "SELECT 1") == 1
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(server.url(password=AWKWARD[1:]))


async def test_a_server_that_cannot_start_says_why_and_leaves_nothing(bundled: Template) -> None:
    server = Server(bundled, settings={"work_mem": "nonsense"})
    with pytest.raises(Exception, match="work_mem"):
        await server.__aenter__()
    assert not server.folder.exists()
    assert not server.processes()


async def test_nothing_is_left_of_a_server(bundled: Template) -> None:
    async with Server(bundled) as server:
        await server.kill()
        segment = (server.folder / "data" / "postmaster.pid").read_text().split()[-2]
    assert not server.folder.exists()
    assert not server.processes()
    assert segment not in shared_memory_segments()


async def test_nothing_is_left_when_the_test_process_is_killed() -> None:
    folder, pids = await asyncio.to_thread(start_and_be_killed)
    await eventually(lambda: all_have_ended(pids))
    await eventually(lambda: not Path(folder).exists())


async def test_a_standby_follows_and_is_promoted(server: Server) -> None:
    async with Replica(server) as replica:
        await server.fetchval(KEPT)
        await replica.until_caught_up()
        assert await value(replica.url(), ANSWER) == 42
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await value(replica.url(), "CREATE TABLE refused ()")
        url = multi_host_url(replica, server)
        assert await value(url, "SHOW port") == str(server.port)

        await server.kill()
        await replica.promote()
        assert await value(url, "SHOW port") == str(replica.port)
        assert await value(url, "UPDATE kept SET answer = 43 RETURNING answer") == 43


async def test_a_pool_by_transactions_gives_a_client_several_backends(server: Server) -> None:
    binary = require(pgbouncer_binary(), "pgbouncer")
    query = "SELECT pg_backend_pid()"
    async with (
        PgBouncer(binary, server) as pool,
        connected(pool.url(), statement_cache_size=0) as one,
        connected(pool.url(), statement_cache_size=0) as other,
    ):
        before = await one.fetchval(query)
        async with other.transaction():
            assert await other.fetchval(query) == before
            assert await one.fetchval(query) != before


async def test_a_pool_by_sessions_keeps_a_client_on_its_backend(server: Server) -> None:
    binary = require(pgbouncer_binary(), "pgbouncer")
    query = "SELECT pg_backend_pid()"
    async with (
        PgBouncer(binary, server, mode="session") as pool,
        connected(pool.url()) as one,
        connected(pool.url()) as other,
    ):
        before = await one.fetchval(query)
        async with other.transaction():
            assert await other.fetchval(query) != before
        assert await one.fetchval(query) == before


async def test_a_pool_is_killed_and_comes_back(server: Server) -> None:
    binary = require(pgbouncer_binary(), "pgbouncer")
    async with PgBouncer(binary, server) as pool:
        assert await value(pool.url(), "SELECT 1") == 1
        await pool.kill()
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncpg.connect(pool.url())
        await pool.start()
        await pool.restart()
        assert await value(pool.url(), "SELECT 1") == 1


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_client_accepts_the_good_certificate(
    debian: Template, certificates: Certificates, host: str
) -> None:
    async with Server(debian, rules=TLS_ONLY, certificate=certificates.good) as server:
        url = server.url(host=host, sslmode="verify-full", sslrootcert=certificates.authority)
        query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert await value(url, query)
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await asyncpg.connect(server.url(sslmode="disable"))
        async with Proxy.in_front_of(server.url()) as proxy:
            assert await value(proxy.url_through(url), query)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("expired", "certificate has expired"),
        ("foreign", "unable to get local issuer certificate|self.signed certificate"),
        ("misnamed", "mismatch"),
    ],
)
async def test_a_client_refuses_a_certificate(
    debian: Template, certificates: Certificates, name: str, reason: str
) -> None:
    certificate = getattr(certificates, name)
    async with Server(debian, certificate=certificate) as server:
        url = server.url(sslmode="verify-full", sslrootcert=certificates.authority)
        with pytest.raises(ssl.SSLCertVerificationError, match=reason):
            await asyncpg.connect(url)


def test_a_missing_tool_skips_the_test_or_fails_where_all_are_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert require(Path("/bin/sh"), "dash") == Path("/bin/sh")
    monkeypatch.delenv(REQUIRE_ALL, raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install pgbouncer"):
        require(None, "pgbouncer")
    monkeypatch.setenv(REQUIRE_ALL, "1")
    with pytest.raises(pytest.fail.Exception, match="apt-get install pgbouncer"):
        require(None, "pgbouncer")
