"""Notifications of a channel, on a connection that is opened again when it breaks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg

from polymarket_bot.storage.config import DatabaseConfig
from polymarket_bot.storage.connections.blocks import is_closed, terminate
from polymarket_bot.storage.connections.driver import DRIVER_ERRORS, driver_errors
from polymarket_bot.storage.connections.sessions import connect_directly
from polymarket_bot.storage.errors import ServerUnavailable

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


async def listen(config: DatabaseConfig, channel: str) -> AsyncIterator[Notification]:
    """Iterate over the notifications of `channel` for ever; see `Database.listen`."""
    pause, first = 0.0, True
    while True:
        try:
            connection = await connect_directly(config)
        except ServerUnavailable as error:
            if first:
                raise
            _log.warning("listening on %s: %s", channel, error)
            pause = min(_LONGEST_PAUSE, 2 * pause + 0.05)
            await asyncio.sleep(pause)
            continue
        try:
            async for notification in _heard(connection, channel, again=not first):
                yield notification
        finally:
            terminate(connection)
        pause, first = 0.0, False
        _log.warning("listening on %s: the connection was lost, connecting again", channel)


async def _heard(
    connection: asyncpg.Connection[asyncpg.Record], channel: str, *, again: bool
) -> AsyncIterator[Notification]:
    """Iterate over what one connection hears, until it breaks."""
    queue: asyncio.Queue[Notification | None] = asyncio.Queue()

    def hear(_: Any, pid: int, channel: str, payload: object) -> None:  # noqa: ANN401
        if queue.qsize() < _QUEUED:
            queue.put_nowait(Notification(channel, str(payload), pid))
        elif queue.qsize() == _QUEUED:
            queue.put_nowait(Notification(channel, missed=True))

    connection.add_termination_listener(lambda _: queue.put_nowait(None))
    try:
        with driver_errors():
            await connection.add_listener(channel, hear)
    except Exception:
        if not is_closed(connection):
            raise
        return
    if again:
        yield Notification(channel, missed=True)
    while (notification := await _next(connection, queue)) is not None:
        yield notification


async def _next(
    connection: asyncpg.Connection[asyncpg.Record], queue: asyncio.Queue[Notification | None]
) -> Notification | None:
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
