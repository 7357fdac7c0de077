"""Runs statements on leased connections, or on that of a block."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import asyncpg

from polymarket_bot.storage.config import DatabaseConfig
from polymarket_bot.storage.connections.blocks import Connection, driver_errors_on, is_closed
from polymarket_bot.storage.connections.driver import DRIVER_ERRORS, translated
from polymarket_bot.storage.connections.executor import Statement
from polymarket_bot.storage.connections.holders import Claim
from polymarket_bot.storage.connections.leases import LeasePool
from polymarket_bot.storage.connections.observers import Observers
from polymarket_bot.storage.connections.queries import changes_session
from polymarket_bot.storage.connections.retries import pauses
from polymarket_bot.storage.connections.transactions import Scope, named
from polymarket_bot.storage.errors import ConnectionLost, Outcome

_log = logging.getLogger(__name__)
_RETRIES = 3


class Runner:
    """Runs statements, again where that is safe, counts them and tells the observers."""

    def __init__(self, config: DatabaseConfig, leases: LeasePool, observers: Observers) -> None:
        self._config = config
        self._leases = leases
        self._observers = observers

    async def run(self, statement: Statement) -> Any:  # noqa: ANN401 - as the verb
        """Run a statement outside any block, again where its connection was lost and that is safe.

        Raises:
            ConnectionLost: it is not repeatable and was sent, or the connection was lost each time.
        """
        try:
            return await self._run_once(statement)
        except ConnectionLost as lost:
            if not _may_run_again(statement, lost):
                raise
        for pause in pauses(_RETRIES):
            _log.info("a statement is sent again, its connection was lost")
            self._leases.counters.retries += 1
            try:
                return await self._run_once(statement)
            except ConnectionLost as lost:
                if pause is None or not _may_run_again(statement, lost):
                    raise
                await asyncio.sleep(pause)
        raise AssertionError("the last pause is None")

    async def run_in(self, scope: Scope, statement: Statement) -> Any:  # noqa: ANN401 - as the verb
        """Run a statement as part of a block.

        Raises:
            ConnectionLost: nothing of the block is stored.
        """
        async with scope.use() as connection:
            idle = time.monotonic() - scope.pulse.active
            try:
                scope.pulse.changed |= changes_session(statement.query)
                with scope.pulse.beat():
                    if self._takes_longer(statement):
                        await self._allow(connection, "SET LOCAL", statement)
                    return await self._ask(connection, statement)
            except ConnectionLost as lost:
                cause = lost.__cause__ or lost
                limit = self._config.idle_in_transaction_timeout
                raise named(ConnectionLost(cause, Outcome.ROLLED_BACK), idle, limit) from cause

    async def _run_once(self, statement: Statement) -> Any:  # noqa: ANN401 - as the verb
        claim = Claim(asyncio.current_task(), "")
        lease = self._leases.take_free(claim) or await self._leases.take(claim)
        broken = False
        try:
            lease.changed = changes_session(statement.query)
            if self._takes_longer(statement):
                lease.changed = True
                await self._allow(lease.connection, "SET", statement)
            return await self._ask(lease.connection, statement)
        except BaseException:  # a cancelled statement may still be running on the server
            lease.changed, broken = True, is_closed(lease.connection)
            raise
        finally:
            self._leases.give_back(lease, broken=broken)

    async def _ask(self, connection: Connection, statement: Statement) -> Any:  # noqa: ANN401
        """Call the driver, count, tell the observers, and translate its errors."""
        counters = self._leases.counters
        counters.queries += 1
        began = time.monotonic()
        try:
            result = await statement.send(connection)
        except DRIVER_ERRORS as error:
            counters.query_errors += 1
            self._observers.tell(statement.query, time.monotonic() - began, None, error)
            failure = translated(error, closed=is_closed(connection))
            if self._is_elsewhere(error, statement):
                self._leases.expire()
            raise failure from error
        self._observers.tell(statement.query, time.monotonic() - began, result, None)
        return result

    def _is_elsewhere(self, error: BaseException, statement: Statement) -> bool:
        """Tell whether the other connections lead nowhere, either.

        That is where the server became a replica or is shut down, and where it did not end a
        statement at its own limit, which is just below ours.
        """
        if isinstance(error, TimeoutError):
            return statement.timeout is None and self._config.pooler is None
        return isinstance(error, asyncpg.ReadOnlySQLTransactionError | asyncpg.AdminShutdownError)

    def _takes_longer(self, statement: Statement) -> bool:
        return statement.timeout is not None and statement.timeout > self._config.command_timeout

    async def _allow(self, connection: Connection, how: str, statement: Statement) -> None:
        """Raise the server's own limit for a statement that may take longer than most."""
        if self._config.pooler is None or how == "SET LOCAL":
            limit = int((statement.timeout or 0) * 1000)
            with driver_errors_on(connection, Outcome.NOT_SENT):
                await connection.execute(f"{how} statement_timeout = {limit}")


def _may_run_again(statement: Statement, lost: ConnectionLost) -> bool:
    return statement.repeatable or lost.outcome is Outcome.NOT_SENT
