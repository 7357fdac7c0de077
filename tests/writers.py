"""A production database that old bots write to all the time, and an operator at work on it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from polymarket_bot.storage.embedded.binaries import binaries_for
from tests.programs import ROOT, in_thread

Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

LIMIT = 60.0  # a writer that is stopped for good; none is ever near it
_WRITERS = 3
_PSQL = Path(shutil.which("psql") or binaries_for(None) / "psql")
_PATH = os.pathsep.join([str(Path(sys.executable).parent), str(_PSQL.parent), os.environ["PATH"]])

_TRADE = """
INSERT INTO polymarket_trades (condition_id, trade_id, token_id, price, size, side, timestamp)
SELECT $1, $1 || '-' || n, $1 || '-token', 0.9, 10, 'BUY', n
FROM generate_series(greatest(1, $2::int - 1), $2::int) AS n  -- the last poll overlaps
ON CONFLICT DO NOTHING
"""
_TRIGGER = """
INSERT INTO polymarket_first_triggers
    (token_id, condition_id, threshold, trigger_timestamp, created_at)
VALUES ($1, $1 || '-market', 0.95, $2, '2025-10-09T12:00:00Z')
ON CONFLICT (token_id, threshold) DO NOTHING
"""
_MARK = """
INSERT INTO trade_watermarks (condition_id, last_timestamp, updated_at) VALUES ($1, $2, 'now')
ON CONFLICT (condition_id) DO UPDATE SET last_timestamp = EXCLUDED.last_timestamp
"""
_STORED = """
SELECT (SELECT count(*) FROM polymarket_trades WHERE condition_id = $1),
       (SELECT count(*) FROM polymarket_first_triggers WHERE token_id LIKE $1 || '-%'),
       (SELECT last_timestamp FROM trade_watermarks WHERE condition_id = $1)
"""

_HISTORY = """
INSERT INTO polymarket_trades (condition_id, trade_id, token_id, price, size, side, timestamp)
SELECT 'market' || n % 500, 'trade' || n, 'token' || n % 1000, 0.9, 5, 'SELL', 1700000000 + n
FROM generate_series(1, $1::int) AS n
"""
_TRIGGERED = """
INSERT INTO polymarket_first_triggers
    (token_id, condition_id, threshold, trigger_timestamp, created_at)
SELECT 'token' || n, 'market' || n, 0.95, 1700000000 + n, '2025-10-09T12:00:00Z'
FROM generate_series(1, $1::int) AS n
"""
_BUILDING = """
SELECT pid FROM pg_stat_activity
WHERE $1 = ANY (pg_blocking_pids(pid)) AND query LIKE '%INDEX CONCURRENTLY%'
"""


@dataclass
class _Writer:
    """One bot on a connection of its own, with a condition of its own."""

    name: str
    connection: Session
    acknowledged: int = 0
    stopped: bool = False

    async def write(self) -> None:
        """Store one more of everything, again and again, in short transactions."""
        while not self.stopped:
            number = self.acknowledged + 1
            async with self.connection.transaction():
                tag = await self.connection.execute(_TRADE, self.name, number)
                assert tag == "INSERT 0 1"
                tag = await self.connection.execute(_TRIGGER, f"{self.name}-{number}", number)
                assert tag == "INSERT 0 1"
                await self.connection.execute(_MARK, self.name, number)
            self.acknowledged = number
            await asyncio.sleep(0.01)

    async def verify(self) -> None:
        """Hold what is stored against what was acknowledged."""
        stored = await self.connection.fetchrow(_STORED, self.name)
        assert stored is not None
        assert tuple(stored) == (self.acknowledged,) * 3, self.name


@dataclass
class Load:
    """All writers, and whether they go on."""

    writers: list[_Writer]
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def acknowledged(self) -> int:
        """How many transactions were committed so far."""
        return sum(writer.acknowledged for writer in self.writers)

    async def goes_on(self, rounds: int = 1) -> None:
        """Wait until every writer has committed so many times more; an error of one is raised."""
        goals = [writer.acknowledged + rounds for writer in self.writers]
        async with asyncio.timeout(LIMIT):
            while any(w.acknowledged < goal for w, goal in zip(self.writers, goals, strict=True)):
                for task in self.tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.002)

    async def stop(self) -> None:
        """Let every writer end its transaction; an error of one is raised."""
        for writer in self.writers:
            writer.stopped = True
        await asyncio.gather(*self.tasks)


async def connect(url: str) -> Session:
    """Connect as an old bot does, through a pooler as well."""
    arguments: dict[str, Any] = {"command_timeout": LIMIT, "statement_cache_size": 0}
    connection: Session = await asyncpg.connect(url, **arguments)
    return connection


@asynccontextmanager
async def writing(url: str) -> AsyncIterator[Load]:
    """Write all the time; at the end everything that was acknowledged must be there."""
    connections = [await connect(url) for _ in range(_WRITERS)]
    load = Load([_Writer(f"writer{n}", connection) for n, connection in enumerate(connections)])
    try:
        load.tasks = [asyncio.create_task(writer.write()) for writer in load.writers]
        await load.goes_on()
        yield load
        await load.stop()
        for writer in load.writers:
            await writer.verify()
    finally:
        for task in load.tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*load.tasks, return_exceptions=True)
        for connection in connections:
            connection.terminate()


async def shell(command: str, url: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run commands as an operator does, until one fails."""
    environment = {
        "DATABASE_URL": url,
        "PATH": _PATH,
        "_PSQLRC": os.devnull,
        "PAGER": "",
        **settings,
    }
    return await in_thread(["bash", "-euo", "pipefail", "-c", command], ROOT, **environment)


