"""One task at a time, in whichever event loop."""

from __future__ import annotations

import asyncio


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
