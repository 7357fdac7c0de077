"""First triggers, kept apart by two keys, and their watermarks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import ClassVar

from polymarket_bot.storage.mapping.batch import Batch
from polymarket_bot.storage.mapping.statements import select, select_list
from polymarket_bot.storage.models.triggers import PolymarketFirstTrigger, TriggerWatermark
from polymarket_bot.storage.repositories.base import BaseRepository
from polymarket_bot.storage.repositories.trigger_claims import (
    ENTER,
    RELEASE,
    STANDING,
    Claim,
    lock,
    lock_batches,
    trigger_keys,
)
from polymarket_bot.storage.repositories.watermarks import WatermarkRepository
from polymarket_bot.storage.sql import seconds, since
from polymarket_bot.storage.tables import FIRST_TRIGGERS, TRIGGER_WATERMARKS
from polymarket_bot.storage.types import Threshold

_COLUMNS = select_list(FIRST_TRIGGERS)
_SECONDS = seconds("trigger_timestamp")

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
_NEWEST = "trigger_timestamp DESC, token_id, polymarket_first_triggers.threshold"
_RECENT = f"""
SELECT {_COLUMNS} FROM polymarket_first_triggers
WHERE {since("trigger_timestamp", "$1::bigint")} AND ($2::real IS NULL OR threshold = $2)
ORDER BY {_SECONDS} DESC, token_id, polymarket_first_triggers.threshold
"""
_SET_SCORE = f"""
UPDATE polymarket_first_triggers
SET model_score = $3, model_version = COALESCE($4, model_version)
WHERE token_id = $1 AND threshold = $2 RETURNING {_COLUMNS}
"""


class TriggerRepository(BaseRepository[PolymarketFirstTrigger]):
    """First triggers. A threshold is compared as the REAL that it is stored as.

    A threshold may be given as float, `Decimal` or text. `claim` and `create` let one trigger in
    for each token and threshold, and one for each condition and threshold; `update`, `upsert` and
    the batches, which carry data over, hold to the first key alone. Batches go one at a time: one
    that waits for longer than `lock_timeout` raises `LockTimeout`. Newest is by
    `trigger_timestamp`.
    """

    table: ClassVar = FIRST_TRIGGERS

    async def claim(self, trigger: PolymarketFirstTrigger) -> Claim:
        """Store a trigger where neither its token nor its condition has triggered at its threshold.

        Of all who claim at the same time, in any number of processes, one wins. Inside a
        transaction block the claim is part of it: until the block ends others wait for it, up to
        `lock_timeout`, and where it rolls back there was no claim. A missing or empty condition
        is not looked at.

        Raises:
            InvalidInput: `trigger` is no `PolymarketFirstTrigger`.
            FutureTime: `trigger_timestamp` lies in the future.
            TransactionError: inside a block that is not READ COMMITTED.
            LockTimeout: another one has held one of the keys for too long.
            ConnectionLost: with the outcome, not sent, rolled back or unknown; where it was
                committed, the claim is returned.
        """
        row, won = await self._claimed(trigger)
        if won:
            return Claim(won=True)
        return Claim(
            won=False,
            lost_by="token" if row.token_id == trigger.token_id else "condition",
            existing=row,
        )

    async def release(self, token_id: str, threshold: Threshold) -> bool:
        """Take a claim back, whoever's, as where the order failed; tell whether there was one.

        Raises:
            InvalidInput: an argument does not fit; names it.
            TransactionError: inside a block that is not READ COMMITTED.
            LockTimeout: another one has held one of its keys for too long.
        """
        token, real = self._checked(token_id=token_id, threshold=threshold)
        while row := await self._one(select(self.table, self.table.key), token, real, 1):
            # Each time in a transaction of its own: locks of two conditions would be in no order.
            release = partial(self._released, token, real, row.condition_id)
            if await self._db.atomically(release, isolation="read_committed"):
                return True
        return False

    async def _released(self, token_id: str, threshold: float, condition_id: str | None) -> bool:
        await lock(self._db, trigger_keys(token_id, condition_id, threshold))
        return bool(await self._db.fetch(RELEASE, token_id, threshold, condition_id))

    async def create(self, trigger: PolymarketFirstTrigger) -> PolymarketFirstTrigger:
        """Store a trigger as `claim` does, and return it, or the row that it lost to.

        A duplicate is left as it was.

        Raises:
            InvalidInput: `trigger` is no `PolymarketFirstTrigger`.
            FutureTime: `trigger_timestamp` lies in the future.
            TransactionError: inside a block that is not READ COMMITTED.
            LockTimeout: another one has held one of the keys for too long.
        """
        row, _ = await self._claimed(trigger)
        return row

    async def _claimed(
        self, trigger: PolymarketFirstTrigger
    ) -> tuple[PolymarketFirstTrigger, bool]:
        """Return the row that stands for the keys of `trigger`, and whether it is new."""
        values = dict(zip(self.table.written, self.table.values_of(trigger), strict=True))
        row = Batch(self.table, self.table.written, [list(values.values())])
        token, condition, threshold = (
            values[name] for name in ("token_id", "condition_id", "threshold")
        )
        with row.blaming():
            keys = trigger_keys(token, condition, self.table.sortable("threshold", threshold))

        async def enter() -> tuple[PolymarketFirstTrigger, bool]:
            await lock(self._db, keys)
            standing = partial(self._one, STANDING, token, condition, threshold)
            return await self._enter(ENTER, row, standing, repeatable=False)

        return await self._db.atomically(enter, isolation="read_committed")

    async def create_many(self, models: Iterable[PolymarketFirstTrigger]) -> int:
        """Store triggers, all or none; see `BaseRepository.create_many`."""
        return await self._alone(super().create_many, models)

    async def update_many(self, models: Iterable[PolymarketFirstTrigger]) -> int:
        """Replace triggers, all or none; see `BaseRepository.update_many`."""
        return await self._alone(super().update_many, models)

    async def upsert_many(self, models: Iterable[PolymarketFirstTrigger]) -> int:
        """Store or replace triggers; see `BaseRepository.upsert_many`."""
        return await self._alone(super().upsert_many, models)

    async def _alone(
        self,
        write: Callable[[Iterable[PolymarketFirstTrigger]], Awaitable[int]],
        models: Iterable[PolymarketFirstTrigger],
    ) -> int:
        batch = [*self.table.each(models)]

        async def store() -> int:
            await lock_batches(self._db)
            return await write(batch)

        return await self._db.atomically(store)

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
        return await self._list(_NEWEST, limit, token_id=token_id)

    async def get_by_condition(
        self, condition_id: str, limit: int = 100
    ) -> list[PolymarketFirstTrigger]:
        """Return the condition's triggers, newest first."""
        return await self._list(_NEWEST, limit, condition_id=condition_id)

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

    async def get_by_token_threshold(
        self, token_id: str, threshold: Threshold
    ) -> PolymarketFirstTrigger | None:
        """Return the token's trigger at `threshold`, or None."""
        return await self.get_by_id((token_id, threshold))

    async def set_score(
        self,
        token_id: str,
        threshold: Threshold,
        model_score: float,
        model_version: str | None = None,
    ) -> PolymarketFirstTrigger | None:
        """Store a model's score of a trigger and return the row, or None where there is none.

        `model_score` is a finite number. A `model_version` that is not given is left as it was.
        """
        return await self._one(
            _SET_SCORE,
            *self._checked(token_id=token_id, threshold=threshold, model_score=model_score),
            *self._optional(model_version=model_version),
        )


