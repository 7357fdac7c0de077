"""Many workers at work for long: `python -m benchmarks.soak [--minutes 10] [--workers 64]`.

Each worker stores what arrives for its condition, processes it, claims a trigger and reads, as a
bot does, in one process on one pool. Every part of the time is a row of the table: calls, latency,
connections and memory. What should be flat is the last rows against the first.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median, quantiles

from rich.console import Console
from rich.table import Table

from benchmarks.rows import condition, payload
from benchmarks.server import Stage, open_server
from polymarket_bot.storage import (
    Database,
    PolymarketFirstTrigger,
    PolymarketTrade,
    TradeRepository,
    TriggerRepository,
)

PARTS = 10
"""Of how many rows the table is."""

_ARRIVING = 5
_PAUSE = 0.02
_KIB = 2**10
_numbers = count()


@dataclass
class Span:
    """What happened in a part of the time.

    Attributes:
        took: how long each turn of a worker took, in seconds.
        connections: the largest size that the pool had.
        mib: how large the process is at its end.
    """

    took: list[float] = field(default_factory=list)
    connections: int = 0
    mib: float = 0.0


async def soak(db: Database, workers: int, seconds: float) -> list[Span]:
    """Have the workers work for so long; return what happened, part by part."""
    spans = [Span()]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_work(db, number, spans)) for number in range(workers)]
        for _ in range(PARTS):
            await asyncio.sleep(seconds / PARTS)
            spans[-1].connections = db.stats().pool_size
            spans[-1].mib = _resident()
            spans.append(Span())
        for task in tasks:
            task.cancel()
    return spans[:PARTS]


async def _work(db: Database, worker: int, spans: list[Span]) -> None:
    while True:
        began = time.perf_counter()
        await _turn(db, condition(worker))
        spans[-1].took.append(time.perf_counter() - began)
        await asyncio.sleep(_PAUSE)


async def _turn(db: Database, condition_id: str) -> None:
    trades, triggers = TradeRepository(db), TriggerRepository(db)
    now = int(time.time())

    async def look(new: list[PolymarketTrade]) -> None:
        first = new[0]
        await triggers.claim(
            PolymarketFirstTrigger(
                token_id=str(next(_numbers)),
                condition_id=condition_id,
                threshold=0.95,
                trigger_timestamp=first.timestamp or now,
                created_at="2025-10-09T12:00:00Z",
            )
        )

    arriving = [
        payload(next(_numbers)) | {"conditionId": condition_id, "timestamp": now - 3}
        for _ in range(_ARRIVING)
    ]
    await trades.ingest(arriving)
    await trades.get_recent(condition_id, 5)
    await trades.process_new(condition_id, look)


def _resident() -> float:
    """Return how large the process is now, or, where that is not told, was at most, in MiB."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize() / _KIB**2
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB**2


def show(spans: Sequence[Span], seconds: float) -> None:
    """Print a row for each part."""
    table = Table("from second", "turns", "median ms", "99 % ms", "connections", "MiB")
    for number, span in enumerate(spans):
        low, high = median(span.took), quantiles(span.took, n=100)[-1]
        table.add_row(
            f"{number * seconds / PARTS:.0f}",
            f"{len(span.took):,}",
            f"{low * 1e3:.1f}",
            f"{high * 1e3:.1f}",
            str(span.connections),
            f"{span.mib:.1f}",
        )
    Console(width=None if sys.stdout.isatty() else 100).print(table)


async def main(workers: int, seconds: float) -> None:
    """Work on a server of its own, or that of DATABASE_URL, and print what happened."""
    async with open_server() as url, Stage(url) as stage:
        place = await stage.place()
        show(await soak(place.db, workers, seconds), seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=64)
    given = parser.parse_args()
    asyncio.run(main(given.workers, given.minutes * 60))
