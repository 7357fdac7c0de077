"""Batches of rows: one order, deduplicated, and writes that count what was really stored."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import asyncpg

from polymarket_bot.storage import statements
from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.errors import (
    AlreadyExists,
    ConstraintViolation,
    FutureTime,
    InvalidInput,
    InvalidValue,
)
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
        with self.blaming():
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
        kept: dict[tuple[Any, ...], Sequence[Any]] = {}
        unlike: list[Sequence[Any]] = []
        with self.blaming():
            for row in reversed(self.rows) if last else self.rows:
                if (values := self._key_of(row, key)) is None:
                    unlike.append(row)
                else:
                    kept.setdefault(values, row)
            rows = [kept[values] for values in sorted(kept)]
            if key != self.table.identity:  # an update by id meets upserts, which know no id
                rows.sort(key=self._identity)
        return self._with([*unlike[:: -1 if last else 1], *rows])

    def turns(self, key: tuple[str, ...]) -> list[Batch]:
        """Return batches to be written one after the other, none of which has a key twice.

        Of several rows with one key the last counts; by `Table.newest` the latest, and the first
        of those. Where a lifecycle holds, it must see each of them in turn.
        """
        if self.table.newest is not None:
            return [self._newest_first(self.table.newest).distinct(key)]
        if self.table.lifecycle is not None:
            return [turn.distinct(key) for turn in self._in_turn(key)]
        return [self.distinct(key, last=True)]

    def _in_turn(self, key: tuple[str, ...]) -> Iterator[Batch]:
        """Deal out the rows: the first of each key, the second of each that has one, …."""
        seen: Counter[tuple[Any, ...] | None] = Counter()
        turns: defaultdict[int, list[Sequence[Any]]] = defaultdict(list)
        with self.blaming():
            for row in self.rows:
                values = self._key_of(row, key)
                turns[seen[values] if values else 0].append(row)
                seen[values] += 1
        return map(self._with, turns.values())

    def _newest_first(self, column: str) -> Batch:
        place = self.columns.index(column)
        return self._with(sorted(self.rows, key=lambda row: row[place] or "", reverse=True))

    def _with(self, rows: Sequence[Sequence[Any]]) -> Batch:
        return Batch(self.table, self.columns, rows)

    def _key_of(self, row: Sequence[Any], key: tuple[str, ...]) -> tuple[Any, ...] | None:
        """Return what tells a row from others, or None where a part of it is NULL."""
        values = [row[self.columns.index(name)] for name in key]
        if any(value is None for value in values):
            return None
        return tuple(map(self.table.sortable, key, values))

    def _identity(self, row: Sequence[Any]) -> tuple[tuple[bool, Any], ...]:
        """Return what to order a row by, as `distinct` orders upserts; NULL comes first."""
        values = ((name, row[self.columns.index(name)]) for name in self.table.identity)
        return tuple(
            (value is not None, value is not None and self.table.sortable(name, value))
            for name, value in values
        )

    def chunked(self) -> Iterator[Batch]:
        """Cut the batch into pieces that one statement takes."""
        return map(self._with, chunks(self.rows))

    async def write(self, executor: Executor, statement: str) -> asyncpg.Record:
        """Run one write of rows given as arrays, which returns one record with its `clock`.

        Raises:
            InvalidInput: a value does not fit its column; none of the rows is stored.
            FutureTime: a Unix time lies in the future; none of the rows is stored.
        """
        skew = executor.future_skew
        arrays = [list(column) for column in zip(*self.rows, strict=True)]
        with self.blaming():
            record = await executor.fetchrow(statement, *arrays, *self.reached(skew))
        assert record is not None, "an aggregate returns one row"  # noqa: S101 - for mypy
        if self.table.moments:
            self.refuse_future(record["clock"], skew)
        return record

    @contextmanager
    def blaming(self) -> Iterator[None]:
        """Name the column where the rows are refused for a value that it does not take.

        Rows are not validated a second time; a model can be changed behind validation's back.
        """
        try:
            yield
        except (InvalidValue, ConstraintViolation, TypeError) as error:
            if isinstance(error, AlreadyExists):
                raise
            self.table.blame(self.columns, self.rows)
            raise

    def _moments(self) -> Iterator[tuple[str, int]]:
        for name in self.table.moments:
            place = self.columns.index(name)
            yield from ((name, row[place]) for row in self.rows if row[place] is not None)


def new_rows(table: Table[M], models: Iterable[M]) -> Batch:
    """Return the rows to insert, the first of each identity.

    Rows of a table without an identity are all different, and stay in their order.

    Raises:
        InvalidInput: one of `models` is not of this table.
    """
    batch = _rows_of(table, models)
    return batch.distinct(table.identity) if table.identity else batch


def _rows_of(table: Table[M], models: Iterable[M]) -> Batch:
    return Batch(table, table.written, [table.values_of(model) for model in models])


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
    return await _atomically(executor, [new_rows(table, models)], statements.insert_many)


async def update_rows(executor: Executor, table: Table[M], models: Iterable[M]) -> int:
    """Replace the rows of the models' keys, all or none, and return how many there were.

    Raises:
        InvalidInput: one of `models` is not of this table or has no id.
        FutureTime: a Unix time lies in the future; nothing is stored.
    """
    rows = _stored_rows(table, models).turns(table.key)
    return await _atomically(executor, rows, statements.update_many)


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
    numbered, unnumbered = _stored_rows(table, known), _rows_of(table, new)
    inserts = unnumbered.turns(table.identity) if table.identity else [unnumbered]

    async def upsert() -> int:
        await _refuse_unknown(executor, numbered)
        updated = await _write(executor, numbered.turns(table.key), statements.update_many)
        return updated + await _write(executor, inserts, statements.upsert_many)

    return await executor.atomically(upsert) if known or new else 0


def _stored_rows(table: Table[M], models: Iterable[M]) -> Batch:
    return Batch(table, tuple(table.columns), [table.numbered_values_of(model) for model in models])


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
    executor: Executor, batches: Sequence[Batch], statement: Callable[[Table[Any]], str]
) -> int:
    if not any(batch.rows for batch in batches):
        return 0
    return await executor.atomically(lambda: _write(executor, batches, statement))


async def _write(
    executor: Executor, batches: Iterable[Batch], statement: Callable[[Table[Any]], str]
) -> int:
    stored = 0
    for batch in batches:
        for chunk in batch.chunked():
            stored += (await chunk.write(executor, statement(batch.table)))["stored"]
    return stored


async def database_clock(executor: Executor) -> int:
    """Return the database's clock in Unix seconds."""
    return int(await executor.fetchval(f"SELECT {NOW}", repeatable=True))
