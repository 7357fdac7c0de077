"""Profit and loss by day: replaced by one, added to by many, listed by the day in UTC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from polymarket_bot.storage import DailyPnl, DailyPnlRepository, Database, InvalidInput
from tests.places import PLACES, opened_in
from tests.refusals import Calls, assert_all_refused
from tests.small_rows import store

DAY = "2025-10-09"


@pytest.fixture
def pnl(db: Database) -> DailyPnlRepository:
    return DailyPnlRepository(db)


async def today(db: Database) -> date:
    day: date = await db.fetchval("SELECT (now() AT TIME ZONE 'UTC')::date")
    return day


def figures(row: DailyPnl) -> str:
    """Realized, unrealized and total."""
    return f"{row.realized_pnl} {row.unrealized_pnl} {row.total_pnl}"


def numbers(row: DailyPnl) -> list[int | None]:
    """Trades, wins and losses."""
    return [row.num_trades, row.num_wins, row.num_losses]


async def test_a_day_begins_with_zeros(pnl: DailyPnlRepository) -> None:
    row = await pnl.get_or_create(DAY)
    assert (row.date, figures(row), numbers(row)) == (DAY, "0 0 0", [0, 0, 0])
    await pnl.add(DAY, realized="1.5")
    again = await pnl.get_or_create(date(2025, 10, 9))
    assert figures(again) == "1.5 0 1.5"
    assert await pnl.count() == 1


@pytest.mark.parametrize("given", [DAY, date(2025, 10, 9), "20251009", " 2025-10-09 "], ids=repr)
async def test_a_day_is_the_same_in_every_spelling(pnl: DailyPnlRepository, given: Any) -> None:
    await pnl.update(DAY, 1, 2, 3, 4, 5)
    row = await pnl.get_or_create(given)
    assert (row.date, numbers(row)) == (DAY, [3, 4, 5])
    assert await pnl.get_by_id(given) == row


async def test_update_replaces_the_day(pnl: DailyPnlRepository) -> None:
    first = await pnl.update(DAY, "10.1", "-0.2", 3, 2, 1)
    assert (figures(first), numbers(first)) == ("10.1 -0.2 9.9", [3, 2, 1])
    second = await pnl.update(DAY, -5, 0, 1, 0, 1)
    assert (figures(second), numbers(second)) == ("-5 0 -5", [1, 0, 1])
    assert second.updated_at is not None
    assert first.updated_at is not None
    assert second.updated_at > first.updated_at
    assert await pnl.get_all() == [second]


async def test_add_adds_to_what_is_there(pnl: DailyPnlRepository) -> None:
    first = await pnl.add(DAY, realized="0.1", trades=1, wins=1)
    assert (figures(first), numbers(first)) == ("0.1 0 0.1", [1, 1, 0])
    await pnl.update(DAY, "0.1", 5, 1, 1, 0)
    second = await pnl.add(DAY, realized="-0.3", trades=2, losses=2)
    assert figures(second) == "-0.2 5 4.8"
    assert numbers(second) == [3, 1, 2]
    assert figures(await pnl.add(DAY)) == figures(second)


async def test_add_counts_what_is_missing_as_zero(db: Database, pnl: DailyPnlRepository) -> None:
    nothing = dict.fromkeys(("realized_pnl", "unrealized_pnl", "total_pnl", "num_trades"))
    await store(db, "daily_pnl", date=DAY, num_wins=None, num_losses=None, **nothing)
    row = await pnl.add(DAY, realized="2.5", trades=1, wins=1)
    assert (row.realized_pnl, row.total_pnl) == (Decimal("2.5"), Decimal("2.5"))
    assert numbers(row) == [1, 1, 0]


async def test_concurrent_bookers_lose_nothing(pnl: DailyPnlRepository) -> None:
    async def book(number: int) -> None:
        await pnl.add(DAY, realized="0.25", trades=1, wins=number % 2, losses=1 - number % 2)

    await asyncio.gather(*map(book, range(100)))
    row = await pnl.get_or_create(DAY)
    assert (figures(row), numbers(row)) == ("25 0 25", [100, 50, 50])


@pytest.fixture(params=PLACES, ids=lambda place: place.name)
async def anywhere(request: pytest.FixtureRequest, db_url: str) -> AsyncIterator[Database]:
    async with opened_in(request.param, db_url) as database:
        yield database


async def test_recent_days_end_with_today_in_utc(anywhere: Database) -> None:
    pnl = DailyPnlRepository(anywhere)
    last = await today(anywhere)
    for ago in (3, 0, 31, 1, 29, 30):
        await pnl.add(last - timedelta(days=ago), trades=1)

    async def days_ago(*arguments: int) -> list[int]:
        return [
            (last - date.fromisoformat(row.date)).days for row in await pnl.get_recent(*arguments)
        ]

    assert await days_ago(1) == [0]
    assert await days_ago(2) == [0, 1]
    assert await days_ago() == [0, 1, 3, 29]
    assert await days_ago(31) == [0, 1, 3, 29, 30]
    assert await days_ago(10**12) == [0, 1, 3, 29, 30, 31]
    assert await days_ago(0) == []


async def test_a_day_without_a_booking_has_no_row(db: Database, pnl: DailyPnlRepository) -> None:
    assert await pnl.get_recent() == []
    assert await pnl.get_by_id(DAY) is None
    assert await pnl.get_total_realized() == Decimal(0)
    await pnl.add(await today(db) - timedelta(days=40), realized=1)
    assert await pnl.get_recent() == []


async def test_the_total_is_of_all_days(db: Database, pnl: DailyPnlRepository) -> None:
    for day, realized in (("2024-02-29", "0.1"), (DAY, "1000000"), ("2025-10-10", "-0.3")):
        await pnl.update(day, realized, 99, 0, 0, 0)
    await store(db, "daily_pnl", date="2025-10-11", realized_pnl=None)
    assert await pnl.get_total_realized() == Decimal("999999.8")


WRONG_DAYS = [
    None,
    "",
    "today",
    "2025-13-01",
    "2025-02-29",
    20251009,
    True,
    "2025-10-09T12:00:00",
    datetime(2025, 10, 9, tzinfo=UTC),
]
CALLS: Calls = [
    ("date", lambda p, v: p.get_or_create(v), WRONG_DAYS),
    ("date", lambda p, v: p.update(v, 0, 0, 0, 0, 0), WRONG_DAYS),
    ("date", lambda p, v: p.add(v), WRONG_DAYS),
    ("realized_pnl", lambda p, v: p.update(DAY, v, 0, 0, 0, 0), [None, "x", "nan", True, 10**39]),
    ("unrealized_pnl", lambda p, v: p.update(DAY, 0, v, 0, 0, 0), [None, "x", float("inf")]),
    ("num_trades", lambda p, v: p.update(DAY, 0, 0, v, 0, 0), [None, 1.5, True, 2**31]),
    ("num_wins", lambda p, v: p.update(DAY, 0, 0, 0, v, 0), [None, "x"]),
    ("num_losses", lambda p, v: p.update(DAY, 0, 0, 0, 0, v), [None, "x"]),
    ("days", lambda p, v: p.get_recent(v), [None, -1, 1.5, True, "30"]),
]


async def test_a_wrong_argument_is_refused_by_name(pnl: DailyPnlRepository) -> None:
    await assert_all_refused(pnl, CALLS)
    assert await pnl.count() == 0


@pytest.mark.parametrize("argument", ["realized", "trades", "wins", "losses"])
async def test_a_wrong_booking_is_refused(pnl: DailyPnlRepository, argument: str) -> None:
    wrongs: list[Any] = [None, "x", float("nan"), True]
    for wrong in wrongs:
        with pytest.raises(InvalidInput, match=argument):
            await pnl.add(DAY, **{argument: wrong})
    assert await pnl.count() == 0
