"""Workers in processes of their own, started together, killed at will, and what they report."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

from polymarket_bot.storage import Database
from tests.programs import ROOT
from tests.questions import until_waiting


class Racer:
    """One worker: what it has reported is what it has had an acknowledgement for."""

    def __init__(self, *arguments: object, module: str = "tests.racers") -> None:
        self.module = module
        self.arguments = [str(argument) for argument in arguments]
        self.name = self.arguments[2]
        self.outcomes: list[list[Any]] = []
        self.status: int | None = None

    async def start(self) -> None:
        """Start the process and wait until it is connected."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", self.module, *self.arguments),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert await self._process.stdout.readline() == b"ready\n", self.arguments

    async def race(self, kill_after: float | None = None) -> None:
        """Let it go, to its end or until SIGKILL comes after so many seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"go\n")
        killer = (
            asyncio.get_running_loop().call_later(kill_after, self._kill) if kill_after else None
        )
        async for line in self._process.stdout:
            if line.endswith(b"\n"):  # else it was killed while it wrote
                self.outcomes.append(json.loads(line))
        self.status = await self._process.wait()
        if killer is not None:
            killer.cancel()

    def stop(self) -> None:
        """Close its standard input: a worker that goes on until it is told ends its work."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()


async def race_together(db: Database, table: str, racers: list[Racer], each: int = 1) -> None:
    """Let all go at one instant: the table is locked until as many connections of each wait."""
    async with db.transaction():
        await db.execute(f"LOCK TABLE {table}")
        racing = asyncio.create_task(race(racers))
        await until_waiting(db, len(racers) * each)
    await racing


async def race(racers: list[Racer], kill_after: Sequence[float | None] = ()) -> None:
    """Start all, let them go together, and wait for their ends."""
    await asyncio.gather(*(racer.start() for racer in racers))
    limits = kill_after or [None for _ in racers]
    await asyncio.gather(*(r.race(limit) for r, limit in zip(racers, limits, strict=True)))
