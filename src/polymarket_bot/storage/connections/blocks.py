"""Transaction and savepoint blocks on one connection, and what becomes of a COMMIT."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from asyncpg.transaction import Transaction

from polymarket_bot.storage.connections.driver import DRIVER_ERRORS, driver_errors, translated
from polymarket_bot.storage.connections.pulse import Pulse
from polymarket_bot.storage.connections.tasks import end_of
from polymarket_bot.storage.errors import (
    ConnectionLost,
    Outcome,
    StatementTimeout,
    StorageError,
    TransactionAborted,
)

Isolation: TypeAlias = Literal["read_committed", "repeatable_read", "serializable"]
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"


@dataclass(frozen=True)
class Written:
    """A transaction that wrote something.

    Attributes:
        xid: its id.
        timeline: of the server that ran it, None if it is not known.
        pid: the server process that ran it, None behind a pooler.
        cut_short: its COMMIT was cancelled, with which the server stops waiting for a standby.
    """

    xid: str
    timeline: str | None
    pid: int | None
    cut_short: bool = False


Lookup: TypeAlias = Callable[[Written], Awaitable[Outcome]]
"""Finds out what became of a transaction whose connection was lost at COMMIT."""

XID = "pg_current_xact_id_if_assigned()::text"

_log = logging.getLogger(__name__)


class TaggedConnection(asyncpg.Connection):
    """A connection that remembers the tag of its last command, and where it leads.

    PostgreSQL answers COMMIT in an aborted transaction with the tag ROLLBACK, and the driver's
    transaction does not say so.

    Attributes:
        last_tag: of the last command that was run by `execute`.
        pooled: a pooler stands between this client and the server.
        clear: it leads to another machine, unencrypted.
        timeline: the server's timeline when it was opened, None on a replica.
        opened: when it was opened, by the monotonic clock.
    """

    last_tag: str = ""
    _following: str = ""
    pooled: bool = False
    clear: bool = False
    timeline: str | None = None
    opened: float = 0.0

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:
        """Run a statement and return its command tag."""
        if self._following:
            query, self._following = f"{query}{self._following}", ""
        self.last_tag = await super().execute(query, *args, timeout=timeout)
        return self.last_tag

    def tag(self) -> str:
        """Return the tag of the last command that was run by `execute`."""
        return self.last_tag

    def follow(self, statement: str) -> None:
        """Send `statement` together with the next one that is executed, which ends with a `;`."""
        self._following = statement


def is_closed(connection: Connection) -> bool:
    """Tell whether a connection is closed; a pool takes a closed one back by itself."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True


@contextmanager
def driver_errors_on(connection: Connection, lost: Outcome | None = None) -> Iterator[None]:
    """Raise the driver's errors as ours.

    Args:
        connection: what the body uses. The pool takes one that breaks out of its hands, at any
            await, and from then on the driver refuses whatever is asked of it.
        lost: what became of the write where the connection is lost; as `translated` has it unless
            given.
    """
    try:
        yield
    except DRIVER_ERRORS as error:
        raise translated(error, closed=is_closed(connection), outcome=lost) from error


def terminate(connection: Connection) -> None:
    """Close a connection without waiting."""
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


@asynccontextmanager
async def transaction_block(
    connection: Connection,
    *,
    isolation: Isolation | None = None,
    readonly: bool = False,
    deferrable: bool = False,
    lookup: Lookup | None = None,
    pulse: Pulse | None = None,
    first: str = "",
) -> AsyncIterator[Connection]:
    """Commit when the body ends, roll back when it raises.

    A cancellation while COMMIT is in flight waits for its end, so that what was stored is known.

    Args:
        connection: the connection, outside a transaction.
        isolation: as the driver's, like the next two.
        readonly: refuse writes.
        deferrable: wait for a safe snapshot.
        lookup: finds out what became of a COMMIT whose connection was lost.
        pulse: may know the transaction's id, which is asked for otherwise.
        first: a statement that is sent together with BEGIN, on a `TaggedConnection`; where it
            fails, the connection must be reset.

    Raises:
        TransactionAborted: the server rolled back what the body let end.
        ConnectionLost: with what became of the transaction.
    """
    with driver_errors_on(connection, Outcome.ROLLED_BACK):
        transaction = connection.transaction(
            isolation=isolation, readonly=readonly, deferrable=deferrable
        )
        with _followed(connection, first):
            await _begin(connection, transaction, first)
    try:
        yield connection
        written = None if readonly else await _written(connection, pulse)
    except BaseException:
        await _undo(transaction.rollback)
        raise
    # Asked of the connection itself, which the pool can have taken back by then.
    tag: Callable[[], str] = getattr(connection, "tag", str)
    await _uncancelled(_commit(connection, transaction, tag, written, lookup))


