"""Ratios of this package's calls to the bare driver's, in one run on one machine.

    make bench
    python benchmarks/run.py --json figures.json

Each round times the floor and ours one after the other; the ratio is that of the medians. Every
call's result is checked. The server is DATABASE_URL's, in a database of its own that is dropped
at the end, or else an embedded one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from polymarket_bot.storage import (
    Database,
    DatabaseConfig,
    EmbeddedPostgres,
    PolymarketTrade,
    TradeRepository,
    TradeWatermarkRepository,
    TriggerRepository,
)
from polymarket_bot.storage.connections.blocks import Connection
from polymarket_bot.storage.tables import TRADES

ROUNDS = 5
ROWS = 50_000
CONDITION = "0x" + "ab" * 32
NOW = 1_760_000_000
NAME = "polymarket_benchmark"
LINE = "{case:42} floor {floor_s:10.6f} s  ours {ours_s:10.6f} s  x{ratio:5.2f}"

Call = Callable[[], Awaitable[object]]


class Case(NamedTuple):
    """A call, the floor it is held against, and what both must return."""

    name: str
    floor: Call
    ours: Call
    expected: object
    repeat: int = 1
    before: Call | None = None


def payload(number: int) -> dict[str, Any]:
    """One trade as the exchange sends it."""
    return {
        "proxyWallet": f"0x{number:040x}",
        "side": "BUY",
        "asset": "7" * 77,
        "conditionId": CONDITION,
        "size": number + 0.5,
        "price": 0.91,
        "timestamp": NOW + number // 10,
        "title": "Will it happen?",
        "slug": "will-it-happen",
        "outcome": "Yes",
        "outcomeIndex": 0,
        "transactionHash": f"0x{number:064x}",
    }


@asynccontextmanager
async def open_database() -> AsyncIterator[Database]:
    """Open an empty database of its own with the schema."""
    if url := os.environ.get("DATABASE_URL"):
        async with own_database(url) as own, Database(DatabaseConfig(url=own)) as db:
            await db.migrate()
            yield db
        return
    with tempfile.TemporaryDirectory(prefix="pmb-bench-") as folder:
        Path(folder).chmod(0o711)  # noqa: ASYNC240 - before anything is measured
        async with (
            EmbeddedPostgres(Path(folder) / "server") as server,
            Database(DatabaseConfig(url=server.url)) as db,
        ):
            await db.migrate()
            yield db


@asynccontextmanager
async def own_database(url: str) -> AsyncIterator[str]:
    """Create a database beside the given one, and drop it at the end."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
        await connection.execute(f"CREATE DATABASE {NAME} TEMPLATE template0")
        yield urlunsplit(urlsplit(url)._replace(path=f"/{NAME}"))
    finally:
        await connection.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
        await connection.close()


def cases(db: Database, held: Connection) -> list[Case]:
    """Return the cases; `held` is a connection that nobody else uses."""
    trades, marks, triggers = (
        TradeRepository(db),
        TradeWatermarkRepository(db),
        TriggerRepository(db),
    )
    lines = [json.dumps(payload(number)) for number in range(ROWS)]
    models = [PolymarketTrade.from_api(line) for line in lines]
    rows = [tuple(TRADES.values_of(model)) for model in models]

    async def empty() -> None:
        await held.execute("TRUNCATE polymarket_trades")

    async def copy() -> int:
        columns = list(TRADES.written)
        tag = await held.copy_records_to_table("polymarket_trades", records=rows, columns=columns)
        return int(tag.split()[1])

    async def ingest() -> int:
        return (await trades.ingest(lines)).inserted

    async def raw_fetch() -> int:
        query = "SELECT * FROM polymarket_trades WHERE condition_id = $1 LIMIT 10000"
        return len(await held.fetch(query, CONDITION))

    async def get_by_condition() -> int:
        return len(await trades.get_by_condition(CONDITION, limit=10_000))

    def point() -> Awaitable[object]:
        query = "SELECT last_timestamp FROM trade_watermarks WHERE condition_id = $1"
        return held.fetchval(query, CONDITION)

    return [
        Case("create_many, no duplicates / COPY", copy, lambda: trades.create_many(models), ROWS,
             before=empty),
        Case("ingest of JSON texts / COPY", copy, ingest, ROWS, before=empty),
        Case("get_by_condition of 10,000 / raw fetch", raw_fetch, get_by_condition, 10_000),
        Case("db.fetchval / held connection", lambda: held.fetchval("SELECT 1"),
             lambda: db.fetchval("SELECT 1"), 1, repeat=500),
        Case("get_timestamp / fetchval held", point, lambda: marks.get_timestamp(CONDITION), NOW,
             repeat=500),
        Case("should_trigger / fetchval held", point,
             lambda: triggers.should_trigger("t", CONDITION, 0.95), None, repeat=500),
    ]  # fmt: skip


async def timed(case: Case, call: Call) -> float:
    """Return the seconds of one call, and check what it returned."""
    if case.before:
        await case.before()
    start = time.perf_counter()
    for _ in range(case.repeat):
        result = await call()
        assert case.expected is None or result == case.expected, (case.name, result)
    return (time.perf_counter() - start) / case.repeat


async def measure(case: Case) -> dict[str, Any]:
    """Run a case's rounds, after one that does not count."""
    rounds = [
        (await timed(case, case.floor), await timed(case, case.ours)) for _ in range(ROUNDS + 1)
    ]
    floor, ours = (median(column) for column in zip(*rounds[1:], strict=True))
    return {"case": case.name, "floor_s": floor, "ours_s": ours, "ratio": ours / floor}


async def main(json_file: Path | None) -> None:
    """Measure all cases and print them."""
    figures = []
    async with open_database() as db, db.connection() as held:
        await TradeWatermarkRepository(db).update(CONDITION, NOW)
        for case in cases(db, held):
            figures.append(await measure(case))
            print(LINE.format_map(figures[-1]))
    if json_file:
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")  # noqa: ASYNC240


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    asyncio.run(main(parser.parse_args().json))
