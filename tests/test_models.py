"""What models accept, refuse and give back."""

from __future__ import annotations

import copy
import pickle
import struct
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from polymarket_bot.storage import (
    BaseRepository,
    Database,
    PolymarketFirstTrigger,
    PolymarketTrade,
    Table,
    TradeRepository,
    TradeWatermark,
    TradeWatermarkRepository,
    TriggerRepository,
    TriggerWatermarkRepository,
)
from polymarket_bot.storage.types import Column, Real, Text, plain_decimal, real_decimal
from tests.makers import trade, trigger


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("condition_id", ""),
        ("condition_id", None),
        ("condition_id", 5),
        ("trade_id", "a\x00b"),
        ("outcome", "\ud800"),
        ("price", "1.01"),
        ("price", -0.01),
        ("price", float("nan")),
        ("price", True),
        ("size", -1),
        ("size", float("inf")),
        ("size", 10**39),
        ("size", "1e-50"),
        ("timestamp", -1),
        ("timestamp", 1_760_000_000_000),
        ("timestamp", True),
        ("timestamp", 1.5),
        ("outcome_index", 2**31),
        ("no_such_field", 1),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(field: str, value: object) -> None:
    fields: dict[str, Any] = {"condition_id": "c", "trade_id": "t", field: value}
    with pytest.raises(ValidationError, match=field):
        PolymarketTrade(**fields)


@pytest.mark.parametrize(
    ("timestamp", "unit"),
    [
        (1_760_000_000_000, "milliseconds"),
        (1_760_000_000_000_000, "microseconds"),
        (1_760_000_000_000_000_000, "nanoseconds"),
    ],
)
def test_a_time_in_another_unit_is_refused_by_its_likely_unit(timestamp: int, unit: str) -> None:
    with pytest.raises(ValidationError, match=unit):
        trade(timestamp=timestamp)


def test_assignment_is_validated_like_construction() -> None:
    model = trade()
    with pytest.raises(ValidationError, match="price"):
        model.price = Decimal(2)
    model.price = Decimal("0.5")
    assert model.price == Decimal("0.5")


NEW_YORK = timezone(timedelta(hours=-4))


@pytest.mark.parametrize(
    "given_time",
    [
        datetime(2025, 10, 9, 12, 0, 0, tzinfo=UTC),
        datetime(2025, 10, 9, 8, 0, 0, tzinfo=NEW_YORK),
        datetime(2025, 10, 9, 12, 0, 0),  # noqa: DTZ001 - naive means UTC
        "2025-10-09T12:00:00",
        "2025-10-09 12:00:00Z",
        "2025-10-09T08:00:00.000-04:00",
    ],
)
def test_a_time_is_written_in_one_form(given_time: object) -> None:
    model = TradeWatermark(condition_id="c", last_timestamp=0, updated_at=given_time)
    assert model.updated_at == "2025-10-09T12:00:00.000000+00:00"


@pytest.mark.parametrize("wrong", ["", "yesterday", "2025-13-01", 5, None])
def test_what_is_no_time_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError, match="updated_at"):
        TradeWatermark(condition_id="c", last_timestamp=0, updated_at=wrong)


@pytest.mark.parametrize(
    ("text", "plain"), [("1e+06", "1000000"), ("0.95", "0.95"), ("0", "0"), ("1.5e+07", "15000000")]
)
def test_a_real_reads_as_a_plain_decimal(text: str, plain: str) -> None:
    assert str(plain_decimal(text)) == plain


@given(st.decimals(0, 1, places=6))
def test_six_digits_come_back_equal(value: Decimal) -> None:
    assert real_decimal(value) == value


@given(st.floats(0, 2.0**100, width=32))
def test_the_shortest_decimal_stores_the_same(value: float) -> None:
    assert struct.pack("f", float(real_decimal(Decimal(value)))) == struct.pack("f", value)


async def test_real_decimal_is_what_postgresql_gives_back(db: Database) -> None:
    for text in ("0.7900001161363874", "1234567.9", "0.1", "100000000", "16777217", "3e-41"):
        shown = await db.fetchval("SELECT $1::text::real::text", text)
        assert real_decimal(Decimal(text)) == Decimal(shown)


