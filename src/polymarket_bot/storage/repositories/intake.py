"""What `ingest` does with its batches: it sorts one while the database stores the one before."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.ingest import Tally, TradeLike
from polymarket_bot.storage.mapping import bulk
from polymarket_bot.storage.mapping.batch import chunks
from polymarket_bot.storage.models.trades import PolymarketTrade
from polymarket_bot.storage.repositories import arrivals

_SLICE = 100  # records are sorted in one go: the loop has other tasks, too


class Intake:
    """Takes batches in an `async with`, at whose end all of them are stored.

    When its body raises, what was being stored is stored to its end; when it is cancelled, then
    or before, that is cancelled, too. Nothing is left running behind.
    """

    def __init__(self, db: Executor, tally: Tally) -> None:
        self._db = db
        self._tally = tally
        self._clock = 0
        self._storing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._clock = await bulk.database_clock(self._db)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            await self._stored()
        elif self._storing is not None:
            await _ended(self._storing, error)

    async def take(self, batch: list[TradeLike]) -> None:
        """Sort a batch, and begin to store it once the one before is stored."""
        sorted_out = []
        for part in chunks(batch, _SLICE):
            sorted_out += self._tally.sort(part)
            await asyncio.sleep(0)
        await self._stored()
        if _latest(sorted_out) > self._clock:
            self._clock = await bulk.database_clock(self._db)
        trades = self._tally.timely(sorted_out, self._clock, self._db.future_skew)
        self._storing = asyncio.create_task(self._store(trades))
        if not self._db.shared:
            await self._stored()

    async def _stored(self) -> None:
        storing, self._storing = self._storing, None
        if storing is not None:
            await storing

    async def _store(self, trades: Iterable[PolymarketTrade]) -> None:
        stored, late = await arrivals.store(self._db, trades)
        self._tally.inserted += stored
        self._tally.late += late


async def _ended(storing: asyncio.Task[None], error: BaseException) -> None:
    """Wait for the end of a batch whose body raised, however often that is cancelled.

    It is cancelled once: a second time would break off how it ends.
    """
    raised = error
    while not storing.done():
        if isinstance(raised, asyncio.CancelledError) and not storing.cancelling():
            storing.cancel()
        try:
            await asyncio.wait([storing])
        except asyncio.CancelledError as cancelled:
            raised = cancelled
    if not storing.cancelled() and (failure := storing.exception()):
        error.add_note(f"the batch before was not stored, either: {failure}")
    if raised is not error:
        raise raised


def _latest(trades: Iterable[tuple[int, TradeLike, PolymarketTrade]]) -> int:
    return max((trade.timestamp or 0 for _, _, trade in trades), default=0)
