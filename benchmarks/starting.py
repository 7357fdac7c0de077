"""The import of the package, and starts of the embedded server."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asyncpg

from benchmarks.harness import Case, Pair, Plan, Sample, check, timed
from benchmarks.processes import run
from benchmarks.server import Stage
from polymarket_bot.storage import EmbeddedPostgres
from polymarket_bot.storage.embedded.accounts import Account, server_account
from polymarket_bot.storage.embedded.binaries import binaries_for

_CLUSTER = ("-U", "predict", "--auth=trust", "--no-locale", "--encoding=UTF8", "--no-instructions")


def cases(_: Plan) -> Iterator[Case]:
    """Yield the cases."""
    yield Case(
        "import polymarket_bot.storage / asyncpg and pydantic",
        "import asyncpg, pydantic",
        150.0,
        _imports,
        kind="difference",
        unit="ms",
    )
    yield Case(
        "embedded server, first start / initdb and pg_ctl",
        "its own initdb and pg_ctl start, new folder",
        0.3,
        _first_starts,
        kind="difference",
        unit="s",
    )
    yield Case(
        "embedded server, warm start / pg_ctl",
        "its own pg_ctl start",
        0.3,
        _warm_starts,
        kind="difference",
        unit="s",
    )


async def _imports(_: Stage) -> Pair:
    def of(statement: str) -> Sample:
        async def sample() -> float:
            return (await run(sys.executable, "-c", statement)).seconds

        return sample

    return Pair(of("import polymarket_bot.storage"), of("import asyncpg, pydantic"))


async def _first_starts(stage: Stage) -> Pair:
    async def ours() -> float:
        folder = _new(stage.folder)
        try:
            return await _start_embedded(folder)
        finally:
            shutil.rmtree(folder)

    async def base() -> float:
        tools = _Tools.in_folder(_new(stage.folder))
        try:
            return await _start_bare(tools, tools.first_start)
        finally:
            shutil.rmtree(tools.folder)

    return Pair(ours, base)


async def _warm_starts(stage: Stage) -> Pair:
    folder, tools = _new(stage.folder), _Tools.in_folder(_new(stage.folder))
    await _start_embedded(folder)
    await _start_bare(tools, tools.first_start)

    async def ours() -> float:
        return await _start_embedded(folder)

    async def base() -> float:
        return await _start_bare(tools, tools.start)

    return Pair(ours, base)


def _new(parent: Path) -> Path:
    """Return a folder that is not there, with a name short enough for a socket in it."""
    return parent / uuid.uuid4().hex[:8]


async def _start_embedded(folder: Path) -> float:
    """Return the seconds of a start; the server answers, and is stopped again."""
    server = EmbeddedPostgres(folder)
    took = await timed(server.start, None)()
    await _ask(server.url)
    await server.stop()
    return took


async def _start_bare(tools: _Tools, start: Callable[[], Awaitable[None]]) -> float:
    """As `_start_embedded`, by the server's own tools."""
    took = await timed(start, None)()
    await _ask(f"postgresql://predict@/postgres?host={quote(str(tools.folder))}&port=5432")
    await tools.stop()
    return took


async def _ask(url: str) -> None:
    connection = await asyncpg.connect(url)
    check(await connection.fetchval("SELECT 1"), 1)
    await connection.close()


@dataclass(frozen=True)
class _Tools:
    """The embedded server's own tools, on a cluster in a folder.

    Attributes:
        folder: the cluster's and the socket's.
        account: the user that they run as, None for that of this process.
    """

    folder: Path
    account: Account | None

    @classmethod
    def in_folder(cls, folder: Path) -> _Tools:
        """Make the folder for the user that a server may run as."""
        account = server_account(folder)
        folder.mkdir(mode=0o700)
        if account:
            os.chown(folder, account.uid, account.gid)
        return cls(folder, account)

    async def first_start(self) -> None:
        """Make a cluster and start its server."""
        await self._run("initdb", *_CLUSTER)
        await self.start()

    async def start(self) -> None:
        """Start the server, and wait until it answers."""
        options = f"-c listen_addresses='' -c port=5432 -c unix_socket_directories={self.folder}"
        await self._run("pg_ctl", "start", "-w", "-l", str(self.folder / "log"), "-o", options)

    async def stop(self) -> None:
        """Stop it, and wait until it is gone."""
        await self._run("pg_ctl", "stop", "-w", "-m", "fast")

    async def _run(self, name: str, *arguments: str) -> None:
        command = (str(binaries_for(self.account) / name), "-D", str(self.folder / "data"))
        done = await asyncio.to_thread(self._call, *command, *arguments)
        if done.returncode != 0:
            raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr.decode()}")

    def _call(self, *command: str) -> subprocess.CompletedProcess[bytes]:
        if self.account:
            return self.account.run(*command)
        return subprocess.run(command, capture_output=True, check=False, cwd="/")