ROWS: list[tuple[type[Any], Any]] = [
    (TradeRepository, trade(raw_json="{}", outcome="Yes", outcome_index=0)),
    (TradeRepository, PolymarketTrade(condition_id="c", trade_id="empty")),
    (TriggerRepository, trigger(price="0.96", size=1_000_000, model_score=0.75)),
    (TriggerRepository, trigger(condition_id=None)),
]


@pytest.mark.parametrize(("repository", "model"), ROWS)
async def test_a_model_from_a_row_is_the_model_that_validation_builds(
    db: Database, repository: type[Any], model: Any
) -> None:
    stored = await repository(db).create(model)
    validated = type(model)(**stored.model_dump())
    assert stored == validated == model
    assert stored.model_dump_json() == validated.model_dump_json()
    assert repr(stored) == repr(validated)
    assert stored.model_fields_set == validated.model_fields_set
    assert pickle.loads(pickle.dumps(stored)) == validated  # noqa: S301 - our own bytes
    assert copy.deepcopy(stored) == stored.model_copy() == validated
    assert {name: type(value) for name, value in stored} == {
        name: type(value) for name, value in validated
    }
    with pytest.raises(ValidationError):
        stored.token_id = 5


async def test_models_from_rows_do_not_share_their_state(db: Database) -> None:
    await TradeRepository(db).create_many([trade("a"), trade("b")])
    first, second = await TradeRepository(db).get_all()
    first.side = "SELL"
    assert second.side == "BUY"
    assert first.model_fields_set is not second.model_fields_set


async def test_rows_of_older_writers_can_be_read(db: Database) -> None:
    await db.execute(
        "INSERT INTO polymarket_first_triggers (token_id, threshold, trigger_timestamp, created_at)"
        " VALUES ('t', 0.95, 1760000000000, '2025-10-09 12:00:00')"
    )
    await db.execute("INSERT INTO trigger_watermarks VALUES (0.95, 1760000000000, 'long ago')")
    (found,) = await TriggerRepository(db).get_by_token("t")
    assert (found.trigger_timestamp, found.created_at) == (1_760_000_000_000, "2025-10-09 12:00:00")
    watermark = await TriggerWatermarkRepository(db).get(0.95)
    assert watermark is not None
    assert watermark.updated_at == "long ago"


async def test_prices_come_back_as_they_were_written(db: Database) -> None:
    written = trade(price="0.95", size="1000000")
    stored = await TradeRepository(db).create(written)
    assert (str(stored.price), str(stored.size)) == ("0.95", "1000000")


async def test_what_a_newer_schema_adds_is_not_noticed(db: Database) -> None:
    await db.execute("ALTER TABLE trade_watermarks ADD COLUMN extra text DEFAULT 'x'")
    await TradeWatermarkRepository(db).update("c", 5)
    found = await TradeWatermarkRepository(db).get("c")
    assert found is not None
    assert found.last_timestamp == 5


class Note(BaseModel):
    """A table of a bot's own, with a generated key."""

    id: Annotated[int, Column("integer")] | None = None
    text: Text
    weight: Real


NOTES = Table("notes", Note, key=("id",), generated=("id",))


class NoteRepository(BaseRepository[Note]):
    table = NOTES


async def test_a_bots_own_table_with_a_generated_key_works(db: Database) -> None:
    await db.execute("CREATE TABLE notes (id serial PRIMARY KEY, text text, weight real)")
    notes = NoteRepository(db)
    first = await notes.create(Note(text="a", weight=0.95))
    assert (first.id, first.weight) == (1, 0.95)
    assert await notes.create_many([Note(text="b", weight=1), Note(text="b", weight=1)]) == 2
    assert [note.id for note in await notes.get_all()] == [1, 2, 3]


def test_a_real_column_that_would_lose_digits_is_refused() -> None:
    class Bad(BaseModel):
        id: Annotated[int, Column("integer")]
        price: Annotated[Decimal, Column("real")]

    with pytest.raises(TypeError, match="use Price, Size or Real"):
        Table("bad", Bad, key=("id",))


def test_the_largest_real_is_accepted_and_shown_plainly() -> None:
    assert trade(size="3.4028235e38").size == Decimal(340282350000000000000000000000000000000)
    assert str(trade(size="1e6").size) == "1000000"


def test_a_table_refuses_a_key_that_is_no_field() -> None:
    with pytest.raises(TypeError, match="no field 'nope'"):
        Table("polymarket_first_triggers", PolymarketFirstTrigger, key=("nope",))
