"""Trades newest first, oldest first, and in pages: each begins behind the last row of the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import asyncpg

from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.mapping.statements import select_list
from polymarket_bot.storage.sql import hidden, only
from polymarket_bot.storage.tables import TRADES

_KEYS = ("token_id", "condition_id")
_BOUNDS = ("start", "end")
_ORDER = ("timestamp", "condition_id", "trade_id")


@cache
def newest(given: tuple[str, ...]) -> str:
    """Select the newest trades of a condition or a token, those without a time last.

    The arguments are those of the conditions, and the number of rows. NULLS LAST on the whole
    would keep an index from serving, so rows without a time come apart.
    """
    *values, limit = _arguments(len(given) + 1)
    named = dict(zip(given, values, strict=True))
    parts = [_part(_timed(named), f"{_key(given)} DESC, timestamp DESC, trade_id DESC", limit)]
    if not _is_bounded(given):
        parts.append(_part(_timeless(named), "trade_id DESC", limit))
    return (
        f"SELECT {select_list(TRADES)} FROM ({' UNION ALL '.join(parts)}) AS trades "
        f"ORDER BY trades.timestamp DESC NULLS LAST, trade_id DESC LIMIT {limit}"
    )


@cache
def oldest(until: str = "") -> str:
    """Select the oldest trades of the condition $1 after the time $2, no second of them split.

    $3 is how many at least, where there are so many; `until` is SQL of the latest time. As rows,
    an end is no range with a start, of which the planner would expect few trades.
    """
    bound = f"AND (timestamp, trade_id) < ({hidden(f'1 + {until}', 'bigint')}, '')"
    return (
        f"SELECT {select_list(TRADES)} FROM (SELECT * FROM polymarket_trades "
        f"WHERE {only('condition_id', '$1')} AND timestamp > {hidden('$2', 'bigint')} "
        f"{bound if until else ''} "
        "ORDER BY condition_id, timestamp FETCH FIRST $3 ROWS WITH TIES) AS trades "
        "ORDER BY trades.timestamp, trade_id"
    )


def _part(conditions: Iterator[str], order: str, limit: str) -> str:
    return (
        f"(SELECT * FROM polymarket_trades WHERE {' AND '.join(conditions)} "
        f"ORDER BY {order} LIMIT {limit})"
    )


@cache
def _page(given: tuple[str, ...], order: tuple[str, ...], *, behind: bool) -> str:
    """Select one page of the trades with a time, or of those without one.

    The arguments are those of the conditions, the last row's place, and the number of rows.
    """
    *values, limit = _arguments(len(given) + behind * len(order) + 1)
    named, place = dict(zip(given, values, strict=False)), values[len(given) :]
    key = _key(given) if "timestamp" in order else None
    conditions = list(_timed(named) if "timestamp" in order else _timeless(named))
    if behind:
        time, *others = place
        place = [hidden(time, "bigint") if key else time, *others]
        conditions.append(f"({', '.join(order)}) > ({', '.join(place)})")
    return (
        f"SELECT {select_list(TRADES)} FROM polymarket_trades "
        f"WHERE {' AND '.join(conditions)} "
        f"ORDER BY {', '.join((key, *order) if key else order)} LIMIT {limit}"
    )


def _timed(values: Mapping[str, str]) -> Iterator[str]:
    """Yield the conditions of trades with a time.

    Of one condition or token, they are those of the index over it and the time: see `only`, and
    `oldest` for an end.
    """
    yield "timestamp IS NOT NULL"
    key = _key(values)
    for name, value in values.items():
        if name == key:
            yield only(name, value)
        elif name in _KEYS:
            # The token's condition as a rule: an `=` would make its trades look few.
            yield f"COALESCE({name} = {value}, false)"
        elif name == "start":
            yield f"timestamp >= {hidden(value, 'bigint') if key else value}"
        elif key:
            yield f"(timestamp, trade_id) < ({hidden(value, 'bigint')}, '')"
        else:
            yield f"timestamp < {value}"


def _timeless(values: Mapping[str, str]) -> Iterator[str]:
    """Yield the conditions of trades without a time."""
    yield "timestamp IS NULL"
    yield from (f"{name} = {hidden(value)}" for name, value in values.items())


def _arguments(number: int) -> list[str]:
    return [f"${place}" for place in range(1, number + 1)]


def _key(given: Iterable[str]) -> str | None:
    """Return the column, of those that are asked for, whose index serves."""
    return next((name for name in _KEYS if name in given), None)


def _is_bounded(given: Iterable[str]) -> bool:
    return any(name in given for name in _BOUNDS)


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
    if not _is_bounded(given):
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
        given = {name: value for name, value in given.items() if name != "start"}
