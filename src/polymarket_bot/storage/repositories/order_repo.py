"""Orders sent to the exchange, and trades on paper."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import ClassVar

from polymarket_bot.storage.errors import InvalidInput
from polymarket_bot.storage.mapping.lifecycle import ORDER
from polymarket_bot.storage.mapping.statements import allowed, select_list
from polymarket_bot.storage.models.orders import LiveOrder, PaperTrade
from polymarket_bot.storage.repositories.arguments import moment_or_age, whole_number
from polymarket_bot.storage.repositories.base import BaseRepository
from polymarket_bot.storage.sql import NOW_TEXT, instant
from polymarket_bot.storage.tables import LIVE_ORDERS, PAPER_TRADES
from polymarket_bot.storage.types import Number

_NEWEST_PAPER = "created_at DESC, id DESC"
_NEWEST = "submitted_at DESC, id DESC"
_COLUMNS = select_list(LIVE_ORDERS)

# By (decision, created_at), or a rare decision would be looked for among all others by time.
_BY_DECISION = f"""
SELECT {select_list(PAPER_TRADES)} FROM paper_trades WHERE decision BETWEEN $1 AND $1
ORDER BY decision DESC, {_NEWEST_PAPER} LIMIT $2
"""

_ACTIVE = f"""
SELECT {_COLUMNS} FROM live_orders WHERE status IN ('submitted', 'partial')
ORDER BY submitted_at, id
"""
_UPDATE_STATUS = f"""
UPDATE live_orders AS stored
SET status = $2, fill_price = COALESCE($3, fill_price), fill_size = COALESCE($4, fill_size),
    reason = COALESCE($5, reason),
    filled_at = CASE WHEN $2 = 'filled' THEN COALESCE(filled_at, {NOW_TEXT}) ELSE filled_at END,
    updated_at = {NOW_TEXT}
WHERE order_id = $1 {allowed(LIVE_ORDERS, "$2", fill_size="COALESCE($4, fill_size)")}
RETURNING {_COLUMNS}
"""
_ATTACH = f"""
UPDATE live_orders SET order_id = $2, updated_at = {NOW_TEXT}
WHERE id = $1 AND order_id IS NULL RETURNING {_COLUMNS}
"""
# NOT IN would be looked up in no index, and orders that were refused without an id are many.
_FINAL = sorted(ORDER.final)
_NOT_FINAL = " OR ".join(
    (
        f"status < '{_FINAL[0]}'",
        *(f"status > '{low}' AND status < '{high}'" for low, high in pairwise(_FINAL)),
        f"status > '{_FINAL[-1]}'",
    )
)
UNANSWERED = f"order_id IS NULL AND ({_NOT_FINAL})"
"""SQL of the orders that were written down, and of which the exchange has told nothing."""

_UNSUBMITTED = f"""
SELECT {_COLUMNS} FROM live_orders
WHERE {UNANSWERED}
  AND {instant("submitted_at")} <= COALESCE($1::timestamptz, statement_timestamp() - $2::interval)
ORDER BY submitted_at, id
"""


class PaperTradeRepository(BaseRepository[PaperTrade]):
    """Trades on paper, and decisions against a trade; newest is by `created_at`."""

    table: ClassVar = PAPER_TRADES

    async def get_by_candidate(self, candidate_id: int) -> list[PaperTrade]:
        """Return the candidate's paper trades, newest first."""
        return await self._list(_NEWEST_PAPER, candidate_id=candidate_id)

    async def get_recent(self, limit: int = 100) -> list[PaperTrade]:
        """Return paper trades, newest first."""
        return await self._list(_NEWEST_PAPER, limit)

    async def get_by_decision(self, decision: str, limit: int = 100) -> list[PaperTrade]:
        """Return the paper trades of a decision, newest first."""
        return await self._many(
            _BY_DECISION, *self._checked(decision=decision), whole_number("limit", limit)
        )


