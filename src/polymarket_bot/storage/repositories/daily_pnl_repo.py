"""Profit and loss by calendar day."""

from __future__ import annotations

from datetime import date as Date  # noqa: N812 - `date` is an argument's name
from decimal import Decimal
from typing import ClassVar

from polymarket_bot.storage.errors import InvalidInput
from polymarket_bot.storage.mapping.statements import select_list
from polymarket_bot.storage.models.positions import DailyPnl
from polymarket_bot.storage.repositories.arguments import in_range, whole_number
from polymarket_bot.storage.repositories.base import BaseRepository
from polymarket_bot.storage.sql import NOW_TEXT, TODAY, exact
from polymarket_bot.storage.tables import DAILY_PNL
from polymarket_bot.storage.types import Number, plain_decimal

_DAY = select_list(DAILY_PNL)
_MOST_DAYS = 700_000  # back to the second century

_TOTAL = f"{exact('COALESCE($2::real, 0)')} + {exact('COALESCE($3::real, 0)')}"
_UPDATE_DAY = f"""
INSERT INTO daily_pnl (date, realized_pnl, unrealized_pnl, total_pnl, num_trades, num_wins,
                       num_losses, updated_at)
VALUES ($1, $2, $3, {_TOTAL}, $4, $5, $6, {NOW_TEXT})
ON CONFLICT (date) DO UPDATE
SET realized_pnl = EXCLUDED.realized_pnl, unrealized_pnl = EXCLUDED.unrealized_pnl,
    total_pnl = EXCLUDED.total_pnl, num_trades = EXCLUDED.num_trades,
    num_wins = EXCLUDED.num_wins, num_losses = EXCLUDED.num_losses,
    updated_at = EXCLUDED.updated_at
RETURNING {_DAY}
"""
_REALIZED = f"{exact('COALESCE(stored.realized_pnl, 0)')} + {exact('$2::real')}"
_ADD = f"""
INSERT INTO daily_pnl AS stored (date, realized_pnl, total_pnl, num_trades, num_wins, num_losses,
                                 updated_at)
VALUES ($1, $2, $2, $3, $4, $5, {NOW_TEXT})
ON CONFLICT (date) DO UPDATE
SET realized_pnl = {_REALIZED},
    total_pnl = {exact(f"({_REALIZED})::real")}
                + {exact("COALESCE(stored.unrealized_pnl, 0)")},
    num_trades = COALESCE(stored.num_trades, 0) + $3,
    num_wins = COALESCE(stored.num_wins, 0) + $4,
    num_losses = COALESCE(stored.num_losses, 0) + $5,
    updated_at = EXCLUDED.updated_at
RETURNING {_DAY}
"""
_RECENT_DAYS = f"""
SELECT {_DAY} FROM daily_pnl
WHERE date > to_char({TODAY} - $1::integer, 'YYYY-MM-DD') ORDER BY date DESC
"""
_TOTAL_REALIZED = f"SELECT COALESCE(sum({exact('realized_pnl')}), 0)::text FROM daily_pnl"


class DailyPnlRepository(BaseRepository[DailyPnl]):
    """Profit and loss by calendar day: `update` replaces, `add` adds.

    A day is a `date` or an ISO 8601 text.
    """

    table: ClassVar = DAILY_PNL

    async def get_or_create(self, date: Date | str) -> DailyPnl:
        """Return the day's row, which is created with zeros where it is missing."""
        return await self._create(self.table.build(date=date), keep=True)

    async def update(  # type: ignore[override]  # the name that bots call
        self,
        date: Date | str,
        realized_pnl: Number,
        unrealized_pnl: Number,
        num_trades: int,
        num_wins: int,
        num_losses: int,
    ) -> DailyPnl:
        """Replace the day's figures and return the row.

        Args:
            date: the day.
            realized_pnl: in the exchange's currency.
            unrealized_pnl: likewise; `total_pnl` becomes the sum of the two.
            num_trades: how many trades.
            num_wins: how many of them were won.
            num_losses: how many of them were lost.

        Raises:
            InvalidInput: a value does not fit; names it.
        """
        values = self._checked(
            date=date,
            realized_pnl=realized_pnl,
            unrealized_pnl=unrealized_pnl,
            num_trades=num_trades,
            num_wins=num_wins,
            num_losses=num_losses,
        )
        with in_range("unrealized_pnl", unrealized_pnl):
            return self._there(await self._one(_UPDATE_DAY, *values))

    async def add(
        self,
        date: Date | str,
        *,
        realized: Number = 0,
        trades: int = 0,
        wins: int = 0,
        losses: int = 0,
    ) -> DailyPnl:
        """Add to the day's figures and return the row; any number of bookers may at once.

        A REAL keeps about seven digits: a booking that is smaller than the last of them is lost.

        Args:
            date: the day.
            realized: what to add to `realized_pnl`, in the exchange's currency.
            trades: what to add to `num_trades`.
            wins: what to add to `num_wins`.
            losses: what to add to `num_losses`.

        Raises:
            InvalidInput: a value does not fit, or the sum does not; names its column.
        """
        counts = {"num_trades": trades, "num_wins": wins, "num_losses": losses}
        values = self._checked(date=date, realized_pnl=realized, **counts)
        try:
            with in_range("realized_pnl", realized):
                return self._there(await self._once(_ADD, *values))
        except InvalidInput:
            day = await self.get_by_id(date)
            for name, booked in zip(counts, values[2:], strict=True):
                self.table.check(name, (getattr(day, name, None) or 0) + booked)
            raise

    async def get_recent(self, days: int = 30) -> list[DailyPnl]:
        """Return the last `days` calendar days (UTC) that have a row, newest first.

        Today by the database's clock is the last of them; a day that is ahead of it is there, too.
        """
        return await self._many(_RECENT_DAYS, min(whole_number("days", days), _MOST_DAYS))

    async def get_total_realized(self) -> Decimal:
        """Return the sum of `realized_pnl` over all days, in the exchange's currency."""
        return plain_decimal(await self._db.fetchval(_TOTAL_REALIZED, repeatable=True))
