"""Programs whose memory is measured: `python -m benchmarks.programs NAME URL COUNT`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from benchmarks.rows import THRESHOLD, token
from benchmarks.server import CONNECTIONS, config
from polymarket_bot.storage import Database, TradeRepository, TriggerRepository


async def stream(db: Database, most: int) -> int:
    """Iterate over trades, at most so many, and return how many there were."""
    seen = 0
    async for _ in TradeRepository(db).stream():
        seen += 1
        if seen == most:
            break
    return seen


async def idle(db: Database, many: int) -> int:
    """Have so many tasks that have read once and wait; return how many of them there were."""
    turns, waiting, end = asyncio.Semaphore(CONNECTIONS), asyncio.Semaphore(0), asyncio.Event()

    async def task(number: int) -> None:
        async with turns:
            await TriggerRepository(db).has_triggered(token(number), THRESHOLD)
        waiting.release()
        await end.wait()

    tasks = [asyncio.create_task(task(number)) for number in range(many)]
    for _ in tasks:
        await waiting.acquire()
    end.set()
    await asyncio.gather(*tasks)
    return len(tasks)


_PROGRAMS: Mapping[str, Callable[[Database, int], Awaitable[int]]] = MappingProxyType(
    {"stream": stream, "idle": idle}
)


async def _main(name: str, url: str, count: str) -> None:
    async with Database(config(url)) as db:
        sys.stdout.write(str(await _PROGRAMS[name](db, int(count))))


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