class LiveOrderRepository(BaseRepository[LiveOrder]):
    """Real orders.

    An order is written down before it is sent; `attach_order_id` adds the exchange's id, and
    `get_unsubmitted` finds those that never had an answer. An order that is filled, cancelled or
    rejected stays so, none goes back from partial to submitted to pending, and a fill never
    shrinks: what would change that changes nothing. Newest and oldest are by `submitted_at`.
    """

    table: ClassVar = LIVE_ORDERS

    async def get_by_order_id(self, order_id: str) -> LiveOrder | None:
        """Return the order of the exchange's id, or None."""
        return await self.get_by_id(order_id, "order_id")

    async def get_active(self) -> list[LiveOrder]:
        """Return the orders that are `submitted` or `partial`, oldest first."""
        return await self._many(_ACTIVE)

    async def get_by_status(self, status: str, limit: int = 100) -> list[LiveOrder]:
        """Return the orders of a status, newest first."""
        return await self._list(_NEWEST, limit, status=status)

    async def get_by_token(self, token_id: str) -> list[LiveOrder]:
        """Return the token's orders, newest first."""
        return await self._list(_NEWEST, token_id=token_id)

    async def get_unsubmitted(
        self, older_than: timedelta | float | datetime | str
    ) -> list[LiveOrder]:
        """Return the orders without an exchange's id that are not in a final status, oldest first.

        One whose `submitted_at` is no time is never among them.

        Args:
            older_than: how long ago `submitted_at` is at least, by the database's clock, as a
                timedelta or in seconds; or the latest `submitted_at`, as a datetime, an ISO 8601
                text or in Unix seconds, which a number from 1,000,000,000 on is. Inclusive; a
                naive time is UTC.

        Raises:
            InvalidInput: `older_than` is neither.
        """
        return await self._many(_UNSUBMITTED, *moment_or_age("older_than", older_than))

    async def attach_order_id(self, id: int, order_id: str) -> LiveOrder | None:  # noqa: A002 - the column's name
        """Add the exchange's id to an order and return the row, or None where there is none.

        Doing it again with the same id changes nothing. An order in a final status gets one, too.

        Raises:
            InvalidInput: the order has another id already.
            AlreadyExists: another order has this id.
        """
        number, text = self._checked(id=id, order_id=order_id)
        order = await self._move(_ATTACH, number, text)
        if order is not None and order.order_id != text:
            raise InvalidInput("order_id", text, f"the order has the id {order.order_id} already")
        return order

    async def update_status(
        self,
        order_id: str,
        status: str,
        fill_price: Number | None = None,
        fill_size: Number | None = None,
        reason: str | None = None,
    ) -> LiveOrder | None:
        """Set an order's status; what is not given besides is left as it was.

        Args:
            order_id: the exchange's id.
            status: the status; `filled` also sets `filled_at`.
            fill_price: the mean price of all that was filled, 0..1.
            fill_size: how many shares were filled in all.
            reason: why.

        Returns:
            The row as it is stored now, unchanged where the order is in a final status, would go
            back to an earlier stage, or its fill would shrink; None where there is none.

        Raises:
            InvalidInput: a value does not fit; names it.
        """
        return await self._move(
            _UPDATE_STATUS,
            *self._checked(order_id=order_id, status=status),
            *self._optional(fill_price=fill_price, fill_size=fill_size, reason=reason),
            by=("order_id",),
        )

    async def mark_filled(
        self, order_id: str, fill_price: Number, fill_size: Number
    ) -> LiveOrder | None:
        """Set an order to `filled`; see `update_status`."""
        price, size = self._checked(fill_price=fill_price, fill_size=fill_size)
        return await self.update_status(order_id, "filled", price, size)

    async def mark_cancelled(self, order_id: str, reason: str | None = None) -> LiveOrder | None:
        """Set an order to `cancelled`; see `update_status`."""
        return await self.update_status(order_id, "cancelled", reason=reason)

    async def mark_rejected(self, order_id: str, reason: str) -> LiveOrder | None:
        """Set an order to `rejected`; see `update_status`."""
        (checked,) = self._checked(reason=reason)
        return await self.update_status(order_id, "rejected", reason=checked)