async def operate(load: Load, command: str, url: str, **settings: str) -> str:
    """Run commands, which must end as they say while writers go on, and return their output."""
    before = load.acknowledged
    outcome = await shell(command, url, **settings)
    said = re.search(r"# exit status (\d)", command)
    assert outcome.returncode == int(said[1] if said else 0), outcome.stdout + outcome.stderr
    assert "error: " not in outcome.stderr
    assert load.acknowledged > before, "no writer went on meanwhile"
    await load.goes_on()
    return re.sub(r" in [\d.]+ s$", "", outcome.stdout, flags=re.MULTILINE)


class Production(NamedTuple):
    """A database that bots have written to for long, and go on writing to."""

    url: str
    load: Load
    session: Session

    async def operate(self, command: str, **settings: str) -> str:
        return await operate(self.load, command, self.url, **settings)

    async def is_held_up_by(self, pid: int) -> int:
        """Wait until a build waits for a transaction; return the process that builds."""
        async with asyncio.timeout(LIMIT):
            while (builder := await self.session.fetchval(_BUILDING, pid)) is None:  # noqa: ASYNC110 - seen only by looking
                await asyncio.sleep(0.01)
        return int(builder)


@asynccontextmanager
async def production(url: str, *, rows: int = 2_000, via: str = "") -> AsyncIterator[Production]:
    """Make the database of `seed/01_schema.sql` and fill it; writers go through `via`."""
    made = await shell('psql -q -v ON_ERROR_STOP=1 -f seed/01_schema.sql "$DATABASE_URL"', url)
    assert made.returncode == 0, made.stderr
    session = await connect(url)
    await session.execute(_HISTORY, rows)
    await session.execute(_TRIGGERED, rows // 5)
    async with writing(via or url) as load:
        yield Production(url, load, session)
    await session.close()


@asynccontextmanager
async def old_transaction(url: str) -> AsyncIterator[Session]:
    """A transaction that has written, and then does nothing."""
    session = await connect(url)
    await session.execute("BEGIN")
    await session.execute("INSERT INTO polymarket_trades VALUES ('held', 'up')")
    yield session
    session.terminate()


def as_user(url: str, name: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{name}:secret@{parts.netloc.rpartition('@')[2]}"))


@asynccontextmanager
async def two_users(url: str) -> AsyncIterator[tuple[Session, str, str]]:
    """Give a superuser's session, and the names of two users, of whom one may make tables."""
    admin = await connect(url)
    names = [f"polymarket_test_{uuid.uuid4().hex}" for _ in range(2)]
    for name in names:
        await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    await admin.execute(f"GRANT ALL ON SCHEMA public TO {names[0]}")
    try:
        yield admin, names[0], names[1]
    finally:
        for name in names:
            await admin.execute(f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")
        admin.terminate()
