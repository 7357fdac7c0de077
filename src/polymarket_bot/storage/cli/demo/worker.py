"""The program of a worker: `python -m polymarket_bot.storage.cli.demo.worker NAME`.

It works on DATABASE_URL. Each line of its standard input is a command, `{"phase": …, "work": …}`,
and is answered by a line on standard output; the first line says that it is ready. It ends with
its input. An error ends it with status 1 and is told on standard error.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from polymarket_bot.storage.cli.demo.pages import unpacked
from polymarket_bot.storage.cli.demo.signals import Signals
from polymarket_bot.storage.cli.demo.trading import Trading
from polymarket_bot.storage.config import DatabaseConfig
from polymarket_bot.storage.database import Database
from polymarket_bot.storage.errors import StorageError

Phase = Callable[..., Awaitable[dict[str, Any]]]


async def serve(name: str) -> None:
    """Answer commands until there are no more."""
    config = DatabaseConfig(
        application_name=f"polymarket-storage {name}",
        min_connections=1,
        max_connections=2,
        lock_timeout=30,
        migrate_on_start=False,
        verify_schema=False,
    )
    async with Database(config) as db:
        phases = _phases(db, name)
        _tell({"ready": name})
        while (line := await asyncio.to_thread(sys.stdin.buffer.readline)).endswith(b"\n"):
            command = json.loads(line)
            _tell(await phases[command["phase"]](**command["work"]))


def _phases(db: Database, name: str) -> Mapping[str, Phase]:
    chance = random.Random()  # noqa: S311 - an order of its own, no secret
    signals, trading = Signals(db, chance), Trading(db, f"{name}, pid {os.getpid()}", chance)

    async def ingest(records: list[Any]) -> dict[str, Any]:
        return await signals.ingest(unpacked(records))

    return {
        "ingest": ingest,
        "process": signals.process,
        "decide": trading.decide,
        "send": trading.send,
        "resolve": trading.resolve,
    }


def _tell(answer: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main(name: str) -> None:
    """Serve, and end with the error's text where there is one."""
    try:
        asyncio.run(serve(name))
    except (StorageError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(sys.argv[1])