async def _begin(connection: Connection, transaction: Transaction, first: str) -> None:
    """Send BEGIN; where it may have begun unheard, no later statement may be part of it."""
    try:
        await transaction.start()
    except asyncpg.InterfaceError:
        raise  # it was not sent: another task uses the connection
    except BaseException as error:
        if not (first and isinstance(error, asyncpg.PostgresError)):  # it was `first` that failed
            terminate(connection)
        raise


@contextmanager
def _followed(connection: Connection, statement: str) -> Iterator[None]:
    """Send `statement`, if there is one, together with what is executed meanwhile."""
    if not statement:
        yield
        return
    follow = cast("TaggedConnection", connection).follow
    follow(statement)
    try:
        yield
    finally:
        follow("")


async def _written(connection: Connection, pulse: Pulse | None) -> Written | None:
    """Return what must be known of the transaction to ask for it; None if it wrote nothing.

    Raises:
        TransactionAborted: a statement of it failed.
        ConnectionLost: it was never committed.
    """
    with driver_errors_on(connection, Outcome.ROLLED_BACK):
        xid = (pulse and pulse.xid) or await _xid(connection)
        if xid is None:
            return None
        pid = None if getattr(connection, "pooled", False) else connection.get_server_pid()
        return Written(xid, getattr(connection, "timeline", None), pid)


async def _xid(connection: Connection) -> str | None:
    try:
        xid: str | None = await connection.fetchval(f"SELECT {XID}")
    except asyncpg.InFailedSQLTransactionError as error:
        raise TransactionAborted from error
    return xid


async def _commit(
    connection: Connection,
    transaction: Transaction,
    tag: Callable[[], str],
    written: Written | None,
    lookup: Lookup | None,
) -> None:
    try:
        await transaction.commit()
    except DRIVER_ERRORS as error:
        failure = translated(error, closed=is_closed(connection))
        if not isinstance(failure, ConnectionLost | StatementTimeout):
            raise failure from error
        terminate(connection)  # a server that still waits for it ends its transaction
        if written and isinstance(failure, StatementTimeout):
            written = replace(written, cut_short=True)
        outcome = await _outcome(written, lookup)
        _log.warning("the connection was lost at COMMIT, outcome: %s", outcome.value)
        raise ConnectionLost(error, outcome) from error
    if tag() == "ROLLBACK":
        raise TransactionAborted


async def _outcome(written: Written | None, lookup: Lookup | None) -> Outcome:
    if written is None:
        return Outcome.ROLLED_BACK
    return Outcome.UNKNOWN if lookup is None else await lookup(written)


async def _uncancelled(work: Any) -> None:  # noqa: ANN401 - a coroutine
    """Await `work` to its end; cancellations that come meanwhile are raised after it."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError as cancelled:
        await end_of(task)
        cancelled.add_note(f"COMMIT was in flight: {_told(task)}")
        raise


def _told(task: asyncio.Future[Any]) -> str:
    """Say what became of a COMMIT."""
    if task.cancelled():  # as all tasks are where the loop ends
        return "it was cancelled, outcome unknown"
    return str(task.exception() or "it was committed")


async def _undo(rollback: Callable[[], Awaitable[object]]) -> None:
    """Roll back; where the connection is gone, so is its transaction, and the cause goes on."""
    try:
        with driver_errors():
            await rollback()
    except StorageError as error:
        _log.warning("rollback failed, the server ends the transaction: %s", error)
