"""Encrypted connections: which certificates are taken, and who is told where there is none."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
import ssl
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from polymarket_bot.storage import AccessRefused, Database, DatabaseConfig, TlsRefused
from polymarket_bot.storage.connections.sessions import is_near

from .record import tell
from .servers import TLS_ONLY, Server, Template
from .support import lacking, require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .certificates import Certificates

ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
REMEDY = "check tls="
LIMIT = 60
# Carries bytes between an address of the network that it is in and another one. It waits for a
# line that says that its interface is there, and ends when the test does.
_MACHINE = """
import asyncio, subprocess, sys
own, port, target = sys.argv[1], int(sys.argv[2]), (sys.argv[3], int(sys.argv[4]))
async def carry(source, sink):
    while data := await source.read(65536):
        sink.write(data)
    sink.close()
async def serve(reader, writer):
    there, back = await asyncio.open_connection(*target)
    await asyncio.gather(carry(reader, back), carry(there, writer), return_exceptions=True)
async def main():
    if interface := sys.stdin.readline().strip():
        subprocess.run(["ip", "addr", "add", own + "/24", "dev", interface], check=True)
        subprocess.run(["ip", "link", "set", interface, "up"], check=True)
    async with await asyncio.start_server(serve, own, port):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""


async def is_encrypted(config: DatabaseConfig) -> bool:
    async with Database(config) as db:
        return bool(await db.fetchval(ENCRYPTED))


async def refusal(config: DatabaseConfig) -> TlsRefused:
    """Return how it is refused, which does not wait for the server to become another one."""
    patient = config.model_copy(update={"connect_timeout": 10 * LIMIT})
    with pytest.raises(TlsRefused, match=REMEDY) as caught:
        await asyncio.wait_for(Database(patient).initialize(), LIMIT)
    tell("refused", times=1)
    return caught.value


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_the_good_certificate_is_accepted(
    debian: Template, certificates: Certificates, host: str
) -> None:
    context = ssl.create_default_context(cafile=certificates.authority)
    async with Server(debian, rules=TLS_ONLY, certificate=certificates.good) as server:
        url = server.url(host=host)
        trusting = server.url(host=host, sslrootcert=certificates.authority)
        full = server.url(host=host, sslmode="verify-full", sslrootcert=certificates.authority)
        assert await is_encrypted(DatabaseConfig(url=trusting, tls="verify-full"))
        assert await is_encrypted(DatabaseConfig(url=trusting, tls="verify-ca"))
        assert await is_encrypted(DatabaseConfig(url=full))
        assert await is_encrypted(DatabaseConfig(url=url, tls=context))
        assert await is_encrypted(DatabaseConfig(url=url, tls="require"))
        assert await is_encrypted(DatabaseConfig(url=url))


@pytest.mark.parametrize("how", ["tls", "context", "url"])
@pytest.mark.parametrize("name", ["expired", "foreign", "misnamed"])
async def test_a_bad_certificate_is_refused_at_once_with_the_remedy(
    debian: Template, certificates: Certificates, name: str, how: str
) -> None:
    async with Server(debian, certificate=getattr(certificates, name)) as server:
        url = server.url(sslrootcert=certificates.authority)
        config = {
            "tls": DatabaseConfig(url=url, tls="verify-full"),
            "context": DatabaseConfig(
                url=server.url(), tls=ssl.create_default_context(cafile=certificates.authority)
            ),
            "url": DatabaseConfig(url=f"{url}&sslmode=verify-full"),
        }[how]
        assert isinstance((await refusal(config)).__cause__, ssl.SSLCertVerificationError)
        assert await is_encrypted(DatabaseConfig(url=server.url(), tls="require"))
        server.certificate = certificates.good
        await server.restart()
        assert await is_encrypted(config)


async def test_a_connection_that_is_open_goes_on_and_the_next_one_is_refused(
    debian: Template, certificates: Certificates
) -> None:
    async with Server(debian, certificate=certificates.good) as server:
        url = server.url(sslrootcert=certificates.authority)
        config = DatabaseConfig(url=url, tls="verify-full", acquire_timeout=LIMIT)
        async with Database(config) as db:
            assert await db.fetchval(ENCRYPTED)
            server.certificate = certificates.expired
            await server.restart()
            with pytest.raises(TlsRefused, match=REMEDY):
                await db.fetchval(ENCRYPTED)
            server.certificate = certificates.good
            await server.restart()
            assert await db.fetchval(ENCRYPTED)


