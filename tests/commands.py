"""The command line run as a user runs it: a process, its output, its exit status."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, NamedTuple

from polymarket_bot.storage import Database

COMMAND = [sys.executable, "-m", "polymarket_bot.storage.cli"]

BLOCKED = """
SELECT count(*) > 0 FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
"""Whether some session waits for a lock of another."""


class Outcome(NamedTuple):
    """What a finished command left."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on standard output."""
        return json.loads(self.out)


async def start(*arguments: object, cwd: Path, **environment: str) -> asyncio.subprocess.Process:
    inherited = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
    return await asyncio.create_subprocess_exec(
        *COMMAND,
        *map(str, arguments),
        cwd=cwd,
        env={**inherited, "COLUMNS": "120", **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=as_in_the_foreground,
    )


def as_in_the_foreground() -> None:
    """Let SIGINT through: what a script starts in the background inherits that it is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def run(*arguments: object, cwd: Path, **environment: str) -> Outcome:
    process = await start(*arguments, cwd=cwd, **environment)
    out, err = await process.communicate()
    return Outcome(process.returncode or 0, out.decode(), err.decode())


async def eventually(db: Database, query: str, limit: float = 60) -> None:
    """Wait until another process has made `query` true."""
    async with asyncio.timeout(limit):
        while not await db.fetchval(query):  # noqa: ASYNC110 - seen only by looking
            await asyncio.sleep(0.02)


def write_feed(path: Path, records: list[Any]) -> Path:
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path
