"""Waiting, and the policy for tools that not every machine has."""

from __future__ import annotations

import asyncio
import inspect
import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import asyncpg
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from polymarket_bot.storage import Database

    Client = asyncpg.Connection[asyncpg.Record]

LIMIT = 60.0
REQUIRE_ALL = "POLYMARKET_TEST_REQUIRE_ALL"
# What the bare driver raises when its connection is lost, in whatever moment.
LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
_NONE_OPEN = """
SELECT count(*) = 0 FROM pg_stat_activity
WHERE datname = current_database() AND state LIKE 'idle in transaction%'
"""


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], *, limit: float = LIMIT
) -> None:
    """Wait for a condition, plain or async; fail when the limit in seconds passes before it."""
    deadline = time.monotonic() + limit
    while not await _holds(condition):
        assert time.monotonic() < deadline, f"not within {limit} s"
        await asyncio.sleep(0.01)


async def _holds(condition: Callable[[], bool | Awaitable[bool]]) -> bool:
    answer = condition()
    return await answer if inspect.isawaitable(answer) else answer


def require(tool: Path | None, name: str) -> Path:
    """Return the tool; without it skip the test, naming the Debian package that has it.

    Where `POLYMARKET_TEST_REQUIRE_ALL` is set, as on CI, the test fails instead.
    """
    if tool is None:
        lacking(f"needs a tool of the Debian package {name}; apt-get install {name}")
    return tool


def lacking(reason: str) -> NoReturn:
    """Skip the test for what this machine lacks; fail where nothing may be lacking."""
    if os.environ.get(REQUIRE_ALL):
        pytest.fail(reason)
    pytest.skip(reason)


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[Client]:
    """Connect; at the end do not wait for a goodbye, which may never be answered."""
    connection = await asyncpg.connect(url, **options)
    try:
        yield connection
    finally:
        connection.terminate()


async def value(url: str, query: str) -> Any:
    """Return the single value of a statement, by a connection of its own."""
    async with connected(url) as connection:
        return await connection.fetchval(query)


async def hold_to_whole(db: Database) -> None:
    """Hold a pool to being whole: it answers, nobody has a connection, no transaction is open."""
    many = 4 * db.config.max_connections
    assert await asyncio.gather(*(db.fetchval("SELECT 1") for _ in range(many))) == [1] * many
    await eventually(lambda: db.stats().pool_available == db.stats().pool_size)
    stats = db.stats()
    assert (stats.holders, stats.requests_waiting) == ((), 0)
    assert stats.pool_size <= db.config.max_connections
    await eventually(lambda: db.fetchval(_NONE_OPEN))
