"""First triggers, kept apart by two keys, and their watermarks."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, TypeAlias

from polymarket_bot.storage.clock import MILLISECONDS_FROM
from polymarket_bot.storage.models.triggers import PolymarketFirstTrigger, TriggerWatermark
from polymarket_bot.storage.repositories.base import BaseRepository, whole_number
from polymarket_bot.storage.repositories.watermarks import WatermarkRepository
from polymarket_bot.storage.statements import select_list
from polymarket_bot.storage.table import Table

FIRST_TRIGGERS = Table(
    "polymarket_first_triggers", PolymarketFirstTrigger, key=("token_id", "threshold")
)
TRIGGER_WATERMARKS = Table("trigger_watermarks", TriggerWatermark, key=("threshold",))

Threshold: TypeAlias = float | Decimal | str

_COLUMNS = select_list(FIRST_TRIGGERS)
# Some older rows are in milliseconds.
_SECONDS = f"""
(CASE WHEN trigger_timestamp >= {MILLISECONDS_FROM} THEN trigger_timestamp / 1000
      ELSE trigger_timestamp END)
"""

# Two EXISTS rather than one OR: each can use an index of its own.
_SHOULD_TRIGGER = """
SELECT NOT EXISTS (
    SELECT 1 FROM polymarket_first_triggers WHERE token_id = $1 AND threshold = $3
) AND NOT EXISTS (
    SELECT 1 FROM polymarket_first_triggers
    WHERE condition_id = NULLIF($2, '') AND threshold = $3
)
"""
_HAS_TRIGGERED = """
SELECT EXISTS (
    SELECT 1 FROM polymarket_first_triggers WHERE token_id = $1 AND threshold = $2
)
"""
_HAS_CONDITION_TRIGGERED = """
SELECT EXISTS (
    SELECT 1 FROM polymarket_first_triggers
    WHERE condition_id = NULLIF($1, '') AND threshold = $2
)
"""
_BY_TOKEN = f"""
SELECT {_COLUMNS} FROM polymarket_first_triggers WHERE token_id = $1
ORDER BY trigger_timestamp DESC, threshold LIMIT $2
"""
_BY_CONDITION = f"""
SELECT {_COLUMNS} FROM polymarket_first_triggers WHERE condition_id = $1
ORDER BY trigger_timestamp DESC, token_id, threshold LIMIT $2
"""
_RECENT = f"""
SELECT {_COLUMNS} FROM polymarket_first_triggers
WHERE trigger_timestamp >= $1 AND {_SECONDS} >= $1 AND ($2::real IS NULL OR threshold = $2)
ORDER BY {_SECONDS} DESC, token_id, threshold
"""


class TriggerRepository(BaseRepository[PolymarketFirstTrigger]):
    """First triggers. A threshold is compared as the REAL that it is stored as.

    A threshold may be given as float, `Decimal` or text.
    """

    table: ClassVar = FIRST_TRIGGERS

    async def create(self, trigger: PolymarketFirstTrigger) -> PolymarketFirstTrigger:
        """Store a trigger and return the stored row; a duplicate is left as it was.

        Raises:
            InvalidInput: `trigger` is no `PolymarketFirstTrigger`.
            FutureTime: `trigger_timestamp` lies in the future.
        """
        return await self._create(trigger, keep=True)

    async def has_triggered(self, token_id: str, threshold: Threshold) -> bool:
        """Tell whether the token has triggered at `threshold`."""
        return bool(
            await self._db.fetchval(
                _HAS_TRIGGERED,
                self.table.check("token_id", token_id),
                self.table.check("threshold", threshold),
                repeatable=True,
            )
        )

    async def has_condition_triggered(self, condition_id: str | None, threshold: Threshold) -> bool:
        """Tell whether any token of the condition has triggered at `threshold`.

        An empty or missing condition has not.
        """
        return bool(
            await self._db.fetchval(
                _HAS_CONDITION_TRIGGERED,
                self.table.check("condition_id", condition_id, optional=True),
                self.table.check("threshold", threshold),
                repeatable=True,
            )
        )

    async def should_trigger(
        self, token_id: str, condition_id: str | None, threshold: Threshold
    ) -> bool:
        """Tell whether neither the token nor its condition has triggered at `threshold`.

        One round trip. It is an answer, not a claim: another worker may ask at the same time
        and be told the same. An empty or missing condition is not looked at.
        """
        return bool(
            await self._db.fetchval(
                _SHOULD_TRIGGER,
                self.table.check("token_id", token_id),
                self.table.check("condition_id", condition_id, optional=True),
                self.table.check("threshold", threshold),
                repeatable=True,
            )
        )

    async def get_by_token(self, token_id: str, limit: int = 100) -> list[PolymarketFirstTrigger]:
        """Return the token's triggers, newest first."""
        return await self._many(
            _BY_TOKEN, self.table.check("token_id", token_id), whole_number("limit", limit)
        )

    async def get_by_condition(
        self, condition_id: str, limit: int = 100
    ) -> list[PolymarketFirstTrigger]:
        """Return the condition's triggers, newest first."""
        return await self._many(
            _BY_CONDITION,
            self.table.check("condition_id", condition_id),
            whole_number("limit", limit),
        )

    async def get_recent(
        self, since_timestamp: int, threshold: Threshold | None = None
    ) -> list[PolymarketFirstTrigger]:
        """Return the triggers from `since_timestamp` (Unix seconds, inclusive) on, newest first.

        Args:
            since_timestamp: the earliest `trigger_timestamp`; inclusive, so that of several
                triggers in a watermark's second none is passed over.
            threshold: only those of this threshold.
        """
        return await self._many(
            _RECENT,
            self.table.check("trigger_timestamp", since_timestamp),
            None if threshold is None else self.table.check("threshold", threshold),
        )


class TriggerWatermarkRepository(WatermarkRepository[TriggerWatermark]):
    """How far the triggers of each threshold are processed."""

    table: ClassVar = TRIGGER_WATERMARKS

    async def get(self, threshold: Threshold) -> TriggerWatermark | None:
        """Return the threshold's watermark, or None."""
        return await self._get(threshold)

    async def get_timestamp(self, threshold: Threshold) -> int:
        """Return the threshold's watermark in Unix seconds, 0 when there is none."""
        return await self._get_timestamp(threshold)

    async def update(self, threshold: Threshold, timestamp: int) -> TriggerWatermark:
        """Move the watermark up to `timestamp`, never backwards, and return the stored row.

        Raises:
            InvalidInput: `timestamp` is no time in Unix seconds.
            FutureTime: `timestamp` lies in the future by the database's clock.
        """
        return await self._update(threshold, timestamp)
