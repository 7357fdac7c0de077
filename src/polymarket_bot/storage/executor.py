"""`Executor`: the asyncpg verbs that repositories need, over a pool or over one connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg

from polymarket_bot.storage.blocks import Connection, savepoint_block, transaction_block
from polymarket_bot.storage.errors import driver_errors

DEFAULT_FUTURE_SKEW = 300
"""How far in the future a written time may lie, in seconds, where no configuration says."""


class Executor:
    """Runs statements as asyncpg does, on whatever connection `_lease` gives.

    Every error of the driver comes as a `StorageError`, with the driver's as its cause.
    """

    future_skew: int = DEFAULT_FUTURE_SKEW

    def _lease(self) -> AbstractAsyncContextManager[Connection]:
        raise NotImplementedError

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Open a transaction block, or a savepoint inside one."""
        raise NotImplementedError

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:
        """Run a statement, or several without arguments, and return the last command tag."""
        async with self._lease() as connection:
            with driver_errors():
                return await connection.execute(query, *args, timeout=timeout)

    async def fetch(
        self, query: str, *args: object, timeout: float | None = None
    ) -> list[asyncpg.Record]:
        """Run a statement and return its rows."""
        async with self._lease() as connection:
            with driver_errors():
                return await connection.fetch(query, *args, timeout=timeout)

    async def fetchrow(
        self, query: str, *args: object, timeout: float | None = None
    ) -> asyncpg.Record | None:
        """Run a statement and return its first row, or None."""
        async with self._lease() as connection:
            with driver_errors():
                return await connection.fetchrow(query, *args, timeout=timeout)

    async def fetchval(self, query: str, *args: object, timeout: float | None = None) -> Any:  # noqa: ANN401 - a column's value
        """Run a statement and return the first value of its first row, or None."""
        async with self._lease() as connection:
            with driver_errors():
                return await connection.fetchval(query, *args, timeout=timeout)


class ConnectionExecutor(Executor):
    """Runs statements on one connection that the caller holds, in the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def _lease(self) -> AsyncIterator[Connection]:
        yield self._connection

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Open a transaction block on the connection, or a savepoint inside one."""
        if self._connection.is_in_transaction():
            return savepoint_block(self._connection)
        return transaction_block(self._connection)


def as_executor(source: Executor | Connection) -> Executor:
    """Return what runs statements on `source`: itself, or an executor bound to the connection."""
    return source if isinstance(source, Executor) else ConnectionExecutor(source)
