"""The three kinds of watermarks behind one face."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from polymarket_bot.storage import (
    CandidateWatermarkRepository,
    Database,
    TradeWatermarkRepository,
    TriggerWatermarkRepository,
)
from tests.spellings import canonical


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@dataclass(frozen=True)
class Kind:
    """A kind of watermark.

    Attributes:
        name: of its table.
        open: its repository.
        column: what moves.
        key: the key of a number.
        given: a time in Unix seconds as callers give it.
        kept: a time in Unix seconds as it is stored.
        nothing: what is read where there is no watermark.
    """

    name: str
    open: Callable[[Database], Any]
    column: str
    key: Callable[[int], Any]
    given: Callable[[int], Any]
    kept: Callable[[int], Any]
    nothing: int | None

    async def read(self, db: Database, key: Any) -> Any:
        """Return the mark alone."""
        marks = self.open(db)
        read = marks.get_timestamp if self.nothing == 0 else marks.get_last_created_at
        return await read(key)

    async def update(self, db: Database, key: Any, seconds: int) -> Any:
        """Move one up and return the mark that is stored then."""
        row = await self.open(db).update(key, self.given(seconds))
        return getattr(row, self.column)

    async def update_many(self, db: Database, marks: dict[int, int]) -> int:
        """Move several up, given as numbers of keys and Unix seconds."""
        given = {self.key(number): self.given(seconds) for number, seconds in marks.items()}
        moved: int = await self.open(db).update_many(given)
        return moved

    async def all(self, db: Database) -> dict[Any, Any]:
        """Return every key's mark."""
        rows = await self.open(db).get_all(limit=100_000)
        return {next(iter(row.model_dump().values())): getattr(row, self.column) for row in rows}


TRADE = Kind(
    "trade_watermarks", TradeWatermarkRepository, "last_timestamp", "c{:05}".format, int, int, 0
)
TRIGGER = Kind(
    "trigger_watermarks",
    TriggerWatermarkRepository,
    "last_timestamp",
    lambda n: n / 8,
    int,
    int,
    0,
)
CANDIDATE = Kind(
    "candidate_watermarks",
    CandidateWatermarkRepository,
    "last_created_at",
    lambda n: n / 8,
    _moment,
    lambda seconds: canonical(_moment(seconds)),
    None,
)
KINDS = (TRADE, TRIGGER, CANDIDATE)
EVERY_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
"""Run a test for each of the three."""
