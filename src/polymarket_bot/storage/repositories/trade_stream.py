"""Trades read page by page: each page begins behind the last row of the one before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from functools import cache
from typing import Any

import asyncpg

from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.statements import select_list
from polymarket_bot.storage.tables import TRADES

_CONDITIONS = {
    "condition_id": "condition_id = {}",
    "token_id": "token_id = {}",
    "start": "timestamp >= {}",
    "end": "timestamp < {}",
}
_ORDER = ("timestamp", "condition_id", "trade_id")


@cache
def _page(given: tuple[str, ...], order: tuple[str, ...], *, behind: bool) -> str:
    """Select one page of the trades with a time, or of those without one.

    The arguments are those of the conditions, the last row's place, and the number of rows.
    """
    arguments = iter(f"${number}" for number in range(1, 20))
    conditions = [_CONDITIONS[name].format(next(arguments)) for name in given]
    conditions.append(f"timestamp IS {'NOT ' if 'timestamp' in order else ''}NULL")
    names = ", ".join(order)
    if behind:
        conditions.append(f"({names}) > ({', '.join(next(arguments) for _ in order)})")
    return (
        f"SELECT {select_list(TRADES)} FROM polymarket_trades "
        f"WHERE {' AND '.join(conditions)} ORDER BY {names} LIMIT {next(arguments)}"
    )


async def pages(
    db: Executor, given: Mapping[str, Any], size: int
) -> AsyncIterator[list[asyncpg.Record]]:
    """Yield the trades by (timestamp, condition_id, trade_id), then those without a time.

    Args:
        db: where to read.
        given: the values of some of condition_id, token_id, start (inclusive), end (exclusive).
        size: rows a page.
    """
    async for page in _pages(db, given, _ORDER, size):
        yield page
    if "start" not in given and "end" not in given:
        async for page in _pages(db, given, _ORDER[1:], size):
            yield page


async def _pages(
    db: Executor, given: Mapping[str, Any], order: tuple[str, ...], size: int
) -> AsyncIterator[list[asyncpg.Record]]:
    last: list[Any] = []
    while True:
        query = _page(tuple(given), order, behind=bool(last))
        page = await db.fetch(query, *given.values(), *last, size, repeatable=True)
        if page:
            yield page
        if len(page) < size:
            return
        last = [page[-1][name] for name in order]
