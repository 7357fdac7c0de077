"""From what an exchange sends to trades: sorted into good, other and refused, and counted."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from pydantic import ValidationError

from polymarket_bot.storage.errors import FutureTime, InvalidInput, InvalidRecord, OtherRecord
from polymarket_bot.storage.mapping.batch import in_future
from polymarket_bot.storage.models.trades import PolymarketTrade

TradeLike: TypeAlias = PolymarketTrade | Mapping[str, Any] | str | bytes
"""A trade, or an exchange's payload as dict or JSON text."""

_REFUSALS_KEPT = 100


class Refusal(NamedTuple):
    """A record that was not stored, and why.

    Attributes:
        position: its place in the feed, from 0.
        reason: why, in words.
        record: the record as it was given.
    """

    position: int
    reason: str
    record: object


@dataclass(frozen=True)
class IngestReport:
    """What became of the records: read = inserted + duplicates + skipped + refused.

    Attributes:
        read: records that were looked at.
        inserted: trades really stored.
        duplicates: trades that were there already, or stood earlier in the same feed.
        late: of the inserted ones, those at or behind their condition's watermark.
        skipped: well-formed records of another kind; with `not_before`, trades before it and models
            without a time.
        refused: what is no trade, or a bad one.
        refusals: the first 100 of the refused.
    """

    read: int = 0
    inserted: int = 0
    duplicates: int = 0
    late: int = 0
    skipped: int = 0
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list)

    def __add__(self, other: IngestReport) -> IngestReport:
        """Return the counts of both; positions stay those of each feed."""
        return IngestReport(
            read=self.read + other.read,
            inserted=self.inserted + other.inserted,
            duplicates=self.duplicates + other.duplicates,
            late=self.late + other.late,
            skipped=self.skipped + other.skipped,
            refused=self.refused + other.refused,
            refusals=(self.refusals + other.refusals)[:_REFUSALS_KEPT],
        )


@dataclass
class Tally:
    """Sorts records and counts them, one batch after another."""

    not_before: int | None = None
    on_refusal: Callable[[Refusal], None] | None = None
    read: int = 0
    inserted: int = 0
    late: int = 0
    skipped: int = 0
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.on_refusal is not None and not callable(self.on_refusal):
            raise InvalidInput("on_refusal", self.on_refusal, "expected a function of a refusal")

    def sort(self, records: Iterable[TradeLike]) -> list[tuple[int, TradeLike, PolymarketTrade]]:
        """Return the trades among `records`, each with its position and what it came from."""
        trades = []
        for record in records:
            position, self.read = self.read, self.read + 1
            try:
                trade = _trade(record)
            except OtherRecord:
                self.skipped += 1
            except InvalidRecord as error:
                self.refuse(Refusal(position, str(error), record))
            else:
                if self.not_before is not None and (trade.timestamp or 0) < self.not_before:
                    self.skipped += 1
                else:
                    trades.append((position, record, trade))
        return trades

    def refuse(self, refusal: Refusal) -> None:
        """Count a refusal, keep the first ones, and hand it on."""
        self.refused += 1
        if len(self.refusals) < _REFUSALS_KEPT:
            self.refusals.append(refusal)
        if self.on_refusal is not None:
            self.on_refusal(refusal)

    def timely(
        self, trades: Iterable[tuple[int, TradeLike, PolymarketTrade]], clock: int, skew: int
    ) -> list[PolymarketTrade]:
        """Return the trades that are not in the future by `clock`, and refuse the others."""
        kept = []
        for position, record, trade in trades:
            if (trade.timestamp or 0) <= clock + skew:
                kept.append(trade)
            else:
                error = FutureTime("timestamp", trade.timestamp, in_future(clock, skew))
                self.refuse(Refusal(position, str(error), record))
        return kept

    def report(self) -> IngestReport:
        """Return the counts so far."""
        return IngestReport(
            read=self.read,
            inserted=self.inserted,
            duplicates=self.read - self.inserted - self.skipped - self.refused,
            late=self.late,
            skipped=self.skipped,
            refused=self.refused,
            refusals=list(self.refusals),
        )


def _trade(record: TradeLike) -> PolymarketTrade:
    """Return the trade of a record; a model is validated again, so that it is refused alone."""
    if not isinstance(record, PolymarketTrade):
        return PolymarketTrade.from_api(record)
    try:
        return type(record).model_validate(vars(record))
    except ValidationError as error:
        raise InvalidRecord.of(error) from error


async def batches(
    records: Iterable[TradeLike] | AsyncIterable[TradeLike], size: int
) -> AsyncIterator[list[TradeLike]]:
    """Cut `records` into lists of at most `size`.

    Raises:
        InvalidInput: they are one record, or none at all.
    """
    one = isinstance(records, PolymarketTrade | Mapping | str | bytes)
    if one or not isinstance(records, Iterable | AsyncIterable):
        raise InvalidInput("trades", records, "expected an iterable of records")
    batch: list[TradeLike] = []
    async for record in _each(records):
        batch.append(record)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


async def _each(
    records: Iterable[TradeLike] | AsyncIterable[TradeLike],
) -> AsyncIterator[TradeLike]:
    if isinstance(records, AsyncIterable):
        async for record in records:
            yield record
    else:
        for record in records:
            yield record
