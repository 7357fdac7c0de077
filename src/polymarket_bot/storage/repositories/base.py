"""What every repository can do, from its `Table` alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Generic

import asyncpg

from polymarket_bot.storage import bulk, statements
from polymarket_bot.storage.connections.blocks import Connection
from polymarket_bot.storage.connections.executor import Executor, as_executor
from polymarket_bot.storage.errors import InvalidInput
from polymarket_bot.storage.table import M, Table

ATTEMPTS = 3
_LIMIT = 2**63 - 1


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
        if columns != self.table.key and id_column not in self.table.unique:
            unique = ", ".join((*self.table.unique, "+".join(self.table.key)))
            raise InvalidInput("id_column", id_column, f"expected a unique one of: {unique}")
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

    def _model(self, record: asyncpg.Record) -> M:
        model: M = self.table.from_record(record)
        return model

    def _by(self, value: object, id_column: str | None) -> tuple[tuple[str, ...], Sequence[Any]]:
        """Return the columns that identify a row, and their checked values."""
        table = self.table
        if id_column is not None and id_column not in tuple(table.columns):
            raise InvalidInput(
                "id_column", id_column, f"expected one of {', '.join(table.columns)}"
            )
        columns = table.key if id_column is None else (id_column,)
        values = value if len(columns) > 1 else (value,)
        if not isinstance(values, tuple) or len(values) != len(columns):
            raise InvalidInput("value", value, f"expected a tuple of {', '.join(columns)}")
        return columns, [
            table.check(name, given) for name, given in zip(columns, values, strict=True)
        ]


class BaseRepository(KeyedRepository[M]):
    """Reads and writes of one table's rows; base of a bot's own repositories, too."""

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
        return await bulk.insert_rows(self._db, self.table, models)

    async def _create(self, model: M, *, keep: bool) -> M:
        """Store `model`; with `keep`, a row of the same key is left and returned."""
        row = self.table.values_of(model)
        statement = statements.insert(self.table, keep=keep)
        for _ in range(ATTEMPTS):
            if stored := await self._one(statement, *row, *self._reached(row), repeatable=keep):
                return stored
            if keep and (kept := await self._stored(model)):
                return kept
            clock = await bulk.database_clock(self._db)
            bulk.refuse_future(self.table, [row], clock, self._db.future_skew)
        raise InvalidInput(self.table.name, model, "expected a row that the database lets in")

    async def _stored(self, model: M) -> M | None:
        values = [getattr(model, name) for name in self.table.key]
        return await self._one(statements.select(self.table, self.table.key), *values, 1)

    def _reached(self, row: Sequence[Any]) -> list[int]:
        if not self.table.moments:
            return []
        return [bulk.latest_time(self.table, [row]) - self._db.future_skew]


def whole_number(name: str, value: object) -> int:
    """Check a limit or an offset.

    Raises:
        InvalidInput: it is no int, negative, or more than 8 bytes hold.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LIMIT:
        raise InvalidInput(name, value, "expected a whole number from 0")
    return value
