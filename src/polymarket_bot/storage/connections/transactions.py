"""Which transaction a task's calls belong to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, cast

from polymarket_bot.storage.connections.blocks import Connection
from polymarket_bot.storage.connections.pulse import Pulse
from polymarket_bot.storage.errors import (
    ConnectionLost,
    IdleTransactionTimeout,
    Outcome,
    TransactionError,
)

_GRACE = 0.5
"""How many seconds the server has to end an idle transaction first."""


class Lent:
    """A block's connection in the user's hands: notes that it was used, ends with its block."""

    def __init__(self, connection: Connection, pulse: Pulse) -> None:
        self._connection = connection
        self._pulse = pulse
        self._ended = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the connection has
        if self._ended:
            raise TransactionError(
                "this connection belonged to a transaction block that has ended",
                remedy="use it inside the block only",
            )
        self._pulse.lent = True
        return getattr(self._connection, name)


class Scope:
    """One open block: its connection, and a lock by which statements run one after another.

    Attributes:
        pulse: of its transaction.
    """

    def __init__(self, connection: Connection, limit: float, pulse: Pulse) -> None:
        self.connection = connection
        self._limit = limit
        self.pulse = pulse
        self.lent = Lent(connection, pulse)
        self._lock = asyncio.Lock()
        self._turns = 0
        self._open = True

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Connection]:
        """Have the block's connection for oneself.

        Raises:
            TransactionError: the block has ended, or others of its tasks kept the connection.
        """
        async with self._turn():
            if not self._open:
                raise TransactionError(
                    "this task was started inside a transaction block that has ended",
                    remedy="await it inside the block, or start it inside `db.detached()`",
                )
            yield self.connection

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Have the lock; `_turns` are those who have it or wait for it."""
        self._turns += 1
        try:
            await (self._lock.acquire() if self._turns == 1 else self._wait())
            try:
                yield
            finally:
                self._lock.release()
        finally:
            self._turns -= 1

    async def _wait(self) -> None:
        """Wait for the block's other tasks, not for ever: one may wait for this one."""
        try:
            async with asyncio.timeout(self._limit):
                await self._lock.acquire()
        except TimeoutError:
            raise TransactionError(
                f"another task of this transaction block has kept its connection for "
                f"{self._limit:g} s",
                remedy="inside an inner block, await no task that was started outside it",
            ) from None

    async def end(self) -> None:
        """Let no more statements in, and wait for the one that a sibling task is running."""
        self._open = False
        self.lent._ended = True  # noqa: SLF001 - of this module
        async with self._lock:
            pass


_scopes: ContextVar[Mapping[object, Scope]] = ContextVar(
    "polymarket_bot.storage scopes", default=MappingProxyType({})
)


def current_scope(database: object) -> Scope | None:
    """Return the block that this task's calls on `database` belong to, if any."""
    return _scopes.get().get(database)


def refuse_inside(database: object, call: str, reason: str, remedy: str) -> None:
    """Refuse what cannot be part of a transaction block.

    Raises:
        TransactionError: this task's calls on `database` belong to one.
    """
    if current_scope(database) is not None:
        raise TransactionError(
            f"{call} cannot be part of a transaction block: {reason}", remedy=remedy
        )


@asynccontextmanager
async def scope_of(
    database: object,
    block: AbstractAsyncContextManager[Connection],
    limit: float,
    pulse: Pulse,
    *,
    joined: bool = True,
) -> AsyncIterator[Scope]:
    """Make this task's calls on `database`, and those of tasks started inside, part of `block`.

    A task waits for the others at most `limit` seconds. A savepoint has the pulse of its
    transaction. Without `joined`, only what is run on the block's connection itself is part of it.
    """
    async with block as connection:
        scope, outer = Scope(connection, limit, pulse), _scopes.get()
        if joined:
            _scopes.set({**outer, database: scope})
        try:
            yield scope
        finally:
            if joined:
                _scopes.set(outer)
            await scope.end()


@contextmanager
def no_scope(database: object) -> Iterator[None]:
    """Make this task's calls on `database` part of no block."""
    outer = _scopes.get()
    _scopes.set({key: scope for key, scope in outer.items() if key is not database})
    try:
        yield
    finally:
        _scopes.set(outer)


@asynccontextmanager
async def ended_when_idle(pulse: Pulse, limit: float) -> AsyncIterator[None]:
    """Cancel a body whose transaction idles for longer than the server lets it.

    Raises:
        IdleTransactionTimeout: it did.
    """
    loop, ending = asyncio.get_running_loop(), asyncio.timeout(None)
    timer: asyncio.TimerHandle

    def look() -> None:
        nonlocal timer
        left = limit + _GRACE - pulse.idle
        if left > 0:
            timer = loop.call_later(left, look)
        else:
            ending.reschedule(loop.time())

    timer = loop.call_later(limit + _GRACE, look)
    try:
        async with ending:
            try:
                yield
            finally:
                timer.cancel()
    except TimeoutError:
        if not ending.expired():
            raise
        cause = TimeoutError(f"no statement for more than {limit:g} s")
        raise IdleTransactionTimeout(cause, Outcome.ROLLED_BACK) from cause


def as_connection(lent: Lent) -> Connection:
    """Return what stands for a connection as one, for the type checker."""
    return cast("Connection", lent)


def beneath(connection: Connection) -> Connection:
    """Return the connection that one in the user's hands stands for."""
    return connection._connection if isinstance(connection, Lent) else connection  # noqa: SLF001


def named(lost: ConnectionLost, idle: float, limit: float) -> ConnectionLost:
    """Name the limit by which the server ended an idle transaction: it tells nobody itself."""
    if idle >= limit and lost.outcome is Outcome.ROLLED_BACK:
        return IdleTransactionTimeout(lost.__cause__ or lost, lost.outcome)
    return lost
