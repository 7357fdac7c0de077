"""What a repository reads and deletes, from its `Table` alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Generic

import asyncpg

from polymarket_bot.storage.connections.blocks import Connection
from polymarket_bot.storage.connections.executor import Executor, as_executor
from polymarket_bot.storage.errors import InvalidInput
from polymarket_bot.storage.mapping import statements
from polymarket_bot.storage.mapping.table import M, Table
from polymarket_bot.storage.repositories.arguments import whole_number

_ALL = object()


class KeyedRepository(Generic[M]):
    """Reads and deletes of one table's rows.

    Args:
        db: a `Database`, whose transaction blocks the calls take part in, or a connection.
    """

    table: ClassVar[Table[Any]]

    def __init__(self, db: Executor | Connection) -> None:
        self._db = as_executor(db)

    async def get_by_id(self, value: object, id_column: str | None = None) -> M | None:
        """Return the row whose key is `value`, or None.

        Args:
            value: the key; of a key of several columns, a tuple in the order of the key.
            id_column: another column to look in; of several rows the first by key is returned.

        Raises:
            InvalidInput: `id_column` is no column of the table, or `value` does not fit.
        """
        columns, values = self._by(value, id_column)
        return await self._one(statements.select(self.table, columns), *values, 1)

    async def exists(self, value: object, id_column: str | None = None) -> bool:
        """Tell whether `get_by_id` would find a row; same arguments, same errors."""
        columns, values = self._by(value, id_column)
        return bool(
            await self._db.fetchval(
                statements.exists(self.table, columns), *values, repeatable=True
            )
        )

    async def delete(self, value: object, id_column: str | None = None) -> bool:
        """Delete the row whose key is `value` and tell whether there was one.

        Args:
            value: as in `get_by_id`.
            id_column: another column to look in, which must be unique.

        Raises:
            InvalidInput: `id_column` is not unique, or `value` does not fit.
        """
        columns, values = self._by(value, id_column)
        unique = (self.table.key, *self.table.unique)
        if columns not in unique:
            names = ", ".join("+".join(names) for names in unique)
            raise InvalidInput("id_column", id_column, f"expected a unique one of: {names}")
        return bool(await self._db.fetch(statements.delete(self.table, columns), *values))

    async def count(self) -> int:
        """Return how many rows the table has."""
        return int(await self._db.fetchval(statements.count(self.table), repeatable=True))

    async def get_all(self, limit: int = 1000, offset: int = 0) -> list[M]:
        """Return at most `limit` rows after the first `offset`, in key order.

        Raises:
            InvalidInput: one of the two is no whole number from 0.
        """
        return await self._many(
            statements.select_page(self.table),
            whole_number("limit", limit),
            whole_number("offset", offset),
        )

    async def _one(self, query: str, *args: object, repeatable: bool = True) -> M | None:
        record = await self._db.fetchrow(query, *args, repeatable=repeatable)
        return None if record is None else self._model(record)

    async def _many(self, query: str, *args: object) -> list[M]:
        return [
            self._model(record) for record in await self._db.fetch(query, *args, repeatable=True)
        ]

    async def _list(
        self, order: str, limit: object = _ALL, *, where: str = "", **by: object
    ) -> list[M]:
        """Return the rows whose columns equal `by`, in an order, at most `limit` where given.

        `where` is a condition in SQL besides: what a query always asks, the planner should know.
        """
        query = statements.select_ordered(self.table, tuple(by), order, where)
        most = None if limit is _ALL else whole_number("limit", limit)
        return await self._many(query, *self._checked(**by), most)

    def _checked(self, **values: object) -> list[Any]:
        """Return values of columns, each checked by the rules of its column."""
        return [self.table.check(name, value) for name, value in values.items()]

    def _like(self, column: str, **argument: object) -> Any:  # noqa: ANN401 - a column's value
        """Return one argument, checked by the rules of a column of another name."""
        ((name, value),) = argument.items()
        return self.table.check(column, value, name=name)

    def _optional(self, **values: object) -> list[Any]:
        """As `_checked`, letting None through."""
        return [self.table.check(name, value, optional=True) for name, value in values.items()]

    async def _delete_where(self, condition: str, *args: object) -> int:
        """Delete the rows that fulfil a condition, a batch at a time, and return how many."""
        statement = statements.delete_some(self.table, condition)
        deleted = 0
        while some := await self._db.atomically(partial(self._db.fetchval, statement, *args)):
            deleted += some
        return deleted

    async def _once(self, query: str, *args: object) -> M | None:
        """Run a write of one row that must not be done twice, and return the row.

        In a transaction block: what becomes of it is then known when the connection is lost.
        """
        return await self._db.atomically(partial(self._one, query, *args, repeatable=False))

    async def _move(self, query: str, *args: object, by: tuple[str, ...] = ()) -> M | None:
        """Run a write of one row as `_once`; where it changed nothing, return the row that stands.

        The first argument is the value of the columns `by`, which are the key by default.
        """
        if moved := await self._once(query, *args):
            return moved
        return await self._one(statements.select(self.table, by or self.table.key), args[0], 1)

    def _there(self, row: M | None) -> M:
        """Return the row of a write that always returns one."""
        assert row is not None  # noqa: S101 - for the type checker
        return row

    def _model(self, record: asyncpg.Record) -> M:
        model: M = self.table.from_record(record)
        return model

    def _by(self, value: object, id_column: object) -> tuple[tuple[str, ...], Sequence[Any]]:
        """Return the columns that identify a row, and their checked values."""
        table = self.table
        if id_column is None:
            columns = table.key
        elif isinstance(id_column, str) and id_column in table.columns:
            columns = (id_column,)
        else:
            names = ", ".join(table.columns)
            raise InvalidInput("id_column", id_column, f"expected one of {names}")
        values = value if len(columns) > 1 else (value,)
        if not isinstance(values, tuple) or len(values) != len(columns):
            raise InvalidInput("value", value, f"expected a tuple of {', '.join(columns)}")
        return columns, [
            table.check(name, given) for name, given in zip(columns, values, strict=True)
        ]
