"""What a human is asked, and what they approved."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from polymarket_bot.storage.mapping.statements import allowed, select_list
from polymarket_bot.storage.models.approvals import ApprovalAlert, TradeApproval
from polymarket_bot.storage.repositories.arguments import days_as_seconds
from polymarket_bot.storage.repositories.base import BaseRepository
from polymarket_bot.storage.sql import NOW_TEXT, instant
from polymarket_bot.storage.tables import APPROVAL_ALERTS, TRADE_APPROVALS
from polymarket_bot.storage.types import Number

_COLUMNS = select_list(TRADE_APPROVALS)

# An `expires_at` that is no time has no instant: such an approval is never good.
_VALID = f"""
token_id = $1 AND status = 'pending' AND max_price >= $2::real
AND (expires_at IS NULL OR {instant("expires_at")} > statement_timestamp())
"""
_GET_VALID = f"SELECT {_COLUMNS} FROM trade_approvals WHERE {_VALID}"
_CONSUME = f"""
UPDATE trade_approvals SET status = 'executed', executed_at = {NOW_TEXT}
WHERE {_VALID} RETURNING {_COLUMNS}
"""
_MARK = f"""
UPDATE trade_approvals AS stored
SET status = $2, executed_at = CASE WHEN $2 = 'executed' THEN {NOW_TEXT} ELSE executed_at END
WHERE token_id = $1 {allowed(TRADE_APPROVALS, "$2")} RETURNING {_COLUMNS}
"""
_EXPIRE_OLD = f"""
WITH expired AS (
    UPDATE trade_approvals SET status = 'expired'
    WHERE status = 'pending' AND {instant("expires_at")} <= statement_timestamp() RETURNING 1
) SELECT count(*) FROM expired
"""
_APPROVE = f"""
UPDATE approval_alerts SET approved = true WHERE token_id = $1
RETURNING {select_list(APPROVAL_ALERTS)}
"""
_OLD_ALERT = f"{instant('alerted_at')} < statement_timestamp() - make_interval(secs => $1::bigint)"


class TradeApprovalRepository(BaseRepository[TradeApproval]):
    """Approvals, one a token: the newest by `approved_at` stands, however the times are written.

    An approval that was executed or has expired stays so until a later one is given; the same
    one given again changes nothing.
    """

    table: ClassVar = TRADE_APPROVALS

    async def create(self, approval: TradeApproval) -> TradeApproval:
        """Store an approval and return the row that stands for its token.

        Raises:
            InvalidInput: `approval` is no `TradeApproval`.
        """
        return await self.upsert(approval)

    async def create_many(self, approvals: Iterable[TradeApproval]) -> int:
        """Store approvals, all or none, and return how many of them stand anew.

        Raises:
            InvalidInput: one of them is no `TradeApproval`.
        """
        return await self.upsert_many(approvals)

    async def get_by_token(self, token_id: str) -> TradeApproval | None:
        """Return the token's approval, or None."""
        return await self.get_by_id(token_id)

    async def get_pending(self) -> list[TradeApproval]:
        """Return the pending approvals, oldest `approved_at` first."""
        return await self._list("approved_at, token_id", status="pending")

    async def get_valid(self, token_id: str, max_price: Number) -> TradeApproval | None:
        """Return the token's approval if it is good for a price now, or None.

        Good is one that is pending, has not expired by the database's clock, and was given for
        at least `max_price` (0..1). Without `expires_at` it never expires; without a maximum
        price it is never good.
        """
        return await self._one(_GET_VALID, *self._checked(token_id=token_id, max_price=max_price))

    async def consume(self, token_id: str, price: Number) -> TradeApproval | None:
        """Take the token's approval if it is good for `price` (0..1): of all callers, one gets it.

        Returns:
            The approval, which is `executed` now, or None.

        Raises:
            InvalidInput: `price` is no price.
        """
        checked = self._like("max_price", price=price)
        return await self._once(_CONSUME, *self._checked(token_id=token_id), checked)

    async def mark_executed(self, token_id: str) -> TradeApproval | None:
        """Set the token's approval to `executed`.

        Returns:
            The row as it is stored now, unchanged where it was executed or has expired; None
            where there is none.
        """
        return await self._move(_MARK, *self._checked(token_id=token_id), "executed")

    async def mark_expired(self, token_id: str) -> TradeApproval | None:
        """Set the token's approval to `expired`; see `mark_executed`."""
        return await self._move(_MARK, *self._checked(token_id=token_id), "expired")

    async def expire_old(self) -> int:
        """Set pending approvals whose `expires_at` has passed to `expired`; return how many.

        By the database's clock; one whose `expires_at` is no time is left, and never good.
        """
        return int(await self._db.atomically(lambda: self._db.fetchval(_EXPIRE_OLD)))


class ApprovalAlertRepository(BaseRepository[ApprovalAlert]):
    """Questions to a human, one a token."""

    table: ClassVar = APPROVAL_ALERTS

    async def create(self, alert: ApprovalAlert) -> ApprovalAlert:
        """Store an alert and return the stored row; one that is there is left as it was.

        Raises:
            InvalidInput: `alert` is no `ApprovalAlert`.
        """
        return await self._create(alert, keep=True)

    async def get_pending(self) -> list[ApprovalAlert]:
        """Return the alerts whose `approved` is false, not None, oldest `alerted_at` first."""
        return await self._list("alerted_at, token_id", approved=False)

    async def approve(self, token_id: str) -> ApprovalAlert | None:
        """Set the token's alert to approved and return the row, or None where there is none."""
        return await self._one(_APPROVE, *self._checked(token_id=token_id))

    async def delete_old(self, days: float = 7) -> int:
        """Delete the alerts older than `days` by the database's clock, and return how many.

        In batches, each a transaction of its own; inside a block, a savepoint of it. What another
        transaction holds is left, and so is an alert whose `alerted_at` is no time.

        Args:
            days: a number from 0, fractions too.

        Raises:
            InvalidInput: `days` is no such number.
        """
        age = days_as_seconds("days", days)
        return await self._delete_where(_OLD_ALERT, age)
