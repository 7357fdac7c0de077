"""Numbers that a REAL column does not take, and those that it takes but cannot hold exactly."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import ValidationError

from polymarket_bot.storage import (
    Database,
    InvalidRecord,
    PolymarketTrade,
    ScoreHistory,
    ScoreHistoryRepository,
    Table,
)
from polymarket_bot.storage.tables import EXIT_EVENTS, PRODUCTION
from tests.makers import payload
from tests.profiles import EXAMPLES, SHARED_DATABASE, Session
from tests.reals import kept
from tests.strategies import optional, reals, row

A_DOUBLE = Context(prec=15)  # digits that a double holds, which a number is on its way
STRICT = {"strict_precision": True}
REAL_COLUMNS = [
    (table, name)
    for table in PRODUCTION
    for name, column in table.columns.items()
    if column.sql == "real"
]
WITH_REALS = tuple(dict.fromkeys(table for table, _ in REAL_COLUMNS))
WITH_EACH_COLUMN = pytest.mark.parametrize(
    ("table", "name"), REAL_COLUMNS, ids=[f"{table.name}.{name}" for table, name in REAL_COLUMNS]
)
WITH_EACH_TABLE = pytest.mark.parametrize("table", WITH_REALS, ids=lambda table: table.name)


def bounds(name: str) -> tuple[Decimal, Decimal]:
    """Return the range of a column, as its name tells it: a price, a size, or anything."""
    if "price" in name or name in ("best_bid", "best_ask"):
        return Decimal(0), Decimal(1)
    return Decimal(0 if name.endswith("size") else -(10**12)), Decimal(10**12)


def numbers(least: Decimal, most: Decimal) -> SearchStrategy[Decimal]:
    """Decimals that a REAL holds, and such as it does not hold."""
    digits = st.integers(0, 12).flatmap(lambda places: st.decimals(least, most, places=places))
    held = reals(max(-(2.0**39), float(least)), min(2.0**39, float(most)))
    return (
        digits
        | held
        | held.map(lambda value: value + value.scaleb(-9)).filter(
            lambda value: least <= value <= most
        )
    )


def spelled(value: Decimal) -> SearchStrategy[tuple[Any, Decimal]]:
    """A number in one of the forms in which it may be given, and what that form says."""
    exact = st.sampled_from(((value, value), (str(value), value), (f" {value:f} ", value)))
    inexact = st.just((float(value), Decimal(repr(float(value)))))
    whole = st.just((int(value), Decimal(int(value))))
    return exact | inexact | whole


def refused(table: Table[Any], name: str, value: object) -> list[Any]:
    """Return the places that strict validation of a model complains about."""
    values = row(table, 1).model_dump() | {name: value}
    try:
        table.model.model_validate(values, context=STRICT)
    except ValidationError as error:
        return [complaint["loc"] for complaint in error.errors()]
    return []


@WITH_EACH_TABLE
@EXAMPLES
@given(data=st.data())
def test_strict_precision_refuses_exactly_what_a_real_cannot_hold_to_the_last_digit(
    table: Table[Any], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from([name for each, name in REAL_COLUMNS if each is table]))
    given_value, exact = data.draw(numbers(*bounds(name)).flatmap(spelled))
    holds = kept(exact) == exact
    assert refused(table, name, given_value) == ([] if holds else [(name,)])
    table.model.model_validate(row(table, 1).model_dump() | {name: given_value})


@WITH_EACH_COLUMN
def test_strict_precision_names_the_column(table: Table[Any], name: str) -> None:
    for lost in ("0.1234567891", Decimal("0.10000000000000000001"), 0.1 + 0.2):
        assert refused(table, name, lost) == [(name,)]
    for held in ("0.95", Decimal("0.123456"), 0.5, 0, 1, "1e-3"):
        assert refused(table, name, held) == []


WHETHER_HELD = {
    "16777216": True,
    "16777217": False,
    "33554448": True,
    "33554450": False,  # in the middle of two floats: it is stored as 33554448
    "67108900": False,
    "70000096": True,
    "1073741800": True,
    "1073741824": False,  # a float, but the shortest decimal of it is 1073741800
    "8999999000": True,
    "9000000000": False,
    "30000000000": False,
    "30000001000": True,
    "0.1000000015": False,
    "123456.7": True,
    "1234567.89": False,
    "12621775": True,
}


async def test_a_decimal_in_the_middle_of_two_reals_is_not_held(db: Database) -> None:
    for size, held in WHETHER_HELD.items():
        back = await db.fetchval("SELECT $1::text::real::text", size)
        assert (Decimal(back) == Decimal(size)) is held
        assert refused(EXIT_EVENTS, "size", size) == ([] if held else [("size",)])


@SHARED_DATABASE
@given(st.lists(numbers(Decimal(0), Decimal(2**39)).map(A_DOUBLE.plus), min_size=1, max_size=20))
def test_what_strict_precision_lets_through_comes_back_equal_and_nothing_else_does(
    on_database: Session, values: list[Decimal]
) -> None:
    scores = ScoreHistoryRepository(on_database.db)

    async def store() -> list[ScoreHistory]:
        return [await scores.create(ScoreHistory(score=value)) for value in values]

    async def texts() -> list[str]:
        query = "SELECT value::text::real::text FROM unnest($1::text[]) AS given (value)"
        return [r[0] for r in await on_database.db.fetch(query, list(map(str, values)))]

    stored = on_database.run(store())
    shown = on_database.run(texts())
    for value, model, text in zip(values, stored, shown, strict=True):
        back = Decimal(text)
        assert model.score == float(back)
        assert refused(EXIT_EVENTS, "size", value) == ([] if back == value else [("size",)])


@EXAMPLES
@given(
    price=numbers(Decimal(0), Decimal(1)).flatmap(spelled),
    size=numbers(Decimal(0), Decimal(10**12)).flatmap(spelled),
)
def test_a_payload_is_refused_by_the_number_that_a_real_cannot_hold(
    price: tuple[Any, Decimal], size: tuple[Any, Decimal]
) -> None:
    given_payload = payload(price=price[0], size=size[0])
    lost = [n for n, (_, exact) in (("price", price), ("size", size)) if kept(exact) != exact]
    PolymarketTrade.from_api(given_payload)
    if not lost:
        trade = PolymarketTrade.from_api(given_payload, strict_precision=True)
        assert (trade.price, trade.size) == (price[1], size[1])
        return
    with pytest.raises(InvalidRecord, match="to the last digit") as error:
        PolymarketTrade.from_api(given_payload, strict_precision=True)
    assert error.value.field == lost[0]


@pytest.mark.parametrize("name", ["price", "size"])
def test_a_payload_in_json_text_is_read_to_the_last_digit(name: str) -> None:
    other = '"size":1' if name == "price" else '"price":0.5'
    fields = '"conditionId":"c","transactionHash":"h","side":"BUY","asset":"a","timestamp":1'
    for number in ("0.10000000000000000001", '"0.10000000000000000001"', "0.1234567891"):
        text = f'{{{fields},{other},"{name}":{number}}}'
        PolymarketTrade.from_api(text)
        with pytest.raises(InvalidRecord, match=f"{name}: expected what REAL holds"):
            PolymarketTrade.from_api(text, strict_precision=True)
    held = PolymarketTrade.from_api(f'{{{fields},{other},"{name}":0.95}}', strict_precision=True)
    assert getattr(held, name) == Decimal("0.95")


NO_NUMBERS: tuple[object, ...] = (
    float("nan"),
    float("inf"),
    float("-inf"),
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("Infinity"),
    "nan",
    "-inf",
    "Infinity",
    True,
    False,
    "",
    "x",
    b"\xff",
    10**39,
    -(10**39),
    3.5e38,
    "1e-50",
    Decimal("-1e-46"),
    1j,
    [1],
    object(),
)


@WITH_EACH_COLUMN
def test_what_is_no_number_is_refused_on_construction_and_on_assignment(
    table: Table[Any], name: str
) -> None:
    model = row(table, 1)
    before = model.model_dump()
    least, most = bounds(name)
    outside = [Decimal("-0.0000001"), -1] * (least == 0) + ["1.0000001", 1.5, 2] * (most == 1)
    missing = [] if name in optional(table) else [None]
    for wrong in (*NO_NUMBERS, *outside, *missing):
        with pytest.raises(ValidationError) as built:
            table.model(**(before | {name: wrong}))
        with pytest.raises(ValidationError) as assigned:
            setattr(model, name, wrong)
        for error in (built.value, assigned.value):
            assert {complaint["loc"] for complaint in error.errors()} == {(name,)}
    assert model.model_dump() == before


@WITH_EACH_COLUMN
def test_the_ends_of_a_range_are_part_of_it(table: Table[Any], name: str) -> None:
    least, most = bounds(name)
    model = row(table, 1)
    for value in (least, most, str(most), float(least)):
        setattr(model, name, value)
        assert getattr(model, name) == Decimal(value)
