"""Blocks inside a transaction block: savepoints."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import asyncpg

from polymarket_bot.storage.connections.blocks import Connection, driver_errors_on, terminate
from polymarket_bot.storage.errors import Outcome, StorageError, TransactionAborted

_log = logging.getLogger(__name__)
_numbers = count(1)


@asynccontextmanager
async def savepoint_block(connection: Connection) -> AsyncIterator[Connection]:
    """Keep what the body did when it ends, undo it when it raises.

    No two have the same name. So what undoes one never goes back to that of another, which a
    cancellation can have left behind.

    Raises:
        TransactionAborted: a statement of the body failed, and the body caught the error.
    """
    savepoint = f"block_{next(_numbers)}"
    with driver_errors_on(connection, Outcome.ROLLED_BACK):
        await connection.execute(f"SAVEPOINT {savepoint}")
    try:
        yield connection
        await _release(connection, savepoint)
    except BaseException:
        await _undo_block(connection, savepoint)
        raise


async def _release(connection: Connection, savepoint: str) -> None:
    try:
        with driver_errors_on(connection, Outcome.ROLLED_BACK):
            await connection.execute(f"RELEASE SAVEPOINT {savepoint}")
    except StorageError as error:
        if isinstance(error.__cause__, asyncpg.InFailedSQLTransactionError):
            raise TransactionAborted from error
        raise


async def _undo_block(connection: Connection, savepoint: str) -> None:
    """Go back to a savepoint; where that cannot be done, nothing of the transaction is kept.

    What the server refuses it has aborted.
    """
    # Without the release the savepoint would stay, and the block around would go back to it.
    undo = f"ROLLBACK TO SAVEPOINT {savepoint}; RELEASE SAVEPOINT {savepoint}"
    try:
        with driver_errors_on(connection):
            await connection.execute(undo)
    except BaseException as error:
        if not isinstance(error.__cause__, asyncpg.PostgresError):
            terminate(connection)
        if not isinstance(error, StorageError):
            raise
        _log.warning("a block could not be undone, so its transaction is: %s", error)
