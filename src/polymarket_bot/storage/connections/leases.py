"""Leases of a pool's connections: a free list, a queue with deadlines, holders with names."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from polymarket_bot.storage.config import DatabaseConfig
from polymarket_bot.storage.connections.blocks import is_closed, terminate
from polymarket_bot.storage.connections.driver import DRIVER_ERRORS
from polymarket_bot.storage.connections.holders import Claim, Counters, PoolStats
from polymarket_bot.storage.connections.opening import Lease, Opener
from polymarket_bot.storage.errors import NotInitialized, PoolTimeout, StorageError, WrongLoop

_log = logging.getLogger(__name__)
_SWEEP = 5.0


class LeasePool:
    """Keeps connections of the driver's pool acquired between uses.

    Giving a connection back to the driver's pool costs a round trip, its reset. So it is given
    back only when its session can have been changed, and closed when it broke, is old or idle.
    Callers wait in the order of their coming.
    """

    def __init__(self, config: DatabaseConfig) -> None:
        self.counters = Counters()
        self._config = config
        self._opener = Opener(config, self.counters)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        self._generation = 0
        self._free: deque[Lease] = deque()
        self._held: dict[Lease, Claim] = {}
        self._permits = config.max_connections
        self._opening = 0
        self._waiting: deque[asyncio.Future[Lease | None]] = deque()
        self._returning: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closing = False

    # A permit is the right to one connection: of max_connections, those neither in somebody's
    # hands, nor in the free list, nor being opened.

    async def open(self) -> None:
        """Open the kept connections, waiting up to `connect_timeout` for a server that starts.

        Raises:
            ServerUnavailable: no connection could be opened; see its subclasses.
            PoolerUndeclared: there is a pooler, and the configuration does not say so.
        """
        self._loop, self._pid = asyncio.get_running_loop(), os.getpid()
        await self._opener.open()
        deadline = time.monotonic() + self._config.connect_timeout
        for _ in range(max(1, self._config.min_connections)):
            self._permits -= 1
            self._free.append(await self._opened(deadline))
        self._sweep()

    def take_free(self, claim: Claim) -> Lease | None:
        """Take a connection that nobody holds, if there is one; the fast way."""
        self._check_use()
        if self._waiting:
            return None
        while self._free:
            lease = self._free.pop()
            if self._is_good(lease):
                self.counters.requests += 1
                return self._hand(lease, claim)
            self._discard(lease)
        return None

    async def take(self, claim: Claim) -> Lease:
        """Take a connection; where all are held, wait in line, at most `acquire_timeout`.

        Raises:
            PoolTimeout: all were held for all that time; names the holders.
            ServerUnavailable: none could be opened.
        """
        if lease := self.take_free(claim):
            return lease
        self.counters.requests += 1
        deadline = time.monotonic() + self._config.acquire_timeout
        try:
            if self._permits > 0 and not self._waiting:
                self._permits -= 1
                return self._hand(await self._opened(deadline), claim)
            passed_on = await self._wait_in_line(deadline)
            return self._hand(passed_on or await self._opened(deadline), claim)
        except BaseException:
            self.counters.request_errors += 1
            raise

    def give_back(self, lease: Lease, *, broken: bool = False) -> asyncio.Task[None] | None:
        """Return a connection, once; what has to be awaited goes on in a task of its own."""
        claim = self._held.pop(lease, None)
        if claim is None:
            return None
        now = lease.used = time.monotonic()
        self.counters.usage += now - claim.began
        if not broken and not lease.changed and self._is_young(lease):
            self._pass_on(lease)
            return None
        return self._in_background(self._return(lease, broken=broken))

    def expire(self) -> None:
        """Have every connection opened anew: the server is another one, or was restarted."""
        self._generation += 1
        self._in_background(self._opener.expire())
        while self._free:
            self._discard(self._free.pop())

    async def close(self, timeout: float) -> None:
        """Wait until the connections in use come back, at most `timeout` seconds, and close all."""
        self._closing = self._opener.closing = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(NotInitialized())
        deadline = time.monotonic() + timeout
        try:
            while self._is_used() and time.monotonic() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            for claim in self._held.values():
                _log.warning("closed while a connection was held by %s", claim.holder())
            if not self._held:
                await self._opener.close([*self._free], deadline)
        finally:
            self._opener.terminate()  # what is left
            self._free.clear()

    def _is_used(self) -> bool:
        return bool(self._held or self._returning or self._opening)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)
        return task

    @asynccontextmanager
    async def lend(self, where: str) -> AsyncIterator[Lease]:
        """Lend a connection for a block that began at `where`; see `take` for the errors."""
        lease = await self.take(Claim(asyncio.current_task(), where))
        try:
            yield lease
        finally:
            if lease in self._held:  # a block whose COMMIT was lost has given it back
                closed = is_closed(lease.connection)
                lease.changed = lease.changed or closed or lease.connection.is_in_transaction()
                returning = self.give_back(lease, broken=closed)
                if returning is not None:
                    await asyncio.shield(returning)

    def stats(self) -> PoolStats:
        """Return the pool's figures."""
        return self.counters.figures(
            pool_min=self._config.min_connections,
            pool_max=self._config.max_connections,
            pool_size=self._config.max_connections - self._permits,
            pool_available=len(self._free),
            requests_waiting=len(self._waiting),
            holders=tuple(claim.holder() for claim in self._held.values()),
        )

    def _check_use(self) -> None:
        if self._closing:
            raise NotInitialized
        self.check_place()

    def check_place(self) -> None:
        """Raise `WrongLoop` outside the event loop and the process that opened it."""
        if os.getpid() != self._pid:
            raise WrongLoop(
                "this database was opened in another process and cannot be used after a fork",
                remedy="open one in each process",
            )
        if asyncio.get_running_loop() is not self._loop:
            raise WrongLoop(
                "this database was opened in another event loop",
                remedy="open one in each event loop",
            )

    def _hand(self, lease: Lease, claim: Claim) -> Lease:
        lease.used = time.monotonic()
        self._held[lease] = claim
        return lease

    def _is_good(self, lease: Lease) -> bool:
        if is_closed(lease.connection):
            self.counters.lost += 1
            return False
        return self._is_young(lease)

    def _is_young(self, lease: Lease) -> bool:
        return (
            lease.generation == self._generation
            and time.monotonic() - lease.opened < self._config.max_lifetime
        )

    def _pass_on(self, lease: Lease | None) -> None:
        """Give a connection, or the permit for one, to who waits longest, or keep it."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(lease)
                return
        if lease is None:
            self._permits += 1
        else:
            self._free.append(lease)

    async def _wait_in_line(self, deadline: float) -> Lease | None:
        """Wait for a connection, or for the permit to open one."""
        began = time.monotonic()
        waiter: asyncio.Future[Lease | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self.counters.queued += 1
        try:
            async with asyncio.timeout(deadline - began):
                return await self._in_line(waiter)
        except TimeoutError:
            raise self._timeout() from None
        finally:
            self.counters.waited += time.monotonic() - began
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    async def _in_line(self, waiter: asyncio.Future[Lease | None]) -> Lease | None:
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._pass_on(waiter.result())  # it came at the same moment
            raise

    def _timeout(self) -> PoolTimeout:
        holders = [claim.holder() for claim in self._held.values()]
        waiting = sum(not waiter.done() for waiter in self._waiting)
        return PoolTimeout(
            self._config.acquire_timeout, self._config.max_connections, waiting, holders
        )

    async def _opened(self, deadline: float) -> Lease:
        """Use a permit to get a connection of the driver's pool; try again until `deadline`."""
        self._opening += 1
        try:
            lease = await self._opener.connection(self._generation, deadline)
        except BaseException as error:
            self._pass_on(None)
            if self._closing and isinstance(error, StorageError):
                raise NotInitialized from error
            raise
        finally:
            self._opening -= 1
        if self._closing:
            self._discard(lease)
            raise NotInitialized
        return lease

    async def _return(self, lease: Lease, *, broken: bool) -> None:
        """Give a connection back to the driver's pool, or close it, and pass its permit on."""
        good = not broken and self._is_good(lease)
        try:
            if good:
                await self._opener.release(lease)
            else:
                self.counters.bad_returns += 1
                terminate(lease.connection)
        except DRIVER_ERRORS as error:
            _log.warning("a connection was dropped on its return: %s", type(error).__name__)
        finally:
            self._pass_on(None)

    def _discard(self, lease: Lease) -> None:
        terminate(lease.connection)
        self._pass_on(None)

    def _sweep(self) -> None:
        """Close connections that nobody has used for long, down to those that are kept."""
        now = time.monotonic()
        for lease in list(self._free):
            surplus = self._config.max_connections - self._permits - self._config.min_connections
            if surplus > 0 and now - lease.used > self._config.max_idle:
                self._free.remove(lease)
                self._discard(lease)
        pause = min(_SWEEP, self._config.max_idle / 2)
        self._sweeper = asyncio.get_running_loop().call_later(pause, self._sweep)
