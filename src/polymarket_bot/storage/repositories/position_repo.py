"""Positions and their exits.

Arithmetic is done in NUMERIC on the shortest decimals of what is stored, so that it is exact up
to the last digit that a REAL keeps.
"""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from polymarket_bot.storage.errors import InvalidInput
from polymarket_bot.storage.mapping.statements import allowed, select_list
from polymarket_bot.storage.models.positions import ExitEvent, Position
from polymarket_bot.storage.repositories.arguments import in_range
from polymarket_bot.storage.repositories.base import BaseRepository
from polymarket_bot.storage.sql import NOW_TEXT, exact
from polymarket_bot.storage.tables import EXIT_EVENTS, POSITIONS
from polymarket_bot.storage.types import Number, as_real, plain_decimal

_OLDEST = "entry_timestamp, id"
_NEWEST = "entry_timestamp DESC, id DESC"
_OLDEST_EXIT = "created_at, id"
_POSITION = select_list(POSITIONS)
_EXIT = select_list(EXIT_EVENTS)

# What is worth $2 a share: the value, and what it is above the cost.
_VALUE = f"{exact('size')} * {exact('$2::real')}"
_PROFIT = f"{_VALUE} - {exact('entry_cost')}"

_UPDATE_PRICE = f"""
UPDATE positions
SET current_price = $2, current_value = {_VALUE}, unrealized_pnl = {_PROFIT},
    updated_at = {NOW_TEXT}
WHERE id = $1 AND status = 'open' RETURNING {_POSITION}
"""
_CLOSE = f"""
UPDATE positions
SET status = 'closed', current_price = $2, current_value = {_VALUE}, unrealized_pnl = 0,
    realized_pnl = COALESCE($4::real, ({_PROFIT})::real),
    exit_order_id = COALESCE($3, exit_order_id), exit_timestamp = {NOW_TEXT},
    updated_at = {NOW_TEXT}
WHERE id = $1 AND status = 'open' RETURNING {_POSITION}
"""
_RESOLVE = f"""
UPDATE positions
SET status = 'resolved', resolution = $2, current_value = $3, unrealized_pnl = 0,
    realized_pnl = {exact("$3::real")} - {exact("entry_cost")},
    resolved_at = {NOW_TEXT}, updated_at = {NOW_TEXT}
WHERE id = $1 AND status = 'open' AND $3::real <= size RETURNING {_POSITION}
"""
_EXPOSURE = f"""
SELECT COALESCE(sum({exact("entry_cost")}), 0)::text FROM positions WHERE status = 'open'
"""

_MARK_EXIT = f"""
UPDATE exit_events AS stored
SET status = $2, reason = COALESCE($3, reason), executed_at = CASE WHEN $2 = 'executed'
    THEN {NOW_TEXT} ELSE executed_at END
WHERE id = $1 {allowed(EXIT_EVENTS, "$2")} RETURNING {_EXIT}
"""


class PositionRepository(BaseRepository[Position]):
    """Positions.

    One is closed or resolved once. Value and P&L are those of shares that are held, marked to
    market as is usual in accounting: value is size times price, P&L is value less `entry_cost`;
    `side` is not looked at. Newest and oldest are by `entry_timestamp`.
    """

    table: ClassVar = POSITIONS

    async def get_open(self) -> list[Position]:
        """Return the open positions, oldest first."""
        return await self._list(_OLDEST, where="status = 'open'")

    async def get_by_status(self, status: str, limit: int = 100) -> list[Position]:
        """Return the positions of a status, newest first."""
        return await self._list(_NEWEST, limit, status=status)

    async def get_by_token(self, token_id: str) -> list[Position]:
        """Return the token's positions, newest first."""
        return await self._list(_NEWEST, token_id=token_id)

    async def get_open_by_token(self, token_id: str) -> list[Position]:
        """Return the token's open positions, oldest first."""
        return await self._list(_OLDEST, where="status = 'open'", token_id=token_id)

    async def update_price(self, position_id: int, current_price: Number) -> Position | None:
        """Set an open position's price (0..1), and with it its value and unrealized P&L.

        Returns:
            The stored row, or None where no position of this id is open.

        Raises:
            InvalidInput: a value does not fit; names it.
        """
        values = self._checked(id=position_id, current_price=current_price)
        with in_range("current_price", current_price):
            return await self._one(_UPDATE_PRICE, *values)

    async def close(
        self,
        position_id: int,
        exit_price: Number,
        exit_order_id: str | None = None,
        realized_pnl: Number | None = None,
    ) -> Position | None:
        """Close an open position, once.

        Args:
            position_id: its id.
            exit_price: at which its shares were sold, 0..1; it becomes `current_price`.
            exit_order_id: the order that sold them.
            realized_pnl: the P&L where it is known better, after fees for example; size times
                `exit_price`, less `entry_cost`, otherwise.

        Returns:
            The stored row, or None where no position of this id is open: then nothing changed.

        Raises:
            InvalidInput: a value does not fit; names it.
        """
        values = [
            *self._checked(id=position_id),
            self._like("current_price", exit_price=exit_price),
            *self._optional(exit_order_id=exit_order_id, realized_pnl=realized_pnl),
        ]
        with in_range("exit_price", exit_price):
            return await self._once(_CLOSE, *values)

    async def resolve(
        self, position_id: int, resolution: str, final_value: Number
    ) -> Position | None:
        """Resolve an open position, once: its market has an outcome.

        Args:
            position_id: its id.
            resolution: the outcome in the bot's words.
            final_value: what is paid out in all, from 0 to `size`; the P&L is that less
                `entry_cost`.

        Returns:
            The stored row, or None where no position of this id is open: then nothing changed.

        Raises:
            InvalidInput: a value does not fit, or `final_value` is more than `size`; names it.
        """
        number, text = self._checked(id=position_id, resolution=resolution)
        value = self._like("size", final_value=final_value)
        with in_range("final_value", final_value):
            if resolved := await self._once(_RESOLVE, number, text, value):
                return resolved
        position = await self.get_by_id(number)
        if position is not None and position.status == "open" and as_real(value) > position.size:
            raise InvalidInput(
                "final_value", final_value, f"expected at most the size of {position.size} shares"
            )
        return None

    async def get_total_exposure(self) -> Decimal:
        """Return the sum of `entry_cost` of the open positions, in the exchange's currency."""
        return plain_decimal(await self._db.fetchval(_EXPOSURE, repeatable=True))


class ExitEventRepository(BaseRepository[ExitEvent]):
    """Attempts to leave a position. One that was executed or has failed stays so.

    Oldest is by `created_at`.
    """

    table: ClassVar = EXIT_EVENTS

    async def get_pending(self) -> list[ExitEvent]:
        """Return the pending exits, oldest first."""
        return await self._list(_OLDEST_EXIT, where="status = 'pending'")

    async def get_by_position(self, position_id: int) -> list[ExitEvent]:
        """Return the position's exits, oldest first."""
        return await self._list(_OLDEST_EXIT, position_id=position_id)

    async def mark_executed(self, event_id: int) -> ExitEvent | None:
        """Set an exit to `executed`.

        Returns:
            The row as it is stored now, unchanged where it was executed or has failed; None where
            there is none.
        """
        return await self._move(_MARK_EXIT, *self._checked(id=event_id), "executed", None)

    async def mark_failed(self, event_id: int, reason: str) -> ExitEvent | None:
        """Set an exit to `failed`; see `mark_executed`."""
        number, text = self._checked(id=event_id, reason=reason)
        return await self._move(_MARK_EXIT, number, "failed", text)
