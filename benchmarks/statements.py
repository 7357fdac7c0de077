"""What a repository sends: a floor runs the same statement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from asyncpg.connection import LoggedQuery

    from benchmarks.server import Held


class Sent(NamedTuple):
    """A statement and its arguments, as the driver got them."""

    query: str
    args: tuple[Any, ...]


async def sent(connection: Held, call: Callable[[], Awaitable[object]]) -> Sent:
    """Return the one statement that a call of a repository on this connection sends."""
    seen: list[LoggedQuery] = []
    with connection.query_logger(seen.append):
        await call()
        await asyncio.sleep(0)  # loggers are called by the loop
    (statement,) = seen
    return Sent(statement.query, tuple(statement.args))