class TriggerWatermarkRepository(WatermarkRepository[TriggerWatermark, Threshold, int]):
    """How far the triggers of each threshold (float, `Decimal` or text) are processed."""

    table: ClassVar = TRIGGER_WATERMARKS

    async def get(self, threshold: Threshold) -> TriggerWatermark | None:
        """Return the threshold's watermark, or None."""
        return await self._get(threshold)

    async def get_timestamp(self, threshold: Threshold) -> int:
        """Return the threshold's watermark in Unix seconds, 0 when there is none."""
        return await self._get_mark(threshold) or 0

    async def update(self, threshold: Threshold, timestamp: int) -> TriggerWatermark:
        """Move the watermark up to `timestamp` (Unix seconds), never backwards; return the row.

        Raises:
            InvalidInput: an argument does not fit; names it.
            FutureTime: `timestamp` is more than `future_skew` ahead of the database's clock.
        """
        return await self._update(threshold, timestamp)

    async def reset(self, threshold: Threshold, timestamp: int, reason: str) -> TriggerWatermark:
        """Put the watermark to `timestamp` (Unix seconds), also backwards; the reason is logged.

        Raises:
            InvalidInput: an argument does not fit, or there is no reason; names it.
            FutureTime: `timestamp` is more than `future_skew` ahead of the database's clock.
        """
        return await self._reset(threshold, timestamp, reason)
