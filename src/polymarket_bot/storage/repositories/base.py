"""What every repository can do, from its `Table` alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from polymarket_bot.storage.errors import InvalidInput
from polymarket_bot.storage.mapping import bulk, statements
from polymarket_bot.storage.mapping.batch import Batch
from polymarket_bot.storage.mapping.table import M
from polymarket_bot.storage.repositories.keyed import KeyedRepository

_ATTEMPTS = 3
_NOT_LET_IN = "expected a row that the database lets in"


class BaseRepository(KeyedRepository[M]):
    """Reads and writes of one table's rows; base of a bot's own repositories, too.

    A row that is not there is None, and no rows are an empty list or 0. A `limit` is how many rows
    at most, from 0. Lists are ordered by columns as they are stored: a time as text that an older
    writer spelled otherwise stands where its text does.

    A write of a whole batch is all or none. An id that the database gives (SERIAL) is not taken
    from a model that is created. What the table's `Lifecycle` forbids changes nothing: the
    stored row is returned, and a batch does not count it. A Unix time lies in the future where it
    is more than `future_skew` ahead of the database's clock, on a connection more than 300 s.

    An argument that does not fit raises `InvalidInput`, which names it; what the server refuses,
    or a lost connection, a `QueryError`; that no connection is free, `PoolTimeout`.

    Args:
        db: a `Database`, whose transaction blocks the calls take part in, or a connection.
    """

    async def create(self, model: M) -> M:
        """Store `model` and return the stored row.

        Raises:
            InvalidInput: `model` is of another table.
            FutureTime: a Unix time of it lies in the future.
            AlreadyExists: a row of the same key, or with its unique columns, is there.
        """
        return await self._create(model, keep=False)

    async def create_many(self, models: Iterable[M]) -> int:
        """Store `models`, all or none, and return how many rows were really inserted.

        A row of the same key, or with the same unique columns, that is there already or earlier in
        `models` is left as it was.

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
            AlreadyExists: another row has its unique columns.
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
            AlreadyExists: another row has its unique columns.
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
        """Put `models` in the places of the rows of their keys; return how many were changed.

        Of several with one key the last is written, or the latest by `Table.newest`. Where a
        lifecycle holds without it, each is written in turn, and each is counted.

        Raises:
            InvalidInput: one of them is of another table, or has no id yet.
            FutureTime: a Unix time of one lies in the future.
            AlreadyExists: another row has the unique columns of one.
        """
        return await bulk.update_rows(self._db, self.table, self.table.each(models))

    async def upsert_many(self, models: Iterable[M]) -> int:
        """Store `models` as `upsert` does and return how many rows were written.

        Several with one key are written and counted as by `update_many`.

        Raises:
            InvalidInput: one of them is of another table, or has an id that is not stored.
            FutureTime: a Unix time of one lies in the future.
            AlreadyExists: another row has the unique columns of one.
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
