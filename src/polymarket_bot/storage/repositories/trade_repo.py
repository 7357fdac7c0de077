"""Trades."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import ClassVar

from polymarket_bot.storage.errors import InvalidInput
from polymarket_bot.storage.ingest import IngestReport, Refusal, Tally, TradeLike, batches
from polymarket_bot.storage.mapping.statements import select, select_list
from polymarket_bot.storage.models.trades import PolymarketTrade
from polymarket_bot.storage.repositories import arrivals
from polymarket_bot.storage.repositories.arguments import (
    clock_reading,
    function,
    positive_number,
    positive_seconds,
    seconds_from_zero,
    whole_number,
)
from polymarket_bot.storage.repositories.base import BaseRepository
from polymarket_bot.storage.repositories.intake import Intake
from polymarket_bot.storage.repositories.processing import Handler, ProcessReport, Work, process
from polymarket_bot.storage.repositories.trade_stream import newest, oldest, pages
from polymarket_bot.storage.repositories.trade_watermark_repo import TradeWatermarkRepository
from polymarket_bot.storage.sql import NOW, hidden, only
from polymarket_bot.storage.tables import TRADES

_ATTEMPTS = 3
_COLUMNS = select_list(TRADES)
_BY_KEY = select(TRADES, TRADES.key)

_RECENT = f"""
SELECT {_COLUMNS} FROM polymarket_trades
WHERE condition_id = {hidden("$1")}
  AND timestamp BETWEEN COALESCE($3::bigint, {NOW}) - $2::bigint AND COALESCE($3::bigint, {NOW})
