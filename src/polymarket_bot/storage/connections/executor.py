"""`Executor`: the asyncpg verbs that repositories need, over a pool or over one connection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import asyncpg

from polymarket_bot.storage.connections.blocks import (
    Connection,
    Isolation,
    driver_errors_on,
    transaction_block,
)
from polymarket_bot.storage.connections.savepoints import savepoint_block
from polymarket_bot.storage.connections.transactions import beneath
from polymarket_bot.storage.errors import InvalidInput, Outcome

T = TypeVar("T")

_LONGEST = 86_400 * 20  # the server counts milliseconds in 31 bits
DEFAULT_FUTURE_SKEW = 300
"""How far in the future a written time may lie, in seconds, where no configuration says."""


@dataclass(slots=True)
class Statement:
    """A statement and how it is to be run.

    Attributes:
        verb: the driver's method.
        query: its text.
        args: its arguments.
        timeout: its own limit in seconds, None for the configured one.
        repeatable: running it twice is the same as once.
        copied: what the verb takes in the place of text and arguments.
    """

    verb: str
    query: str
    args: tuple[object, ...]
    timeout: float | None
    repeatable: bool
    copied: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.timeout is not None and not _is_seconds(self.timeout):
            raise InvalidInput("timeout", self.timeout, "expected seconds above 0, up to 20 days")
        if "\0" in self.query:
            raise InvalidInput("query", self.query, "expected SQL without a NUL")

    async def send(self, connection: Connection) -> Any:  # noqa: ANN401 - as the verb
        """Call the driver's method."""
        call = getattr(connection, self.verb)
        try:
            if self.copied is not None:
                return await call(**self.copied, timeout=self.timeout)
            return await call(self.query, *self.args, timeout=self.timeout)
        except UnicodeEncodeError:
            raise
        except (ValueError, OverflowError) as error:  # the message may show the value
            if self.copied is not None or not _can_be_shown(self.args):
                raise asyncpg.DataError(f"a value cannot be sent: {error}") from error
            raise asyncpg.InterfaceError(
                f"the statement was run, and its answer cannot be read: {error}"
            ) from error


def _can_be_shown(args: tuple[object, ...]) -> bool:
    """Tell whether the driver can say which argument it does not take: no number is too long."""
    try:
        repr(args)
    except ValueError:
        return False
    return True


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and 0 < value <= _LONGEST


class Executor(ABC):
    """Runs statements as asyncpg does, on whatever connection there is.

    Every error of the driver comes as a `StorageError`, with the driver's as its cause.

    Attributes:
        future_skew: how far in the future a written time may lie, in seconds.
        shared: whether several tasks may call it at a time.
    """

    future_skew: int = DEFAULT_FUTURE_SKEW
    shared: bool = True

    @cached_property
    def learned(self) -> dict[str, bool]:
        """What was found out about the database, by the question, so that it is asked once."""
        return {}

    def told(self, xid: str) -> None:  # noqa: B027 - a connection's own block asks for it
        """Take note of the transaction's id, which a statement has returned."""

    @property
    @abstractmethod
    def session(self) -> Connection | None:
        """The connection of the block that this task's calls are part of, None outside of one."""

    @abstractmethod
    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Open a transaction block, or a savepoint inside one."""

    @abstractmethod
    async def atomically(
        self, fn: Callable[[], Awaitable[T]], *, isolation: Isolation | None = None, first: str = ""
    ) -> T:
        """Await `fn()` in a transaction block, or in a savepoint inside one.

        Args:
            fn: what to do; it must bear to be done again: it is, where nothing of it was stored.
            isolation: of a block of its own; one that is open has its own.
            first: a statement that takes its locks; in a block of its own it costs no round trip.
        """

    @abstractmethod
    def _run(self, statement: Statement) -> Awaitable[Any]:
        """Run a statement."""

    async def execute(
        self, query: str, *args: object, timeout: float | None = None, repeatable: bool = False
    ) -> str:
        """Run a statement, or several without arguments, and return the last command tag.

        Args:
            query: the SQL, with `$1`, `$2` and so on in the places of the arguments.
            args: the arguments, of the types that asyncpg takes.
            timeout: the statement's limit in seconds, where it is not `command_timeout`.
            repeatable: running it twice is the same as once, so it may be sent again when its
                connection is lost.

        Raises:
            QueryError: the server refused it, or the connection was lost; by what it was, a
                subclass.
            PoolTimeout: no connection was free within `acquire_timeout`.
        """
        statement = Statement("execute", query, args, timeout, repeatable)
        tag: str = await self._run(statement)
        return tag

    async def fetch(
        self, query: str, *args: object, timeout: float | None = None, repeatable: bool = False
    ) -> list[asyncpg.Record]:
        """Run a statement and return its rows; arguments and errors as of `execute`."""
        rows: list[asyncpg.Record] = await self._run(
            Statement("fetch", query, args, timeout, repeatable)
        )
        return rows

    async def fetchrow(
        self, query: str, *args: object, timeout: float | None = None, repeatable: bool = False
    ) -> asyncpg.Record | None:
        """Run a statement and return its first row, or None; else as `fetch`."""
        row: asyncpg.Record | None = await self._run(
            Statement("fetchrow", query, args, timeout, repeatable)
        )
        return row

    async def fetchval(
        self, query: str, *args: object, timeout: float | None = None, repeatable: bool = False
    ) -> Any:  # noqa: ANN401 - a column's value
        """Run a statement and return the first value of its first row, or None; else as `fetch`."""
        return await self._run(Statement("fetchval", query, args, timeout, repeatable))

    async def copy(
        self, relation: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
    ) -> None:
        """Copy rows into a relation `schema.name`."""
        schema, _, name = relation.partition(".")
        copied = {"table_name": name, "schema_name": schema, "columns": columns, "records": rows}
        text = f"COPY {relation} FROM STDIN"
        statement = Statement("copy_records_to_table", text, (), None, repeatable=False)
        await self._run(replace(statement, copied=copied))


class ConnectionExecutor(Executor):
    """Runs statements on one connection that the caller holds, in the caller's transaction."""

    shared = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def session(self) -> Connection:
        """The connection itself, however it was lent."""
        return beneath(self._connection)

    async def _run(self, statement: Statement) -> Any:  # noqa: ANN401 - as the verb
        with driver_errors_on(self._connection):
            return await statement.send(self._connection)

    def transaction(
        self, *, isolation: Isolation | None = None
    ) -> AbstractAsyncContextManager[Connection]:
        """Open a transaction block on the connection, or a savepoint inside one."""
        with driver_errors_on(self._connection, Outcome.NOT_SENT):
            inside = self._connection.is_in_transaction()
        if inside:
            return savepoint_block(self._connection)
        return transaction_block(self._connection, isolation=isolation)

    async def atomically(
        self, fn: Callable[[], Awaitable[T]], *, isolation: Isolation | None = None, first: str = ""
    ) -> T:
        """Await `fn()` in a transaction block on the connection, or in a savepoint inside one."""
        async with self.transaction(isolation=isolation):
            if first:
                await self.execute(first)
            return await fn()


def as_executor(source: Executor | Connection) -> Executor:
    """Return what runs statements on `source`: itself, or an executor bound to the connection."""
    return source if isinstance(source, Executor) else ConnectionExecutor(source)
