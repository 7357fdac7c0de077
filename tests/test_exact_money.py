"""Money comes back as it was written, and value and P&L of a position are exact.

What is expected is computed in fractions: the 4-byte float nearest to the exact result of the
shortest decimals of what is stored (`tests.reals`).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal
from fractions import Fraction
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from polymarket_bot.storage import (
    Database,
    ExitEventRepository,
    InvalidInput,
    Position,
    PositionRepository,
)
from polymarket_bot.storage.tables import EXIT_EVENTS, POSITIONS
from tests.profiles import SHARED_DATABASE, Session
from tests.reals import kept, nearest_real
from tests.strategies import long_decimals, reals, row, short_decimals

NUMBERS = count(1)

# Nothing so small that the product of two is no REAL.
SIZES = st.just(Decimal(0)) | reals(2.0**-20, 2.0**40) | short_decimals(-6, 12).map(abs)
PRICES = st.just(Decimal(0)) | reals(2.0**-30, 1) | long_decimals(0, 1, 4) | long_decimals(0, 1, 12)
LONG = long_decimals(-(10**9), 10**9)
SHARES = st.floats(2.0**-60, 1.25) | st.sampled_from((0, 1, 1.00000001, 1.0000001, 0.9999999))
COSTS = reals(-(2.0**40), 2.0**40) | short_decimals(-6, 12)
SPELLED: SearchStrategy[Callable[[Decimal], Any]] = st.sampled_from((Decimal, str, float))


def is_plain(value: Decimal) -> bool:
    """Tell whether a decimal is written without exponent, as far as Python lets it."""
    small = value != 0 and abs(value) < Decimal("0.000001")  # Python writes 1E-7 whatever one does
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent <= 0 and (small or "E" not in str(value))


# From 2**26 on, a decimal of few digits can lie in the middle of two floats: 67108900, 9e9.
IN_RANGE = short_decimals(-37, 7).filter(lambda value: abs(value) < 2**26)
SHORT = st.lists(
    st.tuples(short_decimals(-37, 0).map(abs), IN_RANGE.map(abs), IN_RANGE, SPELLED),
    min_size=1,
    max_size=20,
)


@SHARED_DATABASE
@given(SHORT)
def test_every_value_of_up_to_six_digits_comes_back_equal_and_plain(
    on_database: Session, values: list[tuple[Decimal, Decimal, Decimal, Any]]
) -> None:
    exits = ExitEventRepository(on_database.db)
    number = next(NUMBERS)
    written = [
        row(
            EXIT_EVENTS,
            number,
            entry_price=spelled(min(price, Decimal(1))),
            size=spelled(size),
            net_pnl=spelled(money),
            hours_held=spelled(money),
        )
        for price, size, money, spelled in values
    ]

    async def store() -> list[Any]:
        await exits.create_many(written)
        return await exits.get_by_position(number)

    found = on_database.run(store())
    for (price, size, money, _), model in zip(values, found, strict=True):
        assert (model.size, model.net_pnl, model.hours_held) == (size, money, float(money))
        assert model.entry_price == min(price, Decimal(1))
        assert all(map(is_plain, (model.entry_price, model.size, model.net_pnl)))


@SHARED_DATABASE
@given(
    st.lists(st.tuples(long_decimals(0, 1), COSTS | long_decimals(-(10**9), 10**9)), max_size=20)
)
def test_every_other_value_comes_back_as_the_shortest_decimal_of_the_nearest_real(
    on_database: Session, values: list[tuple[Decimal, Decimal]]
) -> None:
    exits = ExitEventRepository(on_database.db)
    number = next(NUMBERS)
    storable = [v for v in values if all(not part or nearest_real(part) for part in v)]
    written = [row(EXIT_EVENTS, number, exit_price=p, gross_pnl=m) for p, m in storable]

    async def store() -> list[Any]:
        await exits.create_many(written)
        return await exits.get_by_position(number)

    found = on_database.run(store())
    assert [(model.exit_price, model.gross_pnl) for model in found] == [
        (kept(price), kept(money)) for price, money in storable
    ]
    assert all(is_plain(model.gross_pnl) for model in found)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("0.95", "0.95"),
        ("1e6", "1000000"),
        ("1.5E+7", "15000000"),
        ("0", "0"),
        ("123456", "123456"),
        ("1234567.9", "1234567.9"),
        ("0.000001", "0.000001"),
        ("3.4028235e38", "340282350000000000000000000000000000000"),
    ],
)
async def test_a_value_reads_as_a_human_would_write_it(
    db: Database, written: str, text: str
) -> None:
    exits = ExitEventRepository(db)
    stored = await exits.create(row(EXIT_EVENTS, 1, size=written, net_pnl=f"-{written}"))
    assert str(stored.size) == text
    assert str(stored.net_pnl).removeprefix("-") == text


async def bought(db: Database, size: Any, cost: Any) -> int:
    """Store an open position and return its id."""
    token = f"token {next(NUMBERS)}"
    position = row(POSITIONS, 1, token_id=token, size=size, entry_cost=cost, status="open")
    stored = await PositionRepository(db).create(position)
    assert stored.id is not None
    return stored.id


def value_and_profit(size: Decimal, price: Decimal, cost: Decimal) -> tuple[Decimal, Decimal]:
    """Return what shares are worth at a price and what that is above their cost, as REALs."""
    value = Fraction(kept(size)) * Fraction(kept(price))
    return kept(value), kept(value - Fraction(kept(cost)))


@SHARED_DATABASE
@given(size=SIZES, price=PRICES, cost=COSTS)
def test_value_and_unrealized_profit_at_a_price_are_exact(
    on_database: Session, size: Decimal, price: Decimal, cost: Decimal
) -> None:
    db = on_database.db

    async def update() -> Position | None:
        return await PositionRepository(db).update_price(await bought(db, size, cost), price)

    found = on_database.run(update())
    assert found is not None
    assert found.current_price == kept(price)
    assert (found.current_value, found.unrealized_pnl) == value_and_profit(size, price, cost)
    assert is_plain(found.current_value or Decimal(0))


@SHARED_DATABASE
@given(size=SIZES, price=PRICES, cost=COSTS, told=st.none() | COSTS)
def test_the_profit_of_a_closed_position_is_exact(
    on_database: Session, size: Decimal, price: Decimal, cost: Decimal, told: Decimal | None
) -> None:
    db = on_database.db

    async def close() -> Position | None:
        number = await bought(db, size, cost)
        return await PositionRepository(db).close(number, price, realized_pnl=told)

    found = on_database.run(close())
    assert found is not None
    value, profit = value_and_profit(size, price, cost)
    assert (found.current_price, found.current_value) == (kept(price), value)
    assert found.realized_pnl == (profit if told is None else kept(told))
    assert found.unrealized_pnl == 0


@SHARED_DATABASE
@given(size=SIZES, share=SHARES, cost=COSTS)
def test_the_profit_of_a_resolved_position_is_what_is_paid_less_its_cost(
    on_database: Session, size: Decimal, share: float, cost: Decimal
) -> None:
    db = on_database.db
    paid = Context(prec=15).multiply(size, Decimal(str(share)))
    positions = PositionRepository(db)

    async def resolve() -> tuple[Position | None, Position | None, InvalidInput | None]:
        number = await bought(db, size, cost)
        before = await positions.get_by_id(number)
        try:
            return before, await positions.resolve(number, "YES", paid), None
        except InvalidInput as error:
            return before, await positions.get_by_id(number), error

    before, after, refused = on_database.run(resolve())
    assert before is not None
    assert after is not None
    if nearest_real(paid) > nearest_real(size):
        assert refused is not None
        assert refused.field == "final_value"
        assert after == before
    else:
        assert refused is None
        assert after.current_value == kept(paid)
        assert after.realized_pnl == kept(Fraction(kept(paid)) - Fraction(kept(cost)))
        assert (after.unrealized_pnl, after.status) == (Decimal(0), "resolved")


async def test_a_hundred_shares_from_75_to_85_cents_make_ten(db: Database) -> None:
    positions = PositionRepository(db)
    kept_open = await positions.update_price(await bought(db, 100, 75), "0.85")
    closed = await positions.close(await bought(db, 100, 75), "0.85")
    resolved = await positions.resolve(await bought(db, 100, 75), "YES", 85)
    assert kept_open is not None
    assert closed is not None
    assert resolved is not None
    assert str(kept_open.unrealized_pnl) == str(closed.realized_pnl) == "10"
    assert str(resolved.realized_pnl) == "10"
    assert str(kept_open.current_value) == str(closed.current_value) == "85"


@pytest.mark.parametrize("too_much", ["100.00001", 101, "1e38", 100.5])
async def test_a_payout_of_more_than_the_size_is_refused_and_changes_nothing(
    db: Database, too_much: Any
) -> None:
    positions = PositionRepository(db)
    number = await bought(db, 100, 75)
    before = await positions.get_by_id(number)
    with pytest.raises(InvalidInput, match="final_value: expected at most the size of 100 shares"):
        await positions.resolve(number, "YES", too_much)
    assert await positions.get_by_id(number) == before
    assert (await positions.resolve(number, "YES", 100)) is not None


@pytest.mark.parametrize("wrong", ["nan", float("inf"), "-1", True, 1e39, "1e-50", "x", None])
async def test_a_payout_that_is_no_sum_is_refused_and_changes_nothing(
    db: Database, wrong: Any
) -> None:
    positions = PositionRepository(db)
    number = await bought(db, 100, 75)
    before = await positions.get_by_id(number)
    with pytest.raises(InvalidInput, match="final_value"):
        await positions.resolve(number, "YES", wrong)
    for refused in (positions.update_price, positions.close):
        with pytest.raises(InvalidInput, match="price"):
            await refused(number, wrong)
    assert await positions.get_by_id(number) == before
