"""How far the trades of each condition are processed."""

from __future__ import annotations

from typing import ClassVar

from polymarket_bot.storage.models.trades import TradeWatermark
from polymarket_bot.storage.repositories.watermarks import WatermarkRepository
from polymarket_bot.storage.tables import TRADE_WATERMARKS


class TradeWatermarkRepository(WatermarkRepository[TradeWatermark, str, int]):
    """How far the trades of each condition are processed."""

    table: ClassVar = TRADE_WATERMARKS

    async def get(self, condition_id: str) -> TradeWatermark | None:
        """Return the condition's watermark, or None."""
        return await self._get(condition_id)

    async def get_timestamp(self, condition_id: str) -> int:
        """Return the condition's watermark in Unix seconds, 0 when there is none."""
        return await self._get_mark(condition_id) or 0

    async def update(self, condition_id: str, timestamp: int) -> TradeWatermark:
        """Move the watermark up to `timestamp` (Unix seconds), never backwards; return the row.

        Raises:
            InvalidInput: an argument does not fit; names it.
            FutureTime: `timestamp` is more than `future_skew` ahead of the database's clock.
        """
        return await self._update(condition_id, timestamp)

    async def reset(self, condition_id: str, timestamp: int, reason: str) -> TradeWatermark:
        """Put the watermark to `timestamp` (Unix seconds), also backwards; the reason is logged.

        Trades after it are handed over again.

        Raises:
            InvalidInput: an argument does not fit, or there is no reason; names it.
            FutureTime: `timestamp` is more than `future_skew` ahead of the database's clock.
        """
        return await self._reset(condition_id, timestamp, reason)
