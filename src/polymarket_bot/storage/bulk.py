"""Batches of rows: deduplication, order, and inserts that count what was really stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import asyncpg

from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.errors import FutureTime
from polymarket_bot.storage.statements import NOW, insert_many
from polymarket_bot.storage.table import M, Table

T = TypeVar("T")

_CHUNK = 5_000


def chunks(items: Sequence[T], size: int = _CHUNK) -> Iterator[Sequence[T]]:
    """Cut `items` into pieces of at most `size`."""
    return (items[start : start + size] for start in range(0, len(items), size))


def taken(items: Iterator[T], size: int) -> Iterator[list[T]]:
    """Take lists of at most `size` from `items`, until there is nothing left."""
    while batch := list(islice(items, size)):
        yield batch


def distinct_rows(table: Table[M], models: Iterable[M]) -> list[list[Any]]:
    """Return the rows to insert: the first of each key, in key order.

    Rows whose key the database generates are all different, and stay in their order.

    Writers that meet in a key wait for each other; one order for all keeps them from deadlock.

    Raises:
        InvalidInput: one of `models` is not of this table.
    """
    if set(table.key) & set(table.generated):
        return [table.values_of(model) for model in models]
    places = [table.written.index(name) for name in table.key]
    rows: dict[tuple[Any, ...], list[Any]] = {}
    for model in models:
        row = table.values_of(model)
        rows.setdefault(tuple(row[place] for place in places), row)
    return [rows[key] for key in sorted(rows)]


def latest_time(table: Table[Any], rows: Iterable[Sequence[Any]]) -> int:
    """Return the latest Unix time in `rows`, 0 when there is none."""
    places = [table.written.index(name) for name in table.moments]
    return max((row[place] or 0 for row in rows for place in places), default=0)


def refuse_future(table: Table[Any], rows: Iterable[Sequence[Any]], clock: int, skew: int) -> None:
    """Raise `FutureTime` for the first time in `rows` that is later than `clock` plus `skew`."""
    for row in rows:
        for name in table.moments:
            if (row[table.written.index(name)] or 0) > clock + skew:
                raise FutureTime(name, row[table.written.index(name)], in_future(clock, skew))


def in_future(clock: int, skew: int) -> str:
    """Say what a time in the future should have been."""
    return (
        f"expected Unix seconds up to {clock + skew} (the database's clock plus {skew} s), "
        "perhaps it is another unit or zone"
    )


async def insert_rows(executor: Executor, table: Table[M], models: Iterable[M]) -> int:
    """Insert models, all or none, and return how many rows were really stored.

    Raises:
        InvalidInput: one of `models` is not of this table.
        FutureTime: a Unix time lies in the future; nothing is stored.
    """
    rows = distinct_rows(table, models)
    if not rows:
        return 0

    async def insert() -> int:
        stored = 0
        for chunk in chunks(rows):
            record = await insert_chunk(executor, table, chunk, insert_many(table))
            stored += record["stored"]
        return stored

    return await executor.atomically(insert)


async def insert_chunk(
    executor: Executor, table: Table[Any], rows: Sequence[Sequence[Any]], statement: str
) -> asyncpg.Record:
    """Run one insert of rows given as arrays, which returns one record with its `clock`.

    Raises:
        FutureTime: a Unix time lies in the future; none of `rows` is stored.
    """
    arguments: list[Any] = [list(column) for column in zip(*rows, strict=True)]
    if table.moments:
        arguments.append(latest_time(table, rows) - executor.future_skew)
    record = await executor.fetchrow(statement, *arguments)
    assert record is not None, "an aggregate returns one row"  # noqa: S101 - for the type checker
    if table.moments:
        refuse_future(table, rows, record["clock"], executor.future_skew)
    return record


async def database_clock(executor: Executor) -> int:
    """Return the database's clock in Unix seconds."""
    return int(await executor.fetchval(f"SELECT {NOW}", repeatable=True))
