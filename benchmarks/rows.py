"""Trades as the exchange sends them, and tables filled by SQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from hashlib import md5
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg

from polymarket_bot.storage import PolymarketTrade
from polymarket_bot.storage.tables import TRADES

if TYPE_CHECKING:
    from benchmarks.server import Held

NOW = 1_760_000_000
"""The time of the newest rows, in Unix seconds."""

THRESHOLD = 0.95
ABSENT = 0.85
"""A threshold at which nothing has triggered."""

COLUMNS = TRADES.written
BUSY = 100
"""In tables filled by SQL, every so-many-th trade is of the condition number 0."""

MARKETS = 200
"""Of how many conditions trades are at least, in tables filled by SQL."""

_MARKETS = 20
_THRESHOLDS = (0.9, THRESHOLD, 0.97, 0.99)
_DIGITS = str.maketrans("abcdef", "123456")


class Batch(NamedTuple):
    """The same trades as models, and as the rows that are written."""

    models: list[PolymarketTrade]
    rows: list[tuple[Any, ...]]

    def part(self, start: int, end: int) -> Batch:
        """Return a piece."""
        return Batch(self.models[start:end], self.rows[start:end])


def condition(number: int) -> str:
    """Return the id of a condition."""
    return "0x" + 2 * _md5(number)


def token(number: int) -> str:
    """Return the id of a token."""
    return (3 * _md5(number)).translate(_DIGITS)[:77]


def _md5(number: int) -> str:
    return md5(str(number).encode(), usedforsecurity=False).hexdigest()


def _condition_of(number: str) -> str:
    """Return SQL of `condition`."""
    return f"'0x' || repeat(md5(({number})::text), 2)"


def _token_of(number: str) -> str:
    """Return SQL of `token`."""
    return f"left(translate(repeat(md5(({number})::text), 3), 'abcdef', '123456'), 77)"


def payload(number: int) -> dict[str, Any]:
    """Return one trade as the exchange sends it; ten share a second."""
    market = number % _MARKETS
    return {
        "proxyWallet": f"0x{number:040x}",
        "side": "SELL" if number % 3 == 0 else "BUY",
        "asset": token(2 * market + number % 2),
        "conditionId": condition(market),
        "size": number % 1_000 + 0.5,
        "price": 0.001 * (number % 998 + 1),
        "timestamp": NOW - 10_000_000 + number // 10,
        "title": "Will it happen before the end of the year?",
        "slug": "will-it-happen-before-the-end-of-the-year",
        "eventSlug": "what-happens-this-year",
        "outcome": "No" if number % 2 else "Yes",
        "outcomeIndex": number % 2,
        "name": "somebody",
        "pseudonym": "Curious-Onlooker",
        "transactionHash": f"0x{number:064x}",
    }


def lines(count: int) -> Iterator[str]:
    """Yield trades as JSON texts, each unlike all others."""
    return (json.dumps(payload(number)) for number in range(count))


@lru_cache(maxsize=1)
def batch(count: int) -> Batch:
    """Return trades, each unlike all others, in no order of their keys."""
    models = [PolymarketTrade.from_api(line) for line in lines(count)]
    return Batch(models, [tuple(TRADES.values_of(model)) for model in models])


async def copy(connection: Held, rows: list[tuple[Any, ...]]) -> int:
    """Copy rows of trades into their table and return how many."""
    tag = await connection.copy_records_to_table(TRADES.name, records=rows, columns=list(COLUMNS))
    return int(tag.split()[1])


async def empty(connection: Held) -> None:
    """Take all trades away."""
    await connection.execute(f"TRUNCATE {TRADES.name}")


async def count(connection: Held) -> int:
    """Return how many trades are stored."""
    return int(await connection.fetchval(f"SELECT count(*) FROM {TRADES.name}"))


async def fill_trades(connection: Held, many: int) -> None:
    """Store trades, one a second up to `NOW`, of as many conditions as there are thousands.

    A hundredth of them is of the condition number 0.
    """
    market = f"CASE WHEN n % {BUSY} = 0 THEN 0 ELSE 1 + n % {max(MARKETS, many // 1_000)} END"
    await _fill(
        connection,
        TRADES.name,
        f"SELECT {_condition_of('c')}, md5(n::text), {_token_of('2 * c + n % 2')}, "
        f"0.5, 10, 'BUY', {NOW} - ({many} - n), NULL, 'Yes', n % 2 "
        f"FROM (SELECT n, {market} AS c FROM generate_series(1, {many}) AS n) AS numbered",
    )


async def fill_triggers(connection: Held, many: int) -> None:
    """Store first triggers, four thresholds a token, two or three tokens a condition."""
    await _fill(
        connection,
        "polymarket_first_triggers",
        f"SELECT {_token_of('n / 4')}, {_condition_of('n / 10')}, "
        f"(ARRAY{list(_THRESHOLDS)})[n % 4 + 1], {NOW} - ({many} - n), "
        f"0.95, 10, '2025-10-09T08:53:20.000000+00:00', NULL, NULL, 'Yes', 0 "
        f"FROM generate_series(0, {many} - 1) AS n",
    )


async def fill_marks(connection: Held, many: int) -> None:
    """Store the watermarks of the conditions from number 0 on, each at `NOW` less its number."""
    await _fill(
        connection,
        "trade_watermarks",
        f"SELECT {_condition_of('n')}, {NOW} - n, '2025-10-09T08:53:20.000000+00:00' "
        f"FROM generate_series(0, {many} - 1) AS n",
    )


async def _fill(connection: Held, table: str, select: str) -> None:
    """Fill a table without its indexes and build them after, which is several times as fast."""
    query = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = $1"
    indexes = [tuple(row) for row in await connection.fetch(query, table)]
    key = f"{table}_pkey"
    await connection.execute("SET synchronous_commit = off; SET maintenance_work_mem = '256MB'")
    await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {key}")
    for name in (name for name, _ in indexes if name != key):
        await connection.execute(f"DROP INDEX {name}")
    await connection.execute(f"INSERT INTO {table} {select}")
    for _, definition in indexes:
        await connection.execute(definition)
    await connection.execute(f"ALTER TABLE {table} ADD PRIMARY KEY USING INDEX {key}")
    await _settle(connection, table)


async def _settle(connection: Held, table: str) -> None:
    """Have the server do now what filling leaves to be done, or it would do it meanwhile."""
    await connection.execute(f"VACUUM (ANALYZE) {table}")
    await connection.execute("RESET synchronous_commit; RESET maintenance_work_mem")
    try:
        await connection.execute("CHECKPOINT")
    except asyncpg.InsufficientPrivilegeError:
        return  # for superusers only: the server will write it down when it sees fit
