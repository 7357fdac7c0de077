"""Sums of money: exposure, the profit of days, and what many book at once."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import count
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from polymarket_bot.storage import DailyPnl, DailyPnlRepository, Database, PositionRepository
from polymarket_bot.storage.tables import POSITIONS
from tests.profiles import SHARED_DATABASE, Session
from tests.reals import kept
from tests.strategies import long_decimals, reals, row, short_decimals

DAY = "2025-10-09"
DAYS = count()
SUMS = reals(-(2.0**40), 2.0**40) | short_decimals(-6, 9) | long_decimals(-(10**6), 10**6, 12)
LISTS = st.lists(SUMS, max_size=12)
BOOKER = Path(__file__).with_name("booker.py")


def new_day() -> str:
    """Return a day that no other example has."""
    return str(date(1000, 1, 1) + timedelta(days=next(DAYS)))


def plus(*amounts: Decimal) -> Decimal:
    """Return the exact sum of what is stored, as it is stored itself."""
    return kept(sum(map(Fraction, map(kept, amounts)), Fraction(0)))


def exact_sum(amounts: list[Decimal]) -> Fraction:
    """Return the exact sum of what is stored of some amounts."""
    return sum(map(Fraction, map(kept, amounts)), Fraction(0))


def figures(day: DailyPnl) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    return day.realized_pnl, day.unrealized_pnl, day.total_pnl


@SHARED_DATABASE
@given(open_ones=LISTS, others=LISTS)
def test_exposure_is_the_exact_sum_of_what_the_open_positions_cost(
    on_database: Session, open_ones: list[Decimal], others: list[Decimal]
) -> None:
    positions = PositionRepository(on_database.db)
    costs = [(cost, "open") for cost in open_ones] + [(cost, "closed") for cost in others]

    async def exposure() -> Decimal:
        await on_database.db.execute("DELETE FROM positions")
        await positions.create_many(
            row(POSITIONS, number, entry_cost=cost, status=status)
            for number, (cost, status) in enumerate(costs, 1)
        )
        return await positions.get_total_exposure()

    total = on_database.run(exposure())
    assert total == exact_sum(open_ones)
    assert isinstance(total, Decimal)
    assert "E" not in f"{total}" or abs(total) < Decimal("0.000001")


@SHARED_DATABASE
@given(realized=SUMS, unrealized=SUMS)
def test_a_days_total_is_the_exact_sum_of_its_two_parts(
    on_database: Session, realized: Decimal, unrealized: Decimal
) -> None:
    pnl = DailyPnlRepository(on_database.db)
    day = on_database.run(pnl.update(new_day(), realized, unrealized, 0, 0, 0))
    assert figures(day) == (kept(realized), kept(unrealized), plus(realized, unrealized))


@SHARED_DATABASE
@given(bookings=st.lists(SUMS, min_size=1, max_size=12), start=st.none() | st.tuples(SUMS, SUMS))
def test_every_booking_is_added_exactly_to_what_the_day_holds(
    on_database: Session, bookings: list[Decimal], start: tuple[Decimal, Decimal] | None
) -> None:
    pnl = DailyPnlRepository(on_database.db)
    day = new_day()

    async def book() -> list[DailyPnl]:
        if start is not None:
            await pnl.update(day, *start, 0, 0, 0)
        return [await pnl.add(day, realized=amount, trades=1) for amount in bookings]

    realized, unrealized = start or (Decimal(0), Decimal(0))
    for number, (amount, found) in enumerate(
        zip(bookings, on_database.run(book()), strict=True), 1
    ):
        realized = plus(realized, amount)
        assert figures(found) == (realized, kept(unrealized), plus(realized, unrealized))
        assert found.num_trades == number


@SHARED_DATABASE
@given(LISTS)
def test_the_total_of_all_days_is_exact(on_database: Session, days: list[Decimal]) -> None:
    pnl = DailyPnlRepository(on_database.db)

    async def total() -> Decimal:
        await on_database.db.execute("DELETE FROM daily_pnl")
        await pnl.create_many(DailyPnl(date=new_day(), realized_pnl=amount) for amount in days)
        return await pnl.get_total_realized()

    assert on_database.run(total()) == exact_sum(days)


async def test_many_tasks_that_book_at_once_lose_nothing(db: Database) -> None:
    pnl = DailyPnlRepository(db)
    amounts = [Decimal(cents) / 100 for cents in range(-100, 201)]
    await pnl.update(DAY, "0.5", "0.25", 1, 1, 0)
    await asyncio.gather(
        *(
            pnl.add(DAY, realized=amount, trades=1, wins=int(amount > 0), losses=int(amount < 0))
            for amount in amounts
        )
    )
    found = await pnl.get_or_create(DAY)
    # -1.00 to 2.00 in cents: what is above 1.00 is left, 1.01 + … + 2.00 = 150.50.
    assert figures(found) == (Decimal(151), Decimal("0.25"), Decimal("151.25"))
    assert (found.num_trades, found.num_wins, found.num_losses) == (302, 201, 100)


async def test_bookings_in_transactions_that_roll_back_never_happened(db: Database) -> None:
    pnl = DailyPnlRepository(db)

    async def book(number: int) -> None:
        try:
            async with db.transaction():
                await pnl.add(DAY, realized="0.01", trades=1)
                if number % 2:
                    raise LookupError
        except LookupError:
            pass

    await asyncio.gather(*map(book, range(100)))
    found = await pnl.get_or_create(DAY)
    assert (found.realized_pnl, found.num_trades) == (Decimal("0.5"), 50)


async def start_booker(url: str, bookings: int) -> Process:
    """Start a process that books, and wait until it is ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(BOOKER), url, DAY, str(bookings), stdin=PIPE, stdout=PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def test_several_processes_that_book_at_once_lose_nothing(db: Database, db_url: str) -> None:
    processes = [await start_booker(db_url, 100) for _ in range(4)]
    await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    found = await DailyPnlRepository(db).get_or_create(DAY)
    assert figures(found) == (Decimal(4), Decimal(0), Decimal(4))
    assert (found.num_trades, found.num_wins, found.num_losses) == (400, 400, 0)
