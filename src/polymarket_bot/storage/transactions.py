"""Which transaction a task's calls belong to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from types import MappingProxyType

from polymarket_bot.storage.blocks import Connection
from polymarket_bot.storage.errors import TransactionError


class Scope:
    """One open block: its connection, and a lock by which statements run one after another."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = asyncio.Lock()
        self._open = True

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Connection]:
        """Have the block's connection for oneself.

        Raises:
            TransactionError: the block has ended.
        """
        async with self._lock:
            if not self._open:
                raise TransactionError(
                    "this task was started inside a transaction block that has ended",
                    remedy="await it inside the block, or start it outside",
                )
            yield self._connection

    async def end(self) -> None:
        """Let no more statements in, and wait for the one that a sibling task is running."""
        self._open = False
        async with self._lock:
            pass


_scopes: ContextVar[Mapping[object, Scope]] = ContextVar(
    "polymarket_bot.storage scopes", default=MappingProxyType({})
)


def current_scope(database: object) -> Scope | None:
    """Return the block that this task's calls on `database` belong to, if any."""
    return _scopes.get().get(database)


@asynccontextmanager
async def scope_of(
    database: object, block: AbstractAsyncContextManager[Connection]
) -> AsyncIterator[Connection]:
    """Make this task's calls on `database`, and those of tasks started inside, part of `block`."""
    async with block as connection:
        scope, outer = Scope(connection), _scopes.get()
        _scopes.set({**outer, database: scope})
        try:
            yield connection
        finally:
            _scopes.set(outer)
            await scope.end()
