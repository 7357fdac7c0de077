"""Bad input that once came through, each case by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from polymarket_bot.storage import (
    AlreadyExists,
    ApprovalAlert,
    BaseRepository,
    DailyPnlRepository,
    Database,
    InvalidInput,
    InvalidValue,
    Position,
    PositionRepository,
    ScoreHistory,
    ScoreHistoryRepository,
    TradeRepository,
    TradeWatermark,
    TradeWatermarkRepository,
)
from polymarket_bot.storage.tables import APPROVAL_ALERTS
from tests.hostile_values import INCOMPRESSIBLE, NoOffset
from tests.makers import CREATED, payload, trade
from tests.small_rows import position


class BaseAlerts(BaseRepository[ApprovalAlert]):
    """Where an alert that is there already is an error."""

    table = APPROVAL_ALERTS


LARGEST = Decimal("3.4e38")
LONGER_THAN_SHOWN = 10**5_000


@pytest.mark.parametrize(
    "text", ["9999-99-99T99:99:99.999999+00:00", "2025-W41-4T12:00:00.000000+00:00"]
)
async def test_a_text_of_the_form_of_a_time_that_is_none_is_refused_or_made_one(
    db: Database, text: str
) -> None:
    alerts = BaseAlerts(db)
    alert = ApprovalAlert(token_id="1", alerted_at=CREATED)  # noqa: S106 - the column's name
    wrong = alert.model_copy(update={"alerted_at": text})
    if text.startswith("9"):
        with pytest.raises(InvalidInput, match="alerted_at"):
            await alerts.create(wrong)
    else:
        assert (await alerts.create(wrong)).alerted_at == "2025-10-09T12:00:00.000000+00:00"


async def test_a_number_too_long_to_be_shown_is_refused_like_any_other(db: Database) -> None:
    with pytest.raises(InvalidValue, match="a value cannot be sent"):
        await db.fetchval("SELECT $1::int", LONGER_THAN_SHOWN)
    scores = ScoreHistoryRepository(db)
    score = ScoreHistory(token_id="1", score=0.5, scored_at=1)  # noqa: S106 - the column's name
    wrong = score.model_copy(update={"scored_at": LONGER_THAN_SHOWN})
    for write in (scores.create(wrong), scores.create_many([score, wrong])):
        with pytest.raises(InvalidInput, match=r"^scored_at: "):
            await write
    assert await scores.count() == 0


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("new_york")
async def test_a_time_in_a_zone_without_an_offset_is_utc(db: Database) -> None:
    moment = datetime(2025, 10, 9, 12, tzinfo=NoOffset())
    mark = TradeWatermark(condition_id="c", last_timestamp=0, updated_at=moment)
    assert mark.updated_at == "2025-10-09T12:00:00.000000+00:00"
    noon = int(datetime(2025, 10, 9, 12, tzinfo=UTC).timestamp())
    await TradeRepository(db).create(trade(timestamp=noon, condition_id="c"))
    assert await TradeRepository(db).get_recent("c", 1, now=moment)


async def test_an_id_that_no_index_holds_is_refused_by_its_column(db: Database) -> None:
    trades, scores = TradeRepository(db), ScoreHistoryRepository(db)
    longest = INCOMPRESSIBLE[:1_300]
    stored = await trades.create(trade(longest, condition_id=longest))
    assert (stored.trade_id, stored.condition_id) == (longest, longest)
    await scores.create(ScoreHistory(token_id=longest))
    with pytest.raises(InvalidInput, match=r"^condition_id: .*1300 bytes"):
        await trades.get_by_condition(INCOMPRESSIBLE)
    unchecked = trade().model_copy(update={"trade_id": INCOMPRESSIBLE})
    with pytest.raises(InvalidInput, match=r"^trade_id: .*1300 bytes"):
        await trades.create_many([trade("a"), unchecked])
    assert await trades.count() == 1


async def test_an_error_shows_a_long_key_no_longer_than_it_helps(db: Database) -> None:
    alerts = BaseAlerts(db)
    alert = ApprovalAlert(token_id=INCOMPRESSIBLE[:1_300], alerted_at=CREATED)
    await alerts.create(alert)
    with pytest.raises(AlreadyExists, match=r"(?s)approval_alerts_pkey.*…") as caught:
        await alerts.create(alert)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("price", "a"),
        ("price", 1.5),
        ("price", True),
        ("size", Decimal("sNaN")),
        ("timestamp", "yesterday"),
        ("timestamp", 2**63),
        ("condition_id", None),
        ("condition_id", ["c"]),
        ("outcome_index", 2**31),
        ("outcome", "a\x00b"),
        ("outcome", "\ud800"),
    ],
)
async def test_a_model_changed_behind_validation_is_refused_by_field_with_its_whole_batch(
    db: Database, field: str, value: Any
) -> None:
    trades = TradeRepository(db)
    changed = trade("b").model_copy(update={field: value})
    for write in (trades.create_many, trades.upsert_many, trades.update_many):
        with pytest.raises(InvalidInput) as caught:
            await write([trade("a"), changed])
        assert caught.value.field == field
    report = await trades.ingest([changed, payload()])
    assert (report.refused, report.inserted) == (1, 1)
    assert report.refusals[0].reason.startswith(field)


async def test_an_empty_id_behind_validation_is_stored_as_given_or_not_at_all(
    db: Database,
) -> None:
    trades = TradeRepository(db)
    changed = trade("b").model_copy(update={"condition_id": ""})
    assert await trades.create(changed) == changed
    assert await trades.create_many([changed]) == 0
    assert await trades.get_all() == [changed]


async def test_a_model_without_all_its_fields_is_refused_by_the_first(db: Database) -> None:
    some: dict[str, Any] = {"token_id": "t", "size": Decimal(1)}
    with pytest.raises(InvalidInput, match=r"^entry_price: .*with all of its fields"):
        await PositionRepository(db).create(Position.model_construct(**some))


async def test_what_is_no_iterable_is_no_batch(db: Database) -> None:
    with pytest.raises(InvalidInput, match="expected an iterable of Position, got int 5"):
        await PositionRepository(db).create_many(5)  # type: ignore[arg-type]


async def test_a_watermark_is_not_reset_for_a_reason_that_is_no_text(db: Database) -> None:
    marks = TradeWatermarkRepository(db)
    with pytest.raises(InvalidInput, match="reason"):
        await marks.reset("c", 5, b"why")  # type: ignore[arg-type]
    assert await marks.count() == 0


async def test_a_result_beyond_its_column_is_refused_by_the_argument(db: Database) -> None:
    positions = PositionRepository(db)
    fields: dict[str, Any] = {"token_id": "t", "size": LARGEST, "entry_cost": -LARGEST}
    stored = await positions.create(
        Position(**fields, entry_price=Decimal(1), entry_timestamp=CREATED, created_at=CREATED)
    )
    assert stored.id is not None
    with pytest.raises(InvalidInput, match=r"^current_price"):
        await positions.update_price(stored.id, 1)
    with pytest.raises(InvalidInput, match=r"^exit_price"):
        await positions.close(stored.id, 1)
    with pytest.raises(InvalidInput, match=r"^final_value"):
        await positions.resolve(stored.id, "Yes", LARGEST)
    assert await positions.get_by_id(stored.id) == stored


async def test_a_zero_of_any_exponent_closes_a_position(db: Database) -> None:
    positions = PositionRepository(db)
    stored = await positions.create(position())
    closed = await positions.close(stored.id or 0, 1, realized_pnl=Decimal("0E-999999"))
    assert closed is not None
    assert closed.realized_pnl == 0


@pytest.mark.parametrize(
    ("column", "booking"),
    [
        ("realized_pnl", {"realized": LARGEST}),
        ("num_trades", {"trades": 2**31 - 1}),
        ("num_losses", {"wins": 1, "losses": 2**31 - 1}),
    ],
)
async def test_a_booking_beyond_its_column_is_refused_by_the_column(
    db: Database, column: str, booking: dict[str, Any]
) -> None:
    days = DailyPnlRepository(db)
    first = await days.add("2025-10-09", **booking)
    async with db.transaction():
        with pytest.raises(InvalidInput) as caught:
            await days.add("2025-10-09", **booking)
        assert caught.value.field == column
    assert await days.get_all() == [first]
    with pytest.raises(InvalidInput, match=r"^unrealized_pnl"):
        await days.update("2025-10-09", LARGEST, LARGEST, 0, 0, 0)
    assert await days.get_all() == [first]
