"""`Batch`: rows to be written, in one order, deduplicated, by as few statements as there can be."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeVar

import asyncpg

from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.errors import (
    AlreadyExists,
    ConstraintViolation,
    FutureTime,
    InvalidValue,
)
from polymarket_bot.storage.mapping import staging
from polymarket_bot.storage.mapping.statements import one_row
from polymarket_bot.storage.mapping.table import Table

T = TypeVar("T")

_CHUNK = 10_000
_STAGED_FROM = 500  # a temporary table takes a millisecond, arrays 10 us more for each row


def chunks(items: Sequence[T], size: int = _CHUNK) -> Iterator[Sequence[T]]:
    """Cut `items` into pieces of at most `size`."""
    return (items[start : start + size] for start in range(0, len(items), size))


def in_future(clock: int, skew: int) -> str:
    """Say what a time in the future should have been."""
    return (
        f"expected Unix seconds up to {clock + skew} (the database's clock plus {skew} s), "
        "perhaps it is another unit or zone"
    )


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
            latest = [max(moments, default=0) for _, moments in self._moments()]
            return [max(latest) - skew]

    def refuse_future(self, clock: int, skew: int) -> None:
        """Raise `FutureTime` for the first time that is later than `clock` plus `skew`."""
        for name, moments in self._moments():
            for moment in moments:
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

    def in_order(self, key: tuple[str, ...]) -> Batch:
        """As `distinct`, for an insert that leaves what is there: twins may follow the first."""
        if key != self.table.key or any(self.table.columns[name].sql != "text" for name in key):
            return self.distinct(key)
        rows = list(self.rows)
        with self.blaming():
            for name in reversed(key):  # a sort by texts is several times as fast as one by pairs
                rows.sort(key=itemgetter(self.columns.index(name)))
        return self._with(rows)

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

    async def insert(self, executor: Executor, statement: Callable[[str], str]) -> asyncpg.Record:
        """As `write`, of new rows in a transaction block; many are staged.

        `statement` makes the text, of the relation that the rows stand in; "" for arrays.
        """
        if len(self.rows) == 1:
            return await self._write(
                executor, statement(one_row(self.table, self.columns)), *self.rows[0]
            )
        if len(self.rows) < _STAGED_FROM or not await staging.is_allowed(executor):
            return await self.write(executor, statement(""))
        with self.blaming():
            await staging.stage(executor, self.table, self.rows)
        record = await self._write(executor, statement(staging.RELATION))
        await staging.clear(executor)
        return record

    async def write(self, executor: Executor, statement: str) -> asyncpg.Record:
        """Run one write of rows given as arrays, which returns one record with its `clock`.

        Raises:
            InvalidInput: a value does not fit its column; none of the rows is stored.
            FutureTime: a Unix time lies in the future; none of the rows is stored.
        """
        return await self._write(executor, statement, *map(list, zip(*self.rows, strict=True)))

    async def _write(self, executor: Executor, statement: str, *args: object) -> asyncpg.Record:
        skew = executor.future_skew
        reached = self.reached(skew)
        with self.blaming():
            record = await executor.fetchrow(statement, *args, *reached)
        assert record is not None, "an aggregate returns one row"  # noqa: S101 - for mypy
        if reached and record["clock"] < reached[0]:
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

    def _moments(self) -> Iterator[tuple[str, list[int]]]:
        for name in self.table.moments:
            place = self.columns.index(name)
            yield name, [row[place] for row in self.rows if row[place] is not None]
