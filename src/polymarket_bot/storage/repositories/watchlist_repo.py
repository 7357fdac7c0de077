"""Tokens and markets under watch, and their scores."""

from __future__ import annotations

from typing import Any, ClassVar

from polymarket_bot.storage.mapping.statements import select_list
from polymarket_bot.storage.models.watchlists import (
    MarketScoresCache,
    ScoreHistory,
    TradeWatchlistItem,
)
from polymarket_bot.storage.repositories.arguments import days_as_seconds
from polymarket_bot.storage.repositories.base import BaseRepository
from polymarket_bot.storage.sql import NOW, before, seconds, since
from polymarket_bot.storage.tables import MARKET_SCORES, SCORE_HISTORY, TRADE_WATCHLIST

_BEST = "trade_watchlist.current_score DESC NULLS LAST, token_id"
_BEST_MARKET = "market_scores_cache.model_score DESC NULLS LAST, condition_id"
_WATCHED = select_list(TRADE_WATCHLIST)
_SCORED_AT = seconds("scored_at")

_UPDATE_SCORE = f"""
UPDATE trade_watchlist
SET current_score = $2, time_to_end_hours = $3, last_scored_at = {NOW}, updated_at = {NOW}
WHERE token_id = $1 RETURNING {_WATCHED}
"""
_RECORD_SCORE = f"""
INSERT INTO score_history (token_id, score, time_to_end_hours, scored_at)
VALUES ($1, $2, $3, {NOW})
"""
_SET_STATUS = f"""
UPDATE trade_watchlist SET status = $2, updated_at = {NOW}
WHERE token_id = $1 RETURNING {_WATCHED}
"""
_RECENT_SCORES = f"""
SELECT {select_list(SCORE_HISTORY)} FROM score_history
WHERE {since("scored_at", "$1::bigint")} ORDER BY {_SCORED_AT} DESC, id DESC
"""
_OLD_SCORE = before("scored_at", f"({NOW} - $1::bigint)")


class TradeWatchlistRepository(BaseRepository[TradeWatchlistItem]):
    """Tokens that are scored again before a decision."""

    table: ClassVar = TRADE_WATCHLIST

    async def create(self, item: TradeWatchlistItem) -> TradeWatchlistItem:
        """Store a token and return the stored row; one that is there is left as it was.

        Raises:
            InvalidInput: `item` is no `TradeWatchlistItem`.
            FutureTime: a time of it lies in the future.
        """
        return await self._create(item, keep=True)

    async def get_watching(self) -> list[TradeWatchlistItem]:
        """Return the tokens under watch, best score first, those without one last."""
        return await self._list(_BEST, where="status = 'watching'")

    async def get_by_status(self, status: str) -> list[TradeWatchlistItem]:
        """Return the tokens of a status, best score first, those without one last."""
        return await self._list(_BEST, status=status)

    async def update_score(
        self,
        token_id: str,
        score: float,
        time_to_end_hours: float | None,
        *,
        record_history: bool = False,
    ) -> TradeWatchlistItem | None:
        """Store a token's new score, and when it was given by the database's clock.

        Args:
            token_id: the token.
            score: the score; `initial_score` is left as it was.
            time_to_end_hours: until the market ends, in hours; None replaces what was there.
            record_history: add the score to `score_history` in the same transaction.

        Returns:
            The stored row, or None where the token is not on the list: then nothing is recorded.

        Raises:
            InvalidInput: a value does not fit; names it.
        """
        values = [
            *self._checked(token_id=token_id, current_score=score),
            *self._optional(time_to_end_hours=time_to_end_hours),
        ]
        if not record_history:
            return await self._one(_UPDATE_SCORE, *values)

        async def update_and_record() -> TradeWatchlistItem | None:
            if item := await self._one(_UPDATE_SCORE, *values):
                await self._db.execute(_RECORD_SCORE, *values)
            return item

        return await self._db.atomically(update_and_record)

    async def promote(self, token_id: str) -> TradeWatchlistItem | None:
        """Set a token to `promoted` and return the row, or None where there is none."""
        return await self._set_status(token_id, "promoted")

    async def mark_traded(self, token_id: str) -> TradeWatchlistItem | None:
        """Set a token to `traded`; see `promote`."""
        return await self._set_status(token_id, "traded")

    async def mark_expired(self, token_id: str) -> TradeWatchlistItem | None:
        """Set a token to `expired`; see `promote`."""
        return await self._set_status(token_id, "expired")

    async def reject(self, token_id: str) -> TradeWatchlistItem | None:
        """Set a token to `rejected`; see `promote`."""
        return await self._set_status(token_id, "rejected")

    async def _set_status(self, token_id: str, status: str) -> TradeWatchlistItem | None:
        return await self._one(_SET_STATUS, *self._checked(token_id=token_id, status=status))


class MarketScoresCacheRepository(BaseRepository[MarketScoresCache]):
    """The latest score of each market, and what the filters say."""

    table: ClassVar = MARKET_SCORES

    async def get_by_condition(self, condition_id: str) -> MarketScoresCache | None:
        """Return the condition's scores, or None."""
        return await self.get_by_id(condition_id)

    async def get_passing(self, limit: int = 100) -> list[MarketScoresCache]:
        """Return the markets that pass the filters, best score first, those without one last."""
        return await self._list(_BEST_MARKET, limit, passes_filters=1)

    async def get_by_category_flags(
        self,
        is_weather: bool | None = None,
        is_crypto: bool | None = None,
        is_politics: bool | None = None,
        is_sports: bool | None = None,
    ) -> list[MarketScoresCache]:
        """Return the markets whose flags are as given, best score first, those without one last.

        A flag that is None is not looked at; a market where nobody has looked at a flag matches
        neither True nor False.
        """
        flags: dict[str, Any] = {
            "is_weather": is_weather,
            "is_crypto": is_crypto,
            "is_politics": is_politics,
            "is_sports": is_sports,
        }
        given = {name: flag for name, flag in flags.items() if flag is not None}
        return await self._list(_BEST_MARKET, **given)


class ScoreHistoryRepository(BaseRepository[ScoreHistory]):
    """Every score that a token was given; newest is by `scored_at`."""

    table: ClassVar = SCORE_HISTORY

    async def get_by_token(self, token_id: str, limit: int = 100) -> list[ScoreHistory]:
        """Return the token's scores, newest first, those without a time last."""
        return await self._list("scored_at DESC NULLS LAST, id DESC", limit, token_id=token_id)

    async def get_recent(self, since_timestamp: int) -> list[ScoreHistory]:
        """Return the scores from `since_timestamp` (Unix seconds, inclusive) on, newest first."""
        return await self._many(_RECENT_SCORES, *self._checked(scored_at=since_timestamp))

    async def cleanup_old(self, days: float = 30) -> int:
        """Delete the scores older than `days` by the database's clock, and return how many.

        In batches, each a transaction of its own; inside a block, a savepoint of it. What another
        transaction holds is left, and so is a score without a time.

        Args:
            days: a number from 0, fractions too.

        Raises:
            InvalidInput: `days` is no such number.
        """
        return await self._delete_where(_OLD_SCORE, days_as_seconds("days", days))
