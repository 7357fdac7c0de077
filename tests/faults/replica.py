"""A streaming standby of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .servers import DATABASE, HOST, USER, Installation, Server
from .support import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_DEFAULTS = {"wal_retrieve_retry_interval": "100ms"}


class _BaseBackup:
    """The data of a running server, with what makes a standby of them."""

    def __init__(self, primary: Server) -> None:
        self.installation: Installation = primary.installation
        self._primary = primary

    async def fill(self, data: Path, log: Path) -> None:
        """Copy the server's data while it runs."""
        place = ("-h", str(self._primary.folder), "-p", str(self._primary.port), "-U", USER)
        how = ("-R", "-X", "stream", "--checkpoint=fast", "--no-sync", "--no-password")
        await self.installation.run("pg_basebackup", *place, *how, "-D", data, log=log)


class Replica(Server):
    """A hot standby, made from a running server by `async with`; it follows that server.

    Its settings are the primary's and those given.
    """

    def __init__(self, primary: Server, *, settings: Mapping[str, str] | None = None) -> None:
        merged = {**_DEFAULTS, **primary.settings, **(settings or {})}
        super().__init__(_BaseBackup(primary), settings=merged)
        self._primary = primary

    async def until_caught_up(self) -> None:
        """Wait until all that the primary has written by now can be read here."""
        position = await self._primary.fetchval("SELECT pg_current_wal_lsn()::text")
        await eventually(lambda: self._has_replayed(position))

    async def promote(self) -> None:
        """Make it a primary and wait until it is one. The other one, if it runs, stays one too."""
        assert await self.fetchval("SELECT pg_promote(true, 60)"), "the standby is not promoted"

    async def _has_replayed(self, position: str) -> bool:
        query = "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn"
        return bool(await self.fetchval(query, position))


def multi_host_url(
    *servers: Server, user: str = USER, database: str = DATABASE, session: str = "read-write"
) -> str:
    """Return the URL that names several servers; the client takes the first that is fit."""
    hosts = ",".join(f"{HOST}:{server.port}" for server in servers)
    return f"postgresql://{user}@{hosts}/{database}?target_session_attrs={session}"
