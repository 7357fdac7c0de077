"""A process that races others for rows. Run as a program: `... URL WHAT NAME ROUNDS`.

It says that it is ready, waits for a line, and prints the rounds that it won as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable

from polymarket_bot.storage import (
    Database,
    DatabaseConfig,
    PositionRepository,
    TradeApprovalRepository,
)


async def close(db: Database, name: str, round_: int) -> bool:
    """Close the position whose id is the round."""
    closed = await PositionRepository(db).close(round_, "0.8", exit_order_id=name)
    return closed is not None and closed.exit_order_id == name


async def resolve(db: Database, name: str, round_: int) -> bool:
    """Resolve the position whose id is the round."""
    resolved = await PositionRepository(db).resolve(round_, name, 1)
    return resolved is not None and resolved.resolution == name


async def consume(db: Database, _: str, round_: int) -> bool:
    """Consume the approval of the token that is the round."""
    return await TradeApprovalRepository(db).consume(str(round_), "0.9") is not None


RACES: dict[str, Callable[[Database, str, int], Awaitable[bool]]] = {
    "close": close,
    "resolve": resolve,
    "consume": consume,
}


async def main(url: str, what: str, name: str, rounds: int) -> list[int]:
    """Race for each round, all at once; return the rounds that were won."""
    async with Database(DatabaseConfig(url=url, min_connections=4, max_connections=4)) as db:
        print("ready", flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.readline)
        won = await asyncio.gather(*(RACES[what](db, name, n) for n in range(1, rounds + 1)))
        return [n for n, answer in enumerate(won, 1) if answer]


if __name__ == "__main__":
    _, url_, what_, name_, rounds_ = sys.argv
    print(json.dumps(asyncio.run(main(url_, what_, name_, int(rounds_)))))  # noqa: T201
