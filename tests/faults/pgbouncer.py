"""PgBouncer in front of a server."""

from __future__ import annotations

import shutil
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from .processes import Child, give_to, start_on_free_port, throwaway_folder
from .servers import DATABASE, HOST, USER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .servers import Server


def pgbouncer_binary() -> Path | None:
    """Find the program of Debian's package `pgbouncer`; see `require` for when there is none."""
    found = shutil.which("pgbouncer", path="/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin")
    return Path(found) if found else None


class PgBouncer:
    """A pool between clients and a server, started by `async with`; it asks for no password.

    It knows the users given, and the databases of the server. `settings` are lines of the section
    `pgbouncer` of its configuration and may be changed while it is down. `server_port` puts a
    proxy between it and the server.
    """

    def __init__(
        self,
        binary: Path,
        server: Server,
        *,
        mode: Literal["transaction", "session", "statement"] = "transaction",
        settings: Mapping[str, str] | None = None,
        users: tuple[str, ...] = (USER,),
        server_port: int | None = None,
    ) -> None:
        self.settings = {"pool_mode": mode, **(settings or {})}
        self.port = 0
        self._binary = binary
        self._server = server
        self._server_port = server_port or server.port
        self._users = users
        self._folder = Path()
        self._cleanup = ExitStack()
        self._process: Child | None = None

    async def __aenter__(self) -> Self:
        """Start it."""
        with ExitStack() as cleanup:
            self._folder = cleanup.enter_context(throwaway_folder())
            try:
                await start_on_free_port(self._start_on)
            except BaseException:
                await self.kill()
                raise
            self._cleanup = cleanup.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Kill it and remove its folder."""
        try:
            await self.kill()
        finally:
            self._cleanup.close()

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None, "it has not been started"
        return self._process.pid

    def url(self, *, user: str = USER, database: str = DATABASE) -> str:
        """Return the URL through the pool."""
        return f"postgresql://{user}@{HOST}:{self.port}/{database}"

    async def start(self) -> None:
        """Start it under its port and wait until it listens."""
        account = self._server.installation.account
        files = self._write_configuration()
        give_to(account, *files)
        self._process = process = Child(
            self._binary,
            files[0],
            log=self._folder / "log",
            account=account,
            parent_died=signal.SIGKILL,
        )
        await process.come_up(lambda: "process up" in process.output())

    async def stop(self) -> None:
        """End it at once: all of its connections are closed."""
        if self._process is not None:
            await self._process.end(signal.SIGTERM)

    async def kill(self) -> None:
        """Kill it by SIGKILL."""
        if self._process is not None:
            await self._process.end(signal.SIGKILL)

    async def restart(self) -> None:
        """Stop it and start it again."""
        await self.stop()
        await self.start()

    async def _start_on(self, port: int) -> None:
        self.port = port
        await self.start()

    def _write_configuration(self) -> tuple[Path, Path]:
        users = self._folder / "users.txt"
        users.write_text("".join(f'"{user}" ""\n' for user in self._users))
        lines = {
            "listen_addr": HOST,
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": str(users),
            **self.settings,
        }
        configuration = self._folder / "pgbouncer.ini"
        configuration.write_text(
            f"[databases]\n* = host={HOST} port={self._server_port}\n[pgbouncer]\n"
            + "".join(f"{name} = {value}\n" for name, value in lines.items())
        )
        return configuration, users