@pytest.mark.parametrize("how", ["tls", "context", "url"])
async def test_a_server_without_tls_is_refused_at_once_where_it_is_required(
    debian: Template, certificates: Certificates, how: str
) -> None:
    async with Server(debian) as server:
        config = {
            "tls": DatabaseConfig(url=server.url(), tls="require"),
            "context": DatabaseConfig(
                url=server.url(), tls=ssl.create_default_context(cafile=certificates.authority)
            ),
            "url": DatabaseConfig(url=server.url(sslmode="require")),
        }[how]
        await refusal(config)
        assert not await is_encrypted(DatabaseConfig(url=server.url()))
        server.certificate = certificates.good
        await server.restart()
        assert await is_encrypted(config)


async def test_clear_text_is_refused_by_a_server_that_takes_encrypted_connections_only(
    debian: Template, certificates: Certificates
) -> None:
    async with Server(debian, rules=TLS_ONLY, certificate=certificates.good) as server:
        for config in (
            DatabaseConfig(url=server.url(), tls="disable"),
            DatabaseConfig(url=server.url(sslmode="disable")),
            DatabaseConfig(url=server.url(sslmode="require"), tls="disable"),
        ):
            with pytest.raises(AccessRefused, match="no encryption"):
                await asyncio.wait_for(Database(config).initialize(), LIMIT)
        assert await is_encrypted(DatabaseConfig(url=server.url(sslmode="disable"), tls="require"))


@pytest.mark.parametrize(
    ("own", "other", "near"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", True),
        ("::1", "::1", True),
        ("192.0.2.2", "192.0.2.2", True),
        ("fe80::1%eth0", "fe80::1%eth0", True),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1", True),
        ("192.0.2.2", "192.0.2.3", False),
        ("fd00::2", "fd00::3", False),
        ("fe80::1%eth0", "fe80::2%eth0", False),
    ],
)
def test_another_machine_is_told_by_its_address(own: str, other: str, *, near: bool) -> None:
    assert is_near(own, other) == near


@contextmanager
def machine(*arguments: str | int, apart: bool) -> Iterator[subprocess.Popen[str]]:
    """Start what stands for a machine, in a network of its own where it is apart."""
    alone = ("unshare", "--net") if apart else ()
    command = (*alone, sys.executable, "-c", _MACHINE, *map(str, arguments))
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def begin(process: subprocess.Popen[str], interface: str) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{interface}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ready\n"


@contextmanager
def another_machine(port: int) -> Iterator[tuple[str, str]]:
    """Give an address of this machine and one of another; both lead to a port of 127.0.0.1."""
    found = shutil.which("ip", path="/usr/sbin:/usr/bin:/sbin:/bin")
    ip = require(Path(found) if found else None, "iproute2")
    name = f"pmb{secrets.token_hex(4)}"
    network = f"10.213.{secrets.randbelow(256)}"
    here, there = f"{network}.1", f"{network}.2"
    with (
        machine(there, port, here, port, apart=True) as far,
        machine(here, port, "127.0.0.1", port, apart=False) as near,
    ):
        # Until it has become the command, it is in the network of this process.
        while far.poll() is None and net_of(far.pid) == net_of("self"):
            time.sleep(0.01)
        pair = ("type", "veth", "peer", "name", f"{name}b", "netns", str(far.pid))
        if far.poll() or subprocess.run((ip, "link", "add", f"{name}a", *pair)).returncode:
            lacking("this system lets nobody make a network of its own")
        try:
            subprocess.run((ip, "addr", "add", f"{here}/24", "dev", f"{name}a"), check=True)
            subprocess.run((ip, "link", "set", f"{name}a", "up"), check=True)
            begin(near, "")
            begin(far, f"{name}b")
            yield here, there
        finally:
            subprocess.run((ip, "link", "del", f"{name}a"), check=False)


def net_of(pid: int | str) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


async def test_clear_text_to_another_machine_is_logged_and_told(
    debian: Template, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="polymarket_bot.storage")
    async with Server(debian, certificate=certificates.good) as server:
        links = ExitStack()
        here, there = links.enter_context(another_machine(server.port))
        async with Database(DatabaseConfig(url=server.url())) as db:
            await db.migrate()

        async def told(host: str, **options: str) -> tuple[list[str], list[str]]:
            caplog.clear()
            url = server.url(host=host, **options)
            async with Database(DatabaseConfig(url=url, min_connections=1)) as db:
                report = await db.health()
            assert report.healthy == (not report.problems)
            return caplog.messages, report.problems

        with links:
            for host in ("127.0.0.1", here):
                assert await told(host, sslmode="disable") == ([], [])
            logged, problems = await told(there, sslmode="disable")
            assert logged == [f"the connection to {there} is not encrypted: set tls="]
            assert problems == ["the connection to another machine is not encrypted: set tls="]
            assert await told(there, sslmode="require") == ([], [])
            assert await told(there) == ([], [])
