"""What the exchange says of markets and tokens."""

from __future__ import annotations

from typing import ClassVar

from polymarket_bot.storage.models.markets import (
    PolymarketResolution,
    PolymarketTokenMeta,
    StreamWatchlistItem,
)
from polymarket_bot.storage.repositories.base import BaseRepository
from polymarket_bot.storage.tables import RESOLUTIONS, STREAM_WATCHLIST, TOKEN_META

_LARGEST = "stream_watchlist.volume DESC NULLS LAST, market_id"
_CLEAR = "WITH gone AS (DELETE FROM stream_watchlist RETURNING 1) SELECT count(*) FROM gone"
_CONDITION_OF = "SELECT condition_id FROM polymarket_token_meta WHERE token_id = $1"


class StreamWatchlistRepository(BaseRepository[StreamWatchlistItem]):
    """Markets whose trades are streamed."""

    table: ClassVar = STREAM_WATCHLIST

    async def upsert(self, item: StreamWatchlistItem) -> StreamWatchlistItem:
        """Store a market, in the place of the row of the same id, and return the stored row.

        Raises:
            InvalidInput: `item` is no `StreamWatchlistItem`.
        """
        return await super().upsert(item)

    async def get_by_category(self, category: str) -> list[StreamWatchlistItem]:
        """Return the category's markets, largest volume first, those without one last."""
        return await self._list(_LARGEST, category=category)

    async def clear(self) -> int:
        """Delete all markets of the watchlist, and return how many."""
        return int(await self._db.atomically(lambda: self._db.fetchval(_CLEAR)))


class ResolutionRepository(BaseRepository[PolymarketResolution]):
    """Markets that were resolved, and how."""

    table: ClassVar = RESOLUTIONS

    async def get_by_condition(self, condition_id: str) -> PolymarketResolution | None:
        """Return the condition's resolution, or None."""
        return await self.get_by_id(condition_id)

    async def is_resolved(self, condition_id: str) -> bool:
        """Tell whether the condition has a resolution."""
        return await self.exists(condition_id)

    async def get_recent(self, limit: int = 100) -> list[PolymarketResolution]:
        """Return resolutions, newest first by `resolved_at` as text, those without one last."""
        return await self._list("resolved_at DESC NULLS LAST, condition_id", limit)


class TokenMetaRepository(BaseRepository[PolymarketTokenMeta]):
    """Which market and outcome a token stands for."""

    table: ClassVar = TOKEN_META

    async def get_by_token(self, token_id: str) -> PolymarketTokenMeta | None:
        """Return what is known of the token, or None."""
        return await self.get_by_id(token_id)

    async def get_by_condition(self, condition_id: str) -> list[PolymarketTokenMeta]:
        """Return the condition's tokens by outcome index, those without one last."""
        return await self._list("outcome_index, token_id", condition_id=condition_id)

    async def get_condition_id(self, token_id: str) -> str | None:
        """Return the token's condition, or None where it is not known."""
        (token,) = self._checked(token_id=token_id)
        found: str | None = await self._db.fetchval(_CONDITION_OF, token, repeatable=True)
        return found
