"""PostgreSQL's binaries, and clusters made by them once to be copied."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from polymarket_bot.storage.embedded.accounts import Account, server_account
from polymarket_bot.storage.embedded.binaries import binaries_for

from .processes import Child, give_to, throwaway_folder

USER = DATABASE = "predict"
# Renamed, since to create it would copy a database. As the keeper of the embedded server does.
_NAME_DATABASE = f"ALTER DATABASE postgres RENAME TO {DATABASE}\n"


def debian_binaries() -> Path | None:
    """Find Debian's newest server, which has TLS; see `require` for when there is none."""
    found = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    return max((path.parent for path in found), key=_version, default=None)


def _version(binaries: Path) -> int:
    return int(binaries.parent.name)


@dataclass(frozen=True)
class Installation:
    """PostgreSQL's binaries, and the user that they run as if that is not this process's."""

    binaries: Path
    account: Account | None

    @classmethod
    def bundled(cls) -> Self:
        """Take the ones of the wheel, which have no TLS."""
        account = server_account(Path(os.devnull, "none"))
        return cls(binaries_for(account), account)

    @classmethod
    def at(cls, binaries: Path) -> Self:
        """Take the ones in a folder."""
        return cls(binaries, server_account(Path(os.devnull, "none")))

    async def run(self, name: str, *arguments: str | Path, log: Path, script: str = "") -> None:
        """Run one of the binaries to its end; raise when it fails."""
        source = log.with_suffix(".input")
        source.write_text(script)
        command = (self.binaries / name, *arguments)
        await Child(*command, log=log, account=self.account, script=source).succeed()


class Source(Protocol):
    """Where a server's data come from."""

    installation: Installation

    async def fill(self, data: Path, log: Path) -> None:
        """Make the data folder, which the server's user may make and must own."""


class Template:
    """A cluster to copy, which is faster than initdb: for a fixture of the whole session.

    It has the superuser and the database `predict`.
    """

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self._cleanup = ExitStack()
        self._data = Path()

    async def __aenter__(self) -> Self:
        """Run initdb."""
        with ExitStack() as cleanup:
            folder = cleanup.enter_context(throwaway_folder())
            give_to(self.installation.account, folder)
            self._data = folder / "data"
            await self._initialize(folder / "log")
            self._cleanup = cleanup.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Remove it."""
        self._cleanup.close()

    async def fill(self, data: Path, log: Path) -> None:
        """Copy the cluster."""
        await Child("/bin/cp", "-a", self._data, data, log=log).succeed()

    async def _initialize(self, log: Path) -> None:
        cluster = ("-D", str(self._data))
        content = ("-U", USER, "--auth=trust", "--no-locale", "--encoding=UTF8", "--wal-segsize=1")
        run = self.installation.run
        await run("initdb", *cluster, *content, "--no-instructions", "--no-sync", log=log)
        single = ("--single", "-F", *cluster, "-c", "exit_on_error=on", "template1")
        await run("postgres", *single, log=log, script=_NAME_DATABASE)
