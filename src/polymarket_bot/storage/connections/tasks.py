"""Tasks that take turns in whichever event loop, and that are waited for to their end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any


class Turns:
    """A lock for each event loop: one of asyncio belongs for ever to the loop it was waited in."""

    def __init__(self) -> None:
        self._locks: dict[asyncio.AbstractEventLoop, asyncio.Lock] = {}

    def lock(self) -> asyncio.Lock:
        """Return the lock of the running loop, and forget those of closed ones."""
        for loop in tuple(self._locks):
            if loop.is_closed():
                self._locks.pop(loop, None)
        return self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())


async def end_of(work: asyncio.Future[Any]) -> None:
    """Wait until `work` has ended, however often the waiting is cancelled.

    For a caller that lets its first cancellation out afterwards.
    """
    while not work.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([work])
