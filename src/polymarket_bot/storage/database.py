"""`Database`: what users open, close and ask."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Self

import asyncpg

from polymarket_bot.storage.blocks import (
    Connection,
    Isolation,
    TaggedConnection,
    savepoint_block,
    transaction_block,
)
from polymarket_bot.storage.config import DatabaseConfig
from polymarket_bot.storage.errors import NotInitialized, TransactionError, driver_errors
from polymarket_bot.storage.executor import Executor
from polymarket_bot.storage.transactions import current_scope, scope_of

_log = logging.getLogger(__name__)
_CLOSE_TIMEOUT = 10.0


class Database(Executor):
    """A pool of connections to one PostgreSQL database.

    Nothing connects in the constructor. `async with Database(config) as db` opens and closes
    it. Before `initialize()` and after `close()` every call but `health_check()` raises
    `NotInitialized`.
    """

    def __init__(self, config: DatabaseConfig) -> None:
        self.config = config
        self.future_skew = config.future_skew
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._changing = asyncio.Lock()

    async def initialize(self) -> None:
        """Open the pool; on an open one nothing happens.

        Raises:
            ServerUnavailable: no connection could be opened; `AccessRefused` where the server
                refused the user, the password or the database.
        """
        async with self._changing:
            if self._pool is None:
                self._pool = await self._open()

    async def close(self) -> None:
        """Wait until the connections in use are given back, at most 10 s, and close them all."""
        async with self._changing:
            pool, self._pool = self._pool, None
            if pool is None:
                return
            try:
                await asyncio.wait_for(pool.close(), _CLOSE_TIMEOUT)
            except TimeoutError:
                _log.warning("connections still in use were closed after %.0f s", _CLOSE_TIMEOUT)

    async def __aenter__(self) -> Self:
        await self.initialize()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection of its own, outside any transaction block; its errors are asyncpg's.

        Raises:
            ServerUnavailable: no connection could be opened.
        """
        pool = self._opened()
        with driver_errors(opening=True):
            connection = await pool.acquire()
        try:
            yield connection
        finally:
            with driver_errors():
                await pool.release(connection)

    def transaction(
        self,
        *,
        isolation: Isolation | None = None,
        readonly: bool = False,
        deferrable: bool = False,
    ) -> AbstractAsyncContextManager[Connection]:
        """Open a transaction block: it commits when its body ends, and rolls back when it raises.

        This task's calls on the database, through any repository, are part of the block, and so
        are those of tasks started inside, which must end before it does. A block inside a block
        is a savepoint.

        Args:
            isolation: "read_committed" (the server's default), "repeatable_read" or
                "serializable"; for the outermost block only, as the next two.
            readonly: refuse writes.
            deferrable: wait for a snapshot that cannot fail (serializable and readonly only).

        Raises:
            TransactionAborted: a statement failed, and the body caught its error; nothing of
                the block was stored.
            TransactionError: an inner block asks for an isolation of its own, or a task calls
                after its block has ended.
        """
        if current_scope(self) is None:
            return scope_of(
                self,
                self._outermost(isolation=isolation, readonly=readonly, deferrable=deferrable),
            )
        if isolation or readonly or deferrable:
            raise TransactionError(
                "a transaction block inside another is a savepoint of it and cannot have "
                "isolation, readonly or deferrable of its own",
                remedy="give them to the outermost block",
            )
        return scope_of(self, self._inner())

    async def health_check(self) -> bool:
        """Tell whether the database answers. Never raises."""
        try:
            async with self.connection() as connection:
                return bool(await connection.fetchval("SELECT 1") == 1)
        except Exception as error:  # noqa: BLE001 - the answer is the report
            _log.warning("health check failed: %s", type(error).__name__)
            return False

    async def _open(self) -> asyncpg.Pool[asyncpg.Record]:
        with driver_errors(opening=True):
            return await asyncpg.create_pool(
                self.config.url,
                min_size=self.config.min_connections,
                max_size=self.config.max_connections,
                command_timeout=self.config.command_timeout,
                connection_class=TaggedConnection,
            )

    def _opened(self) -> asyncpg.Pool[asyncpg.Record]:
        if self._pool is None:
            raise NotInitialized
        return self._pool

    def _lease(self) -> AbstractAsyncContextManager[Connection]:
        scope = current_scope(self)
        return self.connection() if scope is None else scope.use()

    @asynccontextmanager
    async def _outermost(
        self, *, isolation: Isolation | None, readonly: bool, deferrable: bool
    ) -> AsyncIterator[Connection]:
        async with (
            self.connection() as connection,
            transaction_block(
                connection, isolation=isolation, readonly=readonly, deferrable=deferrable
            ),
        ):
            yield connection

    @asynccontextmanager
    async def _inner(self) -> AsyncIterator[Connection]:
        """Hold the outer block until the inner ends: interleaved savepoints undo each other."""
        async with self._lease() as connection, savepoint_block(connection):
            yield connection
