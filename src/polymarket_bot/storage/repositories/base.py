"""What every repository can do, from its `Table` alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, ClassVar, Generic

import asyncpg

from polymarket_bot.storage import bulk, statements
from polymarket_bot.storage.bulk import Batch
from polymarket_bot.storage.connections.blocks import Connection
from polymarket_bot.storage.connections.executor import Executor, as_executor
from polymarket_bot.storage.errors import InvalidInput
from polymarket_bot.storage.repositories.arguments import whole_number
from polymarket_bot.storage.table import M, Table

_ATTEMPTS = 3
_ALL = object()
_NOT_LET_IN = "expected a row that the database lets in"


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
        """Return at most `limit` rows after the first `offset`, in key order."""
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


class BaseRepository(KeyedRepository[M]):
    """Reads and writes of one table's rows; base of a bot's own repositories, too.

    A write of a whole batch is all or none. An id that the database gives (SERIAL) is not taken
    from a model that is created. What the table's `Lifecycle` forbids changes nothing: the
    stored row is returned, and a batch does not count it.
    """

    async def create(self, model: M) -> M:
        """Store `model` and return the stored row.

        Raises:
            InvalidInput: `model` is of another table.
            FutureTime: a Unix time of it lies in the future.
            AlreadyExists: a row of the same key is there.
        """
        return await self._create(model, keep=False)

    async def create_many(self, models: Iterable[M]) -> int:
        """Store models, all or none, and return how many rows were really inserted.

        A row whose key is there already, or earlier in `models`, is left as it was.

        Raises:
            InvalidInput: one of them is of another table.
            FutureTime: a Unix time of one lies in the future.
        """
        return await bulk.insert_rows(self._db, self.table, self.table.each(models))

    async def update(self, model: M) -> M | None:
        """Put `model` in the place of the row of the same key and return the stored row.

        Returns:
            The row as it is stored now, or None where there is none.

        Raises:
            InvalidInput: `model` is of another table, or has no id yet.
            FutureTime: a Unix time of it lies in the future.
        """
        row = Batch(self.table, tuple(self.table.columns), [self.table.numbered_values_of(model)])
        return await self._replace(statements.update(self.table), row, self.table.key)

    async def upsert(self, model: M) -> M:
        """Store `model`, in the place of the row of the same key where there is one.

        A model of a SERIAL table that has an id takes the place of the row of that id. Without
        one, a table's unique columns tell whether the row is there.

        Returns:
            The row as it is stored now.

        Raises:
            InvalidInput: `model` is of another table, or has an id that is not stored.
            FutureTime: a Unix time of it lies in the future.
        """
        if self.table.is_numbered(model):
            (key,) = self.table.key
            if (stored := await self.update(model)) is None:
                raise bulk.unknown_id(key, getattr(model, key))
            return stored
        row = Batch(self.table, self.table.written, [self.table.values_of(model)])
        identity = self.table.identity if self._is_identified(model) else ()
        for _ in range(_ATTEMPTS):
            stored = await self._replace(statements.upsert(self.table), row, identity)
            if stored is not None:
                return stored
        raise InvalidInput(self.table.name, model, _NOT_LET_IN)

    async def update_many(self, models: Iterable[M]) -> int:
        """Put models in the places of the rows of their keys; return how many there were.

        Of several with one key, the last counts; where a lifecycle holds, each in turn.

        Raises:
            InvalidInput: one of them is of another table, or has no id yet.
            FutureTime: a Unix time of one lies in the future.
        """
        return await bulk.update_rows(self._db, self.table, self.table.each(models))

    async def upsert_many(self, models: Iterable[M]) -> int:
        """Store models as `upsert` does and return how many rows were written.

        Of several with one key, the last counts; where a lifecycle holds, each in turn.

        Raises:
            InvalidInput: one of them is of another table, or has an id that is not stored.
            FutureTime: a Unix time of one lies in the future.
        """
        return await bulk.upsert_rows(self._db, self.table, self.table.each(models))

    async def _create(self, model: M, *, keep: bool) -> M:
        """Store `model`; with `keep`, a row of the same key is left and returned."""
        row = Batch(self.table, self.table.written, [self.table.values_of(model)])

        async def standing() -> M | None:
            return await self._stored(row, self.table.identity) if keep else None

        statement = statements.insert(self.table, keep=keep)
        stored, _ = await self._enter(statement, row, standing, repeatable=keep)
        return stored

    async def _enter(
        self,
        statement: str,
        row: Batch,
        standing: Callable[[], Awaitable[M | None]],
        *,
        repeatable: bool,
    ) -> tuple[M, bool]:
        """Insert a row, or find what stands in its way; return the row, and whether it is new."""
        for _ in range(_ATTEMPTS):
            if stored := await self._write(statement, row, repeatable=repeatable):
                return stored, True
            if kept := await standing():
                return kept, False
            await self._refuse_future(row)
        raise InvalidInput(self.table.name, row.rows[0], _NOT_LET_IN)

    async def _replace(self, statement: str, row: Batch, identity: tuple[str, ...]) -> M | None:
        """Run an update or upsert; where it changed nothing, return the row that stands."""
        if written := await self._write(statement, row, repeatable=bool(identity)):
            return written
        await self._refuse_future(row)
        return await self._stored(row, identity) if identity else None

    def _is_identified(self, model: M) -> bool:
        return all(getattr(model, name) is not None for name in self.table.identity)

    async def _write(self, statement: str, row: Batch, *, repeatable: bool) -> M | None:
        (values,) = row.rows
        reached = row.reached(self._db.future_skew)
        with row.blaming():
            return await self._one(statement, *values, *reached, repeatable=repeatable)

    async def _refuse_future(self, row: Batch) -> None:
        if self.table.moments:
            row.refuse_future(await bulk.database_clock(self._db), self._db.future_skew)

    async def _stored(self, row: Batch, identity: tuple[str, ...]) -> M | None:
        (values,) = row.rows
        given = [values[row.columns.index(name)] for name in identity]
        return await self._one(statements.select(self.table, identity), *given, 1)
