"""Transaction and savepoint blocks on one connection."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from polymarket_bot.storage.errors import StorageError, TransactionAborted, driver_errors

Isolation: TypeAlias = Literal["read_committed", "repeatable_read", "serializable"]
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"

_log = logging.getLogger(__name__)


class TaggedConnection(asyncpg.Connection):
    """A connection that remembers the tag of its last command.

    PostgreSQL answers COMMIT in an aborted transaction with the tag ROLLBACK, and the driver's
    transaction does not say so.
    """

    last_tag: str = ""

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:
        """Run a statement and return its command tag."""
        self.last_tag = await super().execute(query, *args, timeout=timeout)
        return self.last_tag


@asynccontextmanager
async def transaction_block(
    connection: Connection,
    *,
    isolation: Isolation | None = None,
    readonly: bool = False,
    deferrable: bool = False,
) -> AsyncIterator[Connection]:
    """Commit when the body ends, roll back when it raises.

    Raises:
        TransactionAborted: the server rolled back what the body let end.
    """
    transaction = connection.transaction(
        isolation=isolation, readonly=readonly, deferrable=deferrable
    )
    with driver_errors():
        await transaction.start()
    try:
        yield connection
    except BaseException:
        await _undo(transaction.rollback())
        raise
    with driver_errors():
        await transaction.commit()
    if getattr(connection, "last_tag", None) == "ROLLBACK":
        raise TransactionAborted


@asynccontextmanager
async def savepoint_block(connection: Connection) -> AsyncIterator[Connection]:
    """Keep what the body did when it ends, undo it when it raises.

    Raises:
        TransactionAborted: a statement of the body failed, and the body caught the error.
    """
    with driver_errors():
        await connection.execute("SAVEPOINT block")
    try:
        yield connection
    except BaseException:
        await _undo(connection.execute("ROLLBACK TO SAVEPOINT block"))
        raise
    try:
        with driver_errors():
            await connection.execute("RELEASE SAVEPOINT block")
    except StorageError as error:
        if not isinstance(error.__cause__, asyncpg.InFailedSQLTransactionError):
            raise
        await _undo(connection.execute("ROLLBACK TO SAVEPOINT block"))
        raise TransactionAborted from error


async def _undo(rollback: Any) -> None:  # noqa: ANN401 - a driver's coroutine
    """Roll back; where the connection is gone, so is its transaction, and the cause goes on."""
    try:
        with driver_errors():
            await rollback
    except StorageError as error:
        _log.warning("rollback failed, the server ends the transaction: %s", error)
