"""A process that books profit. Run as a program: `... URL DAY BOOKINGS`.

It says that it is ready, waits for a line, and adds a cent and a trade as often as it is told.
"""

from __future__ import annotations

import asyncio
import sys

from polymarket_bot.storage import DailyPnlRepository, Database, DatabaseConfig


async def main(url: str, day: str, bookings: int) -> None:
    """Book, several at once."""
    async with Database(DatabaseConfig(url=url, min_connections=4, max_connections=4)) as db:
        print("ready", flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.readline)
        pnl = DailyPnlRepository(db)
        await asyncio.gather(
            *(pnl.add(day, realized="0.01", trades=1, wins=1) for _ in range(bookings))
        )


if __name__ == "__main__":
    _, url_, day_, bookings_ = sys.argv
    asyncio.run(main(url_, day_, int(bookings_)))
