"""Throwaway PostgreSQL servers: processes of their own, with all that can be done to them."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import shutil
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode

import asyncpg

from polymarket_bot.storage.embedded.keeper.processes import server_processes

from .processes import Child, give_to, start_on_free_port, throwaway_folder
from .support import LIMIT, eventually
from .templates import DATABASE, USER, Installation, Template, debian_binaries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .certificates import Certificate
    from .templates import Source

__all__ = [
    "DATABASE",
    "HOST",
    "PASSWORD",
    "TLS_ONLY",
    "TRUST",
    "USER",
    "Installation",
    "Server",
    "Template",
    "debian_binaries",
]

HOST = "127.0.0.1"
# Lines of pg_hba.conf for TCP. Through the Unix socket everybody is let in without a password.
TRUST = ("host all all all trust", "host replication all all trust")
PASSWORD = ("host all all all scram-sha-256",)
TLS_ONLY = ("hostssl all all all trust",)
_SOCKET_RULES = ("local all all trust", "local replication all trust")
_DEFAULTS = {
    "fsync": "off",  # what is killed are processes: the system keeps what they have written
    "max_connections": "50",
    "timezone": "UTC",
    # In the data folder and not in /dev/shm, where a killed server would leave them.
    "dynamic_shared_memory_type": "mmap",
}


class Server:
    """A server on 127.0.0.1 and on a Unix socket, started by `async with` and removed by its end.

    `rules` are the lines of pg_hba.conf for TCP; `password` becomes that of the user `predict`.
    With a certificate it speaks TLS, if its binaries can. `memory` is how many bytes each of its
    processes may have. `settings`, `certificate` and `memory` may be changed while it is down.
    """

    def __init__(
        self,
        source: Source,
        *,
        settings: Mapping[str, str] | None = None,
        rules: Sequence[str] = TRUST,
        password: str | None = None,
        certificate: Certificate | None = None,
        memory: int | None = None,
    ) -> None:
        self.memory = memory
        self.settings = dict(settings or {})
        self.certificate = certificate
        self.folder = Path()
        self.port = 0
        self._source = source
        self._installation = source.installation
        self._rules = rules
        self._password = password
        self._mark = f"pmb_faults_{secrets.token_hex(8)}"
        self._cleanup = ExitStack()
        self._process: Child | None = None

    async def __aenter__(self) -> Self:
        """Make the data folder and start."""
        with ExitStack() as cleanup:
            self.folder = cleanup.enter_context(throwaway_folder())
            give_to(self._installation.account, self.folder)
            await self._source.fill(self._data, self.folder / "source.log")
            try:
                await start_on_free_port(self._start_on)
                if self._password is not None:
                    await self._set_password(self._password)
            except BaseException:
                await self._end()
                raise
            self._cleanup = cleanup.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Kill what runs and remove everything."""
        try:
            await self._end()
        finally:
            self._cleanup.close()

    @property
    def installation(self) -> Installation:
        """The binaries that it runs from."""
        return self._installation

    @property
    def pid(self) -> int:
        """The main process, of which the others are children."""
        assert self._process is not None, "the server has not been started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the main process runs."""
        return self._process is not None and self._process.is_alive()

    def url(
        self,
        *,
        user: str = USER,
        database: str = DATABASE,
        host: str = HOST,
        password: str | None = None,
        **options: str | Path,
    ) -> str:
        """Return the URL for TCP; further arguments such as `sslmode` become its options."""
        secret = f":{quote(password, safe='')}" if password is not None else ""
        query = f"?{urlencode(options, safe='/')}" if options else ""
        return f"postgresql://{quote(user, safe='')}{secret}@{host}:{self.port}/{database}{query}"

    def socket_url(self, *, user: str = USER, database: str = DATABASE) -> str:
        """Return the URL for the Unix socket, of the embedded server's form."""
        return f"postgresql://{user}@/{database}?host={self.folder}&port={self.port}"

    async def fetchval(self, query: str, *arguments: object) -> Any:
        """Return the single value of a statement, through the socket, as the superuser."""
        connection = await asyncpg.connect(self.socket_url())
        try:
            return await connection.fetchval(query, *arguments)
        finally:
            await connection.close()

    async def start(self) -> None:
        """Start it under its port and wait until it accepts connections."""
        assert not self.is_running, "the server runs already"
        self._write_rules()
        settings = (("-c", f"{name}={value}") for name, value in self._all_settings().items())
        self._process = process = Child(
            self._installation.binaries / "postgres",
            *("-D", str(self._data)),
            *itertools.chain.from_iterable(settings),
            log=self._log,
            account=self._installation.account,
            parent_died=signal.SIGQUIT,
            memory=self.memory,
        )
        await process.come_up(self._is_ready)

    async def stop(self) -> None:
        """Stop it with a fast shutdown: transactions are rolled back, data are written."""
        if self._process is not None:
            await self._process.end(signal.SIGINT)
            await self._wait_for_children()

    async def kill(self) -> None:
        """Kill its main process by SIGKILL and wait until its children have noticed."""
        if self._process is not None:
            await self._process.end(signal.SIGKILL)
            await self._wait_for_children()

    async def restart(self) -> None:
        """Stop it fast and start it again."""
        await self.stop()
        await self.start()

    async def answers(self) -> bool:
        """Tell whether it executes a query now, which it does not while it recovers."""
        try:
            return bool(await self.fetchval("SELECT true"))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False

    def processes(self) -> list[int]:
        """Find all processes of this server."""
        account = self._installation.account
        return server_processes(self._mark, account.uid if account else os.geteuid())

    def output(self) -> str:
        """Return what it has logged."""
        return self._log.read_text(errors="replace")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _all_settings(self) -> dict[str, str]:
        tls = self._tls_settings(self.certificate) if self.certificate else {}
        return {
            **_DEFAULTS,
            **tls,
            **self.settings,
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "cluster_name": self._mark,
        }

    def _tls_settings(self, certificate: Certificate) -> dict[str, str]:
        copies = self.folder / "server.pem", self.folder / "server.key"
        for source, copy in zip((certificate.chain, certificate.key), copies, strict=True):
            shutil.copyfile(source, copy)
            copy.chmod(0o600)
        give_to(self._installation.account, *copies)
        return {"ssl": "on", "ssl_cert_file": str(copies[0]), "ssl_key_file": str(copies[1])}

    def _write_rules(self) -> None:
        rules = (*_SOCKET_RULES, *self._rules)
        (self._data / "pg_hba.conf").write_text("".join(f"{rule}\n" for rule in rules))

    async def _start_on(self, port: int) -> None:
        self.port = port
        await self.start()

    async def _set_password(self, password: str) -> None:
        literal = password.replace("'", "''")
        await self.fetchval(f"ALTER ROLE {USER} PASSWORD '{literal}'")

    def _pid_file(self) -> list[str]:
        try:
            return [
                line.strip() for line in (self._data / "postmaster.pid").read_text().split("\n")
            ]
        except OSError:
            return []

    def _is_ready(self) -> bool:
        lines = self._pid_file()
        return lines[:1] == [str(self.pid)] and lines[7:8] == ["ready"]

    async def _wait_for_children(self) -> None:
        """Kill those that stay: a process that computes does not look for its parent."""
        try:
            await eventually(lambda: not self.processes(), limit=LIMIT / 4)
        except AssertionError:
            self._kill_children()
            await eventually(lambda: not self.processes())

    def _kill_children(self) -> None:
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def _end(self) -> None:
        if self._process is None:
            return
        self._kill_children()
        await self.kill()
        self._remove_shared_memory()

    def _remove_shared_memory(self) -> None:
        """Remove what a killed server that nobody has started again leaves in the system."""
        for line in self._pid_file()[6:7]:
            command = ("ipcrm", "-m", line.split()[-1])
            subprocess.run(command, capture_output=True, check=False)
