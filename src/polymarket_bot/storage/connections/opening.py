"""Opening connections, again and again while that can help, and closing them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from polymarket_bot.storage.config import DatabaseConfig
from polymarket_bot.storage.connections.blocks import terminate
from polymarket_bot.storage.connections.driver import DRIVER_ERRORS, driver_errors
from polymarket_bot.storage.connections.holders import Counters
from polymarket_bot.storage.connections.sessions import connect_arguments, is_passing, look_around
from polymarket_bot.storage.errors import StorageError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0


@dataclass(eq=False, slots=True)
class Lease:
    """A connection in somebody's hands, or in the free list.

    Attributes:
        connection: the connection, acquired from the driver's pool.
        opened: when it was opened, by the monotonic clock.
        generation: of the pool when it was acquired; an older one is closed on return.
        used: when it was last taken or returned.
        changed: its session can have been changed, so it needs a reset.
    """

    connection: PoolConnectionProxy[asyncpg.Record]
    opened: float
    generation: int
    used: float = 0.0
    changed: bool = False


class Opener:
    """Gets connections from the driver's pool, which opens them, and gives them back.

    Attributes:
        closing: no more are wanted, so it tries no longer.
    """

    def __init__(self, config: DatabaseConfig, counters: Counters) -> None:
        self._config = config
        self._counters = counters
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self.closing = False

    async def open(self) -> None:
        """Make the driver's pool, without a connection yet."""
        with driver_errors(opening=True):
            self._pool = await asyncpg.create_pool(
                min_size=0,
                max_size=self._config.max_connections,
                max_inactive_connection_lifetime=self._config.max_idle,
                init=lambda connection: look_around(connection, self._config),
                **connect_arguments(self._config),
            )

    async def connection(self, generation: int, deadline: float) -> Lease:
        """Get a connection, trying until `deadline` while the server may be starting.

        Raises:
            ServerUnavailable: none could be opened; see its subclasses.
            PoolerUndeclared: there is a pooler, and the configuration does not say so.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                with driver_errors(opening=True):
                    return await self._attempt(generation, deadline)
            except StorageError as error:
                self._counters.opening_errors += 1
                passing = error.__cause__ is not None and is_passing(error.__cause__)
                if self.closing or not passing or time.monotonic() + pause > deadline:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _attempt(self, generation: int, deadline: float) -> Lease:
        assert self._pool is not None, "open() comes first"  # noqa: S101
        began = time.monotonic()
        self._counters.opened += 1
        try:
            connection = await self._pool.acquire(timeout=max(0.01, deadline - began))
        finally:
            self._counters.opening += time.monotonic() - began
        opened = getattr(connection, "opened", began)
        return Lease(connection, opened=opened, generation=generation)

    async def release(self, lease: Lease) -> None:
        """Give a connection back to the driver's pool, which resets its session."""
        assert self._pool is not None  # noqa: S101
        await self._pool.release(lease.connection, timeout=self._config.connect_timeout)

    async def expire(self) -> None:
        """Have the driver's pool open each connection anew before it gives it out."""
        if self._pool is not None:
            await self._pool.expire_connections()

    async def close(self, free: Iterable[Lease], deadline: float) -> None:
        """Close the driver's pool, and the connections in nobody's hands."""
        for lease in free:
            try:
                await lease.connection.close(timeout=max(0.1, deadline - time.monotonic()))
            except DRIVER_ERRORS:
                terminate(lease.connection)
        if self._pool is not None:
            with suppress(*DRIVER_ERRORS):  # what does not close is terminated
                async with asyncio.timeout(max(0.1, deadline - time.monotonic())):
                    await self._pool.close()

    def terminate(self) -> None:
        """Close what is left, without waiting."""
        if self._pool is not None:
            self._pool.terminate()
