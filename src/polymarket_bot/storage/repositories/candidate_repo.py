"""Candidates for a trade and their watermarks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import ClassVar

from polymarket_bot.storage.mapping.statements import allowed, select_list
from polymarket_bot.storage.models.candidates import CandidateWatermark, PolymarketCandidate
from polymarket_bot.storage.repositories.arguments import whole_number
from polymarket_bot.storage.repositories.base import BaseRepository
from polymarket_bot.storage.repositories.watermarks import WatermarkRepository
from polymarket_bot.storage.sql import NOW_TEXT
from polymarket_bot.storage.tables import CANDIDATE_WATERMARKS, CANDIDATES
from polymarket_bot.storage.types import Threshold

_OLDEST = "created_at, id"
_NEWEST = "created_at DESC, id DESC"

_UPDATE_STATUS = f"""
UPDATE polymarket_candidates AS stored
SET status = $2, score = COALESCE($3, score), updated_at = {NOW_TEXT}
WHERE id = $1 {allowed(CANDIDATES, "$2")}
RETURNING {select_list(CANDIDATES)}
"""


_CLAIM_PENDING = f"""
SELECT {select_list(CANDIDATES)} FROM polymarket_candidates WHERE status = 'pending'
ORDER BY {_OLDEST} LIMIT $1 FOR UPDATE SKIP LOCKED
"""


class CandidateRepository(BaseRepository[PolymarketCandidate]):
    """Candidates. One that was executed stays so; any other status may follow any other.

    Newest and oldest are by `created_at`.
    """

    table: ClassVar = CANDIDATES

    async def get_pending(self, limit: int = 100) -> list[PolymarketCandidate]:
        """Return the pending candidates, oldest first."""
        return await self._list(_OLDEST, limit, where="status = 'pending'")

    @asynccontextmanager
    async def claim_pending(self, limit: int = 100) -> AsyncIterator[list[PolymarketCandidate]]:
        """Hold pending candidates, oldest first, that no other worker holds, in an `async with`.

        The block is a transaction block: what is done in it through the repositories is stored
        when it ends, and a candidate whose status was not changed is pending again. So are all
        where the block raises, or its process dies. Inside a transaction block they are held until
        that ends. A block that runs no statement for `idle_in_transaction_timeout` loses them.

        Args:
            limit: how many at most; may be fewer, or none, where others hold the rest.

        Raises:
            InvalidInput: `limit` is no whole number from 0.
            IdleTransactionTimeout: the block ran no statement for too long; nothing was stored.
            StorageError: as of `Database.transaction`.
        """
        most = whole_number("limit", limit)
        async with self._db.transaction():
            yield await self._many(_CLAIM_PENDING, most)

    async def get_by_status(self, status: str, limit: int = 100) -> list[PolymarketCandidate]:
        """Return the candidates of a status, newest first."""
        return await self._list(_NEWEST, limit, status=status)

    async def get_by_token(self, token_id: str) -> list[PolymarketCandidate]:
        """Return the token's candidates, newest first."""
        return await self._list(_NEWEST, token_id=token_id)

    async def update_status(
        self, candidate_id: int, status: str, score: float | None = None
    ) -> PolymarketCandidate | None:
        """Set a candidate's status, and its score where one is given.

        Args:
            candidate_id: its id.
            status: the status.
            score: a finite number, in whatever unit the bot scores; left as it was where None.

        Returns:
            The row as it is stored now, unchanged where it was executed; None where there is none.

        Raises:
            InvalidInput: a value does not fit; names it.
        """
        return await self._move(
            _UPDATE_STATUS,
            *self._checked(id=candidate_id, status=status),
            *self._optional(score=score),
        )

    async def approve(self, candidate_id: int) -> PolymarketCandidate | None:
        """Set a candidate's status to `approved`; see `update_status`."""
        return await self.update_status(candidate_id, "approved")

    async def reject(
        self, candidate_id: int, score: float | None = None
    ) -> PolymarketCandidate | None:
        """Set a candidate's status to `rejected`; see `update_status`."""
        return await self.update_status(candidate_id, "rejected", score)

    async def mark_executed(self, candidate_id: int) -> PolymarketCandidate | None:
        """Set a candidate's status to `executed`, which it keeps; see `update_status`."""
        return await self.update_status(candidate_id, "executed")


class CandidateWatermarkRepository(
    WatermarkRepository[CandidateWatermark, Threshold, datetime | str]
):
    """Up to which creation time the candidates of each threshold are processed.

    The later time wins, however the two are written. A threshold may be given as float, `Decimal`
    or text.
    """

    table: ClassVar = CANDIDATE_WATERMARKS

    async def get(self, threshold: Threshold) -> CandidateWatermark | None:
        """Return the threshold's watermark, or None."""
        return await self._get(threshold)

    async def get_last_created_at(self, threshold: Threshold) -> str | None:
        """Return the threshold's watermark as text, or None when there is none."""
        found: str | None = await self._get_mark(threshold)
        return found

    async def update(self, threshold: Threshold, created_at: datetime | str) -> CandidateWatermark:
        """Move the watermark up to `created_at`, never backwards, and return the stored row.

        Args:
            threshold: whose watermark it is.
            created_at: a time, as datetime or in ISO 8601; a naive one is UTC.

        Raises:
            InvalidInput: an argument does not fit; names it.
            FutureTime: `created_at` is more than `future_skew` ahead of the database's clock.
        """
        return await self._update(threshold, created_at)

    async def reset(
        self, threshold: Threshold, created_at: datetime | str, reason: str
    ) -> CandidateWatermark:
        """Put the watermark to `created_at`, also backwards; logged as a warning with the reason.

        Raises:
            InvalidInput: an argument does not fit, or there is no reason; names it.
            FutureTime: `created_at` is more than `future_skew` ahead of the database's clock.
        """
        return await self._reset(threshold, created_at, reason)
