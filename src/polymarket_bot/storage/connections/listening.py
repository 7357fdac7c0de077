"""Notifications of a channel, on a connection that is opened again when it breaks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg

from polymarket_bot.storage.config import DatabaseConfig
from polymarket_bot.storage.connections.blocks import driver_errors_on, terminate
from polymarket_bot.storage.connections.driver import DRIVER_ERRORS
from polymarket_bot.storage.connections.sessions import connect_directly
from polymarket_bot.storage.errors import ConnectionLost, ServerUnavailable, StatementTimeout

_log = logging.getLogger(__name__)
_BEAT = 5.0
_QUEUED = 10_000
_LONGEST_PAUSE = 1.0


@dataclass(frozen=True)
class Notification:
    """A notification, or the news that some may have been missed.

    Attributes:
        channel: the channel.
        payload: what was sent; empty where `missed`.
        pid: the server process of the sender, 0 where `missed`.
        missed: notifications may have been lost before this moment: read the tables.
    """

    channel: str
    payload: str = ""
    pid: int = 0
    missed: bool = False


_Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
_Queue: TypeAlias = "asyncio.Queue[Notification | None]"


async def listen(config: DatabaseConfig, channel: str) -> AsyncIterator[Notification]:
    """Iterate over the notifications of `channel` for ever; see `Database.listen`."""
    pause, again = 0.0, False
    while True:
        try:
            connection, queue = await _listening(config, channel)
        except (ServerUnavailable, ConnectionLost, StatementTimeout) as error:
            if not again and isinstance(error, ServerUnavailable):
                raise
            _log.warning("listening on %s: %s", channel, error)
            again, pause = True, min(_LONGEST_PAUSE, 2 * pause + 0.05)
            await asyncio.sleep(pause)
            continue
        try:
            if again:
                yield Notification(channel, missed=True)
            while (notification := await _next(connection, queue)) is not None:
                yield notification
        finally:
            terminate(connection)
        again, pause = True, 0.0
        _log.warning("listening on %s: the connection was lost, connecting again", channel)


async def _listening(config: DatabaseConfig, channel: str) -> tuple[_Connection, _Queue]:
    """Open a connection that listens, and the queue of what it hears; None tells its end.

    Raises:
        ServerUnavailable: there is no connection.
        ConnectionLost: it broke at once; `StatementTimeout` where it does not answer.
    """
    queue: _Queue = asyncio.Queue()

    def hear(_: Any, pid: int, channel: str, payload: object) -> None:  # noqa: ANN401
        if queue.qsize() < _QUEUED:
            queue.put_nowait(Notification(channel, str(payload), pid))
        elif queue.qsize() == _QUEUED:
            queue.put_nowait(Notification(channel, missed=True))

    connection = await connect_directly(config)
    connection.add_termination_listener(lambda _: queue.put_nowait(None))
    try:
        with driver_errors_on(connection):
            await connection.add_listener(channel, hear)
    except BaseException:
        terminate(connection)
        raise
    return connection, queue


async def _next(connection: _Connection, queue: _Queue) -> Notification | None:
    """Return the next notification, or None when the connection is broken; look now and then."""
    while True:
        try:
            async with asyncio.timeout(_BEAT):
                return await queue.get()
        except TimeoutError:
            try:
                await connection.fetchval("SELECT 1", timeout=_BEAT)
            except DRIVER_ERRORS:
                return None