ORDER BY timestamp DESC, trade_id DESC
"""
_LATEST = f"""
SELECT timestamp FROM polymarket_trades
WHERE {only("condition_id", "$1")} AND timestamp IS NOT NULL
ORDER BY condition_id DESC, timestamp DESC LIMIT 1
"""

__all__ = ["TradeRepository", "TradeWatermarkRepository"]


class TradeRepository(BaseRepository[PolymarketTrade]):
    """Trades as the exchange reported them.

    All that store trades raise `TransactionError` and `LockTimeout` where `ingest` does.
    """

    table: ClassVar = TRADES

    async def create(self, trade: PolymarketTrade) -> PolymarketTrade:
        """Store a trade and return the stored row; a duplicate is left as it was.

        Raises:
            InvalidInput: `trade` is no `PolymarketTrade`.
            FutureTime: its timestamp lies in the future.
        """
        row = dict(zip(self.table.written, self.table.values_of(trade), strict=True))
        key = [row[name] for name in self.table.key]  # as it is stored
        for _ in range(_ATTEMPTS):
            await arrivals.store(self._db, [trade])
            if stored := await self._one(_BY_KEY, *key, 1):
                return stored
        raise InvalidInput(self.table.name, trade, "expected a trade that is not deleted meanwhile")

    async def create_many(self, trades: Iterable[PolymarketTrade]) -> int:
        """Store trades, all or none, and return how many rows were really inserted.

        A trade that is there already, or stands earlier in `trades`, is left as it was.

        Raises:
            InvalidInput: one of them is no `PolymarketTrade`.
            FutureTime: the timestamp of one lies in the future.
        """
        return (await arrivals.store(self._db, self.table.each(trades))).stored

    async def upsert(self, model: PolymarketTrade) -> PolymarketTrade:
        """Store a trade, in the place of the one of its id; see `BaseRepository.upsert`."""
        return await arrivals.storing(self._db, [model], partial(super().upsert, model))

    async def upsert_many(self, models: Iterable[PolymarketTrade]) -> int:
        """Store or replace trades, all or none; see `BaseRepository.upsert_many`."""
        batch = [*self.table.each(models)]
        return await arrivals.storing(self._db, batch, partial(super().upsert_many, batch))

    async def get_by_condition(self, condition_id: str, limit: int = 100) -> list[PolymarketTrade]:
        """Return the condition's trades, newest first, those without a time last."""
        (condition,) = self._checked(condition_id=condition_id)
        return await self._newest({"condition_id": condition}, limit)

    async def get_recent(
        self,
        condition_id: str,
        max_age_seconds: float = 300,
        *,
        now: float | datetime | None = None,
    ) -> list[PolymarketTrade]:
        """Return the condition's fresh trades, newest first; none is later than the clock.

        Args:
            condition_id: the condition.
            max_age_seconds: how old a trade may be, inclusive; positive. Fractions are dropped,
                also of the clock.
            now: for backtests, the clock to measure by, in Unix seconds or as a datetime
                (naive is UTC). The database's clock otherwise, since workers' clocks differ.
        """
        return await self._many(
            _RECENT,
            self.table.check("condition_id", condition_id),
            positive_seconds("max_age_seconds", max_age_seconds),
            None if now is None else clock_reading("now", now),
        )

    async def get_latest_timestamp(self, condition_id: str) -> int | None:
        """Return the time of the condition's newest trade in Unix seconds, or None."""
        found: int | None = await self._db.fetchval(
            _LATEST, self.table.check("condition_id", condition_id), repeatable=True
        )
        return found

    async def get_since(
        self, condition_id: str, timestamp: int, limit: int = 1000
    ) -> list[PolymarketTrade]:
        """Return the condition's trades strictly after `timestamp` (Unix seconds), oldest first.

        A second is never split: where the last one has more trades than `limit` leaves room
        for, they are all there, so that a watermark can be moved to the last trade's time.
        """
        return await self._many(
            oldest(),
            self.table.check("condition_id", condition_id),
            self.table.check("timestamp", timestamp),
            whole_number("limit", limit),
        )

    async def get_by_token(
        self,
        token_id: str,
        *,
        start: int | None = None,
        end: int | None = None,
        limit: int = 1000,
    ) -> list[PolymarketTrade]:
        """Return the token's trades, newest first, those without a time last.

        Args:
            token_id: the token.
            start: only trades from this time on, in Unix seconds; none without a time.
            end: only trades before this time, in Unix seconds; none without a time.
            limit: how many at most.
        """
        values = (*self._checked(token_id=token_id), *self._range(start, end))
        return await self._newest(_given(("token_id", "start", "end"), values), limit)

    async def _newest(self, given: Mapping[str, object], limit: object) -> list[PolymarketTrade]:
        query = newest(tuple(given))
        return await self._many(query, *given.values(), whole_number("limit", limit))

    def stream(
        self,
        condition_id: str | None = None,
        *,
        token_id: str | None = None,
        start: int | None = None,
        end: int | None = None,
        batch_size: int = 2000,
    ) -> AsyncIterator[PolymarketTrade]:
        """Iterate over trades, oldest first, those without a time last.

        However many there are, no more than one batch is in memory. Each batch is read by a
        statement of its own: a trade that is stored meanwhile behind the place that the
        iteration has reached is not seen.

        Args:
            condition_id: only trades of this condition.
            token_id: only trades of this token.
            start: only trades from this time on, in Unix seconds; none without a time.
            end: only trades before this time, in Unix seconds; none without a time.
            batch_size: how many rows are read at a time, from 1.

        Raises:
            InvalidInput: an argument does not fit; at the call, not at the first trade.
        """
        size = positive_number("batch_size", batch_size)
        names = ("condition_id", "token_id", "start", "end")
        values = (
            *self._optional(condition_id=condition_id, token_id=token_id),
            *self._range(start, end),
        )
        return self._stream(_given(names, values), size)

    async def _stream(
        self, given: Mapping[str, object], batch_size: int
    ) -> AsyncIterator[PolymarketTrade]:
        async for page in pages(self._db, given, batch_size):
            for record in page:
                yield self._model(record)

    def _range(self, start: object, end: object) -> tuple[int | None, int | None]:
        check = partial(self.table.check, "timestamp", optional=True)
        return check(start, name="start"), check(end, name="end")

    async def ingest(
        self,
        trades: Iterable[TradeLike] | AsyncIterable[TradeLike],
        *,
        not_before: int | None = None,
        on_refusal: Callable[[Refusal], None] | None = None,
        batch_size: int = 2000,
    ) -> IngestReport:
        """Store the trades among what an exchange sent, in batches, and count what became of it.

        The same trades ingested again, in any order and by any number of workers, give the same
        rows. One bad record does not cost the good ones. Each batch is a transaction of its own;
        inside a block, a savepoint of it. What an error or a cancellation leaves behind is whole
        batches, and repeating is safe.

        Args:
            trades: models, payload dicts or JSON texts; any iterable, also an async one.
            not_before: skip trades earlier than this, in Unix seconds, so that an overlap with
                rows that another layer stored under its own ids is not stored twice.
            on_refusal: called with each refused record; what it raises ends the ingest.
            batch_size: how many records are taken at a time, from 1.

        Raises:
            InvalidInput: an argument does not fit; a record is never refused so.
            TransactionError: inside a block that is not READ COMMITTED, if schema `ops` is there.
            LockTimeout: processing has held the condition of a trade for too long.
        """
        not_before = self.table.check("timestamp", not_before, optional=True)
        size = positive_number("batch_size", batch_size)
        tally = Tally(not_before=not_before, on_refusal=on_refusal)
        async with Intake(self._db, tally) as intake:
            async for batch in batches(trades, size):
                await intake.take(batch)
        return tally.report()

    async def process_new(
        self,
        condition_id: str,
        handler: Handler,
        *,
        on_late: Handler | None = None,
        limit: int = 1000,
        settle_seconds: float = 2,
        now: float | datetime | None = None,
    ) -> ProcessReport:
        """Hand a condition's new trades to `handler`, once, and move its watermark behind them.

        What the handler writes through the repositories commits together with the watermark's
        move, or neither does: where it raises, or its process dies, the trades are handed over
        again. One worker at a time has a condition. A slow handler does not hold up ingest, but
        one that runs no statement for `idle_in_transaction_timeout` is cancelled.

        Trades that arrived at or behind the watermark come first, in a call of their own, also
        once. Call it again until it has handed over nothing. Trades without a time are never new.

        Args:
            condition_id: the condition.
            handler: an async function of a list of trades, ordered by (timestamp, trade_id); not
                called without any. It is called anew where its transaction was rolled back.
            on_late: the same for late trades; `handler` where it is not given.
            limit: how many new trades, from 1; more where the last one's second has more, since
                none is split. Of late ones, how many at most.
            settle_seconds: a trade waits until it is this old, since others of its second may
                still arrive in time.
            now: for backtests, the clock to measure by, in Unix seconds or as a datetime (naive
                is UTC). The database's clock otherwise.

        Returns:
            What was handed over; `busy` where another worker has the condition, and none was.

        Raises:
            InvalidInput: an argument does not fit; names it.
            TransactionError: the handler calls it for its own condition in its transaction, or
                it is called inside a block that is not READ COMMITTED.
            IdleTransactionTimeout: the handler has let the transaction idle for too long.
            LockTimeout: an ingest of the condition did not end in time.
            SchemaMissing: schema `ops` is missing; `polymarket-storage migrate` makes it.
        """
        work = Work(
            self.table.check("condition_id", condition_id),
            function("handler", handler),
            handler if on_late is None else function("on_late", on_late),
            positive_number("limit", limit),
            seconds_from_zero("settle_seconds", settle_seconds),
            None if now is None else clock_reading("now", now),
        )
        return await process(self._db, work)


def _given(names: Iterable[str], values: Iterable[object]) -> dict[str, object]:
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}
