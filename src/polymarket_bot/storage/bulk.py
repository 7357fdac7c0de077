"""Batches of rows: one order, deduplicated, and writes that count what was really stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import asyncpg

from polymarket_bot.storage import statements
from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.errors import FutureTime, InvalidInput
from polymarket_bot.storage.sql import NOW
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


@dataclass(frozen=True)
class Batch:
    """Rows to be written.

    Attributes:
        table: their table.
        columns: what each row gives, in order.
        rows: the values.
    """

    table: Table[Any]
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]

    def reached(self, skew: int) -> list[int]:
        """Return the argument that a write ends with: the time that the clock must have reached.

        None is needed for a table without Unix times.
        """
        if not self.table.moments:
            return []
        return [max((moment for _, moment in self._moments()), default=0) - skew]

    def refuse_future(self, clock: int, skew: int) -> None:
        """Raise `FutureTime` for the first time that is later than `clock` plus `skew`."""
        for name, moment in self._moments():
            if moment > clock + skew:
                raise FutureTime(name, moment, in_future(clock, skew))

    def distinct(self, key: tuple[str, ...], *, last: bool = False) -> Batch:
        """Return the first row of each key, or the last, in key order.

        Writers that meet in a key wait for each other; one order for all keeps them from
        deadlock. A row with NULL in its key is like no other.
        """
        places = [(name, self.columns.index(name)) for name in key]
        kept: dict[tuple[Any, ...], Sequence[Any]] = {}
        unlike: list[Sequence[Any]] = []
        for row in reversed(self.rows) if last else self.rows:
            if any(row[place] is None for _, place in places):
                unlike.append(row)
            else:
                kept.setdefault(
                    tuple(self.table.sortable(name, row[place]) for name, place in places), row
                )
        rows = [*unlike[:: -1 if last else 1], *(kept[values] for values in sorted(kept))]
        return Batch(self.table, self.columns, rows)

    def chunked(self) -> Iterator[Batch]:
        """Cut the batch into pieces that one statement takes."""
        return (Batch(self.table, self.columns, rows) for rows in chunks(self.rows))

    async def write(self, executor: Executor, statement: str) -> asyncpg.Record:
        """Run one write of rows given as arrays, which returns one record with its `clock`.

        Raises:
            FutureTime: a Unix time lies in the future; none of the rows is stored.
        """
        skew = executor.future_skew
        arrays = [list(column) for column in zip(*self.rows, strict=True)]
        record = await executor.fetchrow(statement, *arrays, *self.reached(skew))
        assert record is not None, "an aggregate returns one row"  # noqa: S101 - for mypy
        if self.table.moments:
            self.refuse_future(record["clock"], skew)
        return record

    def _moments(self) -> Iterator[tuple[str, int]]:
        for name in self.table.moments:
            place = self.columns.index(name)
            yield from ((name, row[place]) for row in self.rows if row[place] is not None)


def new_rows(table: Table[M], models: Iterable[M], *, last: bool = False) -> Batch:
    """Return the rows to insert, one of each identity: the first, or the last.

    Rows of a table without an identity are all different, and stay in their order.

    Raises:
        InvalidInput: one of `models` is not of this table.
    """
    batch = Batch(table, table.written, [table.values_of(model) for model in models])
    return batch.distinct(table.identity, last=last) if table.identity else batch


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
    return await _atomically(executor, (new_rows(table, models), statements.insert_many))


async def update_rows(executor: Executor, table: Table[M], models: Iterable[M]) -> int:
    """Replace the rows of the models' keys, all or none, and return how many there were.

    Raises:
        InvalidInput: one of `models` is not of this table or has no id.
        FutureTime: a Unix time lies in the future; nothing is stored.
    """
    return await _atomically(executor, (_stored_rows(table, models), statements.update_many))


async def upsert_rows(executor: Executor, table: Table[M], models: Iterable[M]) -> int:
    """Insert models or replace the rows of their identity, all or none; return how many.

    Raises:
        InvalidInput: one of `models` is not of this table or has an id that is not stored.
        FutureTime: a Unix time lies in the future; nothing is stored.
    """
    known: list[M] = []
    new: list[M] = []
    for model in models:
        (known if table.is_numbered(model) else new).append(model)
    numbered = _stored_rows(table, known)

    async def upsert() -> int:
        await _refuse_unknown(executor, numbered)
        return await _write(
            executor,
            (numbered, statements.update_many),
            (new_rows(table, new, last=True), statements.upsert_many),
        )

    return await executor.atomically(upsert) if known or new else 0


def _stored_rows(table: Table[M], models: Iterable[M]) -> Batch:
    rows = [table.all_values_of(model) for model in models]
    return Batch(table, tuple(table.columns), rows).distinct(table.key, last=True)


async def _refuse_unknown(executor: Executor, numbered: Batch) -> None:
    """Raise for the first row whose id is not stored."""
    if not numbered.rows:
        return
    (key,) = numbered.table.key
    place = numbered.columns.index(key)
    ids = [row[place] for row in numbered.rows]
    stored = await executor.fetch(statements.select_keys(numbered.table), ids)
    if unknown := set(ids) - {record[key] for record in stored}:
        raise unknown_id(key, min(unknown))


def unknown_id(key: str, value: object) -> InvalidInput:
    """Return the error for a model with an id that is not stored."""
    return InvalidInput(key, value, "expected the id of a stored row; leave it None for a new one")


async def _atomically(
    executor: Executor, *writes: tuple[Batch, Callable[[Table[Any]], str]]
) -> int:
    if not any(batch.rows for batch, _ in writes):
        return 0
    return await executor.atomically(lambda: _write(executor, *writes))


async def _write(executor: Executor, *writes: tuple[Batch, Callable[[Table[Any]], str]]) -> int:
    stored = 0
    for batch, statement in writes:
        for chunk in batch.chunked():
            stored += (await chunk.write(executor, statement(batch.table)))["stored"]
    return stored


async def database_clock(executor: Executor) -> int:
    """Return the database's clock in Unix seconds."""
    return int(await executor.fetchval(f"SELECT {NOW}", repeatable=True))
